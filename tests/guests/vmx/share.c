// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Tables that several EPT pointers share, at the same level or at different ones. */
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

enum { CONTEXTS = 4, DISTANT = 12 };

static void check_all(struct world *w, u64 linear)
{
	for (int access = 0; access < L2_ACCESSES; access++)
		check_access(&w->vm, access, linear);
}

/* Four top tables with one table of level 3 below them: what is changed under one is changed under all. */
static void test_siblings(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), pointers[CONTEXTS], *leaf;

	world_make(w, true);
	ept_map(w->ept, gpa, (uptr)world_frames(), 1, EPT_RWX);
	leaf = ept_entry(w->ept, gpa, 1);
	world_map_linear(w, LINEAR, gpa);
	for (int i = 0; i < CONTEXTS; i++) {
		u64 *top = i ? memcpy(alloc_page(), w->ept, PAGE_BYTES) : w->ept;

		pointers[i] = ept_pointer(top, true);
		if (i == 3)
			top[pt_index(gpa, 4)] &= ~(u64)EPT_W;
	}
	for (int turn = 0; turn < 12; turn++) {
		u64 rights = turn & 1 ? EPT_RWX : EPT_R;

		for (int i = 0; i < CONTEXTS; i++) {
			case_begin("shared, turn %d, pointer %d", turn, i);
			vm_set_eptp(&w->vm, pointers[i]);
			check_all(w, LINEAR);
		}
		WRITE_ONCE(*leaf, ept_leaf((uptr)world_frames() + (turn + 1) * PAGE_BYTES, 1, rights));
		invept(INVEPT_ALL, 0);
	}
}

/*
 * The same pages as levels 4, 3, 2 and 1 of one pointer, and one level lower of another, whose leaves are thus the
 * first one's last tables: L2 under the second reads and writes the entries of the first.
 */
static void test_shifted(void)
{
	struct world *w = &(struct world){ 0 };
	u64 *above = alloc_page(), gpa = world_window(), below_gpa, first, second, *table;

	world_make(w, false);
	ept_map(w->ept, gpa, (uptr)world_frames(), 1, EPT_RWX);
	table = ept_entry(w->ept, gpa, 1);
	first = w->vm.eptp;
	/*
	 * Of the second: its top table has the identity map of RAM, and, in the same place as the first's, a link to
	 * the first's top table, which is its level 3.
	 */
	memcpy(above, w->ept, PAGE_BYTES);
	above[pt_index(gpa, 4)] = (uptr)w->ept | EPT_RWX;
	second = ept_pointer(above, false);
	below_gpa = (gpa & ~(ept_page_bytes(4) - 1)) | (u64)pt_index(gpa, 4) << 30 | (u64)pt_index(gpa, 3) << 21 |
		    (u64)pt_index(gpa, 2) << 12;
	world_map_linear(w, LINEAR, gpa);
	world_map_linear(w, LINEAR + PAGE_BYTES, below_gpa);
	for (int turn = 0; turn < 12; turn++) {
		u64 value = ept_leaf((uptr)world_frames() + (turn + 1) * PAGE_BYTES, 1, turn & 1 ? EPT_R : EPT_RWX);

		case_begin("shifted, turn %d", turn);
		vm_set_eptp(&w->vm, first);
		check_all(w, LINEAR);
		vm_set_eptp(&w->vm, second);
		vm_access(&w->vm, L2_READ, LINEAR + PAGE_BYTES, 0);
		if (w->vm.exit.reason != EXIT_VMCALL || w->vm.gpr[RAX] != *table)
			report_wrong("shifted, turn %d: exit %u, %llx was read, not %llx", turn, w->vm.exit.reason,
				     (ull)w->vm.gpr[RAX], (ull)*table);
		vm_access(&w->vm, L2_WRITE, LINEAR + PAGE_BYTES, value);
		if (w->vm.exit.reason != EXIT_VMCALL || *table != value)
			report_wrong("shifted, turn %d: exit %u, %llx was written, %llx is there", turn,
				     w->vm.exit.reason, (ull)value, (ull)*table);
		ept_flush(turn & 2 ? first : second);
		ept_flush(turn & 2 ? second : first);
	}
}

/* One top table in two pointers, with A and D flags and without: a flush by either name is one of both. */
static void test_names(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), pointers[2], *leaf;

	world_make(w, true);
	ept_map(w->ept, gpa, (uptr)world_frames(), 1, EPT_RWX);
	leaf = ept_entry(w->ept, gpa, 1);
	world_map_linear(w, LINEAR, gpa);
	pointers[0] = ept_pointer(w->ept, false);
	pointers[1] = ept_pointer(w->ept, true);
	for (int turn = 0; turn < 24; turn++) {
		for (int i = 0; i < 2; i++) {
			case_begin("two names, turn %d, flags %d", turn, i);
			vm_set_eptp(&w->vm, pointers[i]);
			/* Without flags first: what it leaves alone the other one has to set. */
			check_access(&w->vm, turn / 2 % L2_ACCESSES, LINEAR);
		}
		if (turn & 1)
			world_forget_flags(w, gpa, 1);
		else
			WRITE_ONCE(*leaf, ept_leaf((uptr)world_frames() + turn * PAGE_BYTES, 1,
						   turn & 2 ? EPT_R : EPT_RWX));
		ept_flush(pointers[turn / 4 & 1]);
	}
}

/* L1 changes the EPT of a context that ran some time ago, and tells; L2 comes to it later, by way of others. */
static void test_distant(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), pointers[DISTANT], *leaves[DISTANT];

	world_make(w, true);
	world_map_linear(w, LINEAR, gpa);
	for (int i = 0; i < DISTANT; i++) {
		u64 *top = i ? ept_identity() : w->ept;

		pointers[i] = ept_pointer(top, true);
		ept_map(top, gpa, (uptr)world_frames() + i * PAGE_BYTES, 1, EPT_RWX);
		leaves[i] = ept_entry(top, gpa, 1);
	}
	for (int turn = 0; turn < 60; turn++) {
		int changed = (turn * 7 + 5) % DISTANT, here = turn % DISTANT;

		case_begin("distant, turn %d, context %d", turn, here);
		vm_set_eptp(&w->vm, pointers[here]);
		check_access(&w->vm, turn % L2_ACCESSES, LINEAR);
		WRITE_ONCE(*leaves[changed], ept_leaf((uptr)world_frames() + (turn + 20) * PAGE_BYTES, 1,
						      turn & 2 ? EPT_R : EPT_RWX));
		ept_flush(pointers[changed]);
		if (turn & 4)
			continue;
		case_begin("distant, turn %d, context %d was changed", turn, changed);
		vm_set_eptp(&w->vm, pointers[changed]);
		check_all(w, LINEAR);
	}
	for (int i = 0; i < DISTANT; i++) {
		case_begin("distant, context %d at the end", i);
		vm_set_eptp(&w->vm, pointers[i]);
		check_all(w, LINEAR);
	}
}

void test_share(void)
{
	report_begin("changes of distant contexts");
	test_distant();
	report_end();
	report_begin("two pointers to one table");
	test_names();
	report_end();
	report_begin("tables shared by pointers");
	test_siblings();
	report_end();
	/* It takes a whole entry of level 4 for itself. */
	if (world_window_top() == 4) {
		report_begin("tables shared across levels");
		test_shifted();
		report_end();
	}
}
