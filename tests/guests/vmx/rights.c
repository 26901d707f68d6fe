// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Every combination of rights, at every level of the EPT, for pages of each size, and every access to them. */
#include "report.h"
#include "world.h"

static int cases;

static void try_all_accesses(struct world *w, u64 gpa, int leaf)
{
	for (int access = 0; access < L2_ACCESSES; access++) {
		world_forget_flags(w, gpa, leaf);
		ept_flush(w->vm.eptp);
		check_access(&w->vm, access, LINEAR);
		cases++;
	}
}

/* Rights at one level, all of them above and below. */
static void try_level(struct world *w, int leaf, int level, u64 rights)
{
	const u8 *frame = world_frames() + 5 * PAGE_BYTES;
	u64 gpa = world_gpa(leaf, frame), *entry;

	ept_map(w->ept, gpa, world_leaf_hpa(leaf, frame), leaf, EPT_RWX);
	world_map_linear(w, LINEAR, gpa);
	entry = ept_entry(w->ept, gpa, level);
	case_begin("page of level %d, rights %llx at %d, flags %d", leaf, (unsigned long long)rights, level,
		   (int)!!(w->vm.eptp & EPTP_AD));
	WRITE_ONCE(*entry, (*entry & ~(u64)EPT_RWX) | rights);
	try_all_accesses(w, gpa, leaf);
	WRITE_ONCE(*entry, *entry | EPT_RWX);
}

/* Some rights in the directory, some in the leaf: what both give. */
static void try_pair(struct world *w, u64 upper, u64 lower)
{
	const u8 *frame = world_frames() + 7 * PAGE_BYTES;
	u64 gpa = world_gpa(1, frame), *entry;

	ept_map(w->ept, gpa, (uptr)frame, 1, lower);
	world_map_linear(w, LINEAR, gpa);
	entry = ept_entry(w->ept, gpa, 2);
	case_begin("rights %llx above %llx", (unsigned long long)upper, (unsigned long long)lower);
	WRITE_ONCE(*entry, (*entry & ~(u64)EPT_RWX) | upper);
	try_all_accesses(w, gpa, 1);
	WRITE_ONCE(*entry, *entry | EPT_RWX);
}

void test_rights(void)
{
	report_begin("rights");
	for (int ad = 0; ad <= ept_has_ad(); ad++) {
		struct world *w = &(struct world){ 0 };

		for (int leaf = 1; leaf <= ept_largest(); leaf++) {
			/* Afresh, since a table of the last size is where a leaf of the next one goes. */
			world_make(w, ad);
			for (int level = leaf; level <= world_window_top(); level++) {
				for (u64 rights = 0; rights <= EPT_RWX; rights++)
					try_level(w, leaf, level, rights);
			}
		}
		world_make(w, ad);
		for (u64 upper = EPT_R; upper <= EPT_RWX; upper += 2) {
			for (u64 lower = EPT_R; lower <= EPT_RWX; lower += 2)
				try_pair(w, upper, lower);
		}
	}
	print("  rights: %d accesses\n", cases);
	report_end();
}
