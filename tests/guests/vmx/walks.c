// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L2's own page tables on pages with every combination of rights: what the CPU's walk of them may do. */
#include "report.h"
#include "world.h"

/* Where L2's table of a level goes, as L2 sees it, and the page behind it. */
static u64 table_gpa(void)
{
	return world_window() + ept_page_bytes(3);
}

/* Move L2's table of this level for LINEAR to table_gpa(); returns where L1 finds it. */
static u64 *move_table(struct world *w, int level)
{
	u64 *moved = alloc_page();

	if (level == 4) {
		memcpy(moved, w->vm.space, PAGE_BYTES);
		w->vm.cr3 = table_gpa();
		vmwrite(VMCS_GUEST_CR3, w->vm.cr3);
	} else {
		u64 *link = pt_entry(w->vm.space, 4, LINEAR, level + 1, PTE_P | PTE_W | PTE_A);

		memcpy(moved, (void *)(uptr)(*link & PTE_ADDRESS), PAGE_BYTES);
		WRITE_ONCE(*link, (*link & ~PTE_ADDRESS) | table_gpa());
	}
	return moved;
}

static void try_rights(struct world *w, int level, u64 *table, u64 rights)
{
	u64 *own = &table[pt_index(LINEAR, level)];

	ept_map(w->ept, table_gpa(), (uptr)table, 1, rights);
	case_begin("table of level %d, rights %llx, flags %d", level, (unsigned long long)rights,
		   (int)!!(w->vm.eptp & EPTP_AD));
	for (int access = 0; access < L2_ACCESSES; access++) {
		/* Where the walk may write, it has A and D of L2's own entry to set. */
		if (rights & EPT_W)
			WRITE_ONCE(*own, *own & ~(u64)(PTE_A | (level == 1 ? PTE_D : 0)));
		else
			WRITE_ONCE(*own, *own | PTE_A | (level == 1 ? PTE_D : 0));
		world_forget_flags(w, table_gpa(), 1);
		ept_flush(w->vm.eptp);
		check_access(&w->vm, access, LINEAR);
	}
}

void test_walks(void)
{
	const u8 *frame = world_frames() + 9 * PAGE_BYTES;

	report_begin("walks");
	for (int ad = 0; ad <= ept_has_ad(); ad++) {
		for (int level = 1; level <= 4; level++) {
			struct world *w = &(struct world){ 0 };
			u64 *table;

			world_make(w, ad);
			ept_map(w->ept, world_window(), (uptr)frame, 1, EPT_RWX);
			world_map_linear(w, LINEAR, world_window());
			table = move_table(w, level);
			for (u64 rights = 0; rights <= EPT_RWX; rights++)
				try_rights(w, level, table, rights);
		}
	}
	report_end();
}
