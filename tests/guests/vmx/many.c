// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Many tables, many links to one table, and a table that links itself. */
#include "mark.h"
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

enum { REGIONS = 400, LINKS = 512 };

static u8 *frame(int number)
{
	return world_frames() + number % FRAMES * PAGE_BYTES;
}

/* L2's large pages reach every region of 2 MiB of the window: one linear address for each. */
static void map_linear_regions(struct world *w, int count)
{
	for (int i = 0; i < count; i++) {
		u64 *entry = pt_entry(w->vm.space, 4, LINEAR + (u64)i * LARGE_BYTES, 2, PTE_P | PTE_W | PTE_A);

		*entry = (world_window() + (u64)i * LARGE_BYTES) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
	}
}

/* A table for each region: more than L0 may keep shadow pages for, if it has a quota that is small. */
static void test_sparse(void)
{
	struct world *w = &(struct world){ 0 };

	world_make(w, true);
	map_linear_regions(w, REGIONS);
	for (int i = 0; i < REGIONS; i++)
		ept_map(w->ept, world_window() + (u64)i * LARGE_BYTES, (uptr)frame(i), 1, EPT_RWX);
	mark("sparse.begin");
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < REGIONS; i++) {
			case_begin("sparse, turn %d, region %d", turn, i);
			check_access(&w->vm, turn ? L2_WRITE : L2_READ, LINEAR + (u64)i * LARGE_BYTES);
		}
	}
	for (int i = 0; i < REGIONS; i += 17) {
		u64 *entry = ept_entry(w->ept, world_window() + (u64)i * LARGE_BYTES, 1);

		WRITE_ONCE(*entry, ept_leaf((uptr)frame(i + 1), 1, EPT_R));
	}
	ept_flush(w->vm.eptp);
	for (int i = 0; i < REGIONS; i++) {
		case_begin("sparse, after the change, region %d", i);
		check_access(&w->vm, i & 1 ? L2_WRITE : L2_READ, LINEAR + (u64)i * LARGE_BYTES);
	}
	mark("sparse.end");
}

/* One last table below every entry of a directory. */
static void test_parents(void)
{
	struct world *w = &(struct world){ 0 };
	u64 *directory, *table;

	world_make(w, true);
	map_linear_regions(w, LINKS);
	ept_map(w->ept, world_window(), (uptr)frame(0), 1, EPT_RWX);
	directory = ept_entry(w->ept, world_window(), 2);
	table = ept_entry(w->ept, world_window(), 1);
	for (int i = 1; i < LINKS; i++)
		directory[i] = (uptr)table | (i & 1 ? EPT_RWX : EPT_R | EPT_X);
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < LINKS; i += turn ? 13 : 1) {
			case_begin("parents, turn %d, link %d", turn, i);
			check_access(&w->vm, (i + turn) % L2_ACCESSES, LINEAR + (u64)i * LARGE_BYTES);
		}
		WRITE_ONCE(*table, ept_leaf((uptr)frame(turn + 1), 1, turn ? EPT_RWX : EPT_R));
		ept_flush(w->vm.eptp);
	}
	/* All links but a few go, and the table with the rest becomes another one's. */
	for (int i = 0; i < LINKS; i++) {
		if (i % 50)
			directory[i] = 0;
	}
	ept_flush(w->vm.eptp);
	for (int i = 0; i < LINKS; i += 10) {
		case_begin("parents, links gone, link %d", i);
		check_access(&w->vm, L2_READ, LINEAR + (u64)i * LARGE_BYTES);
	}
}

/* The top table links itself: it is of every level, and its own memory at the end. */
static void test_recursive(void)
{
	struct world *w = &(struct world){ 0 };
	int slot = pt_index(world_window(), 4);
	u64 gpa = (u64)slot << 39 | (u64)slot << 30 | (u64)slot << 21 | (u64)slot << 12;

	world_make(w, false);
	w->ept[slot] = (uptr)w->ept | EPT_RWX;
	world_map_linear(w, LINEAR, gpa);
	for (int turn = 0; turn < 8; turn++) {
		u64 value = turn & 1 ? 0 : (uptr)w->ept | EPT_RWX;

		vm_access(&w->vm, L2_READ, LINEAR + 8 * slot, 0);
		if (w->vm.exit.reason != EXIT_VMCALL || w->vm.gpr[RAX] != w->ept[slot])
			report_wrong("recursive, turn %d: exit %u, %llx was read, not %llx", turn, w->vm.exit.reason,
				     (ull)w->vm.gpr[RAX], (ull)w->ept[slot]);
		/* An entry that nothing uses, and then one that leads here by another way. */
		vm_access(&w->vm, L2_WRITE, LINEAR + 8 * (slot + 1), value);
		if (w->vm.exit.reason != EXIT_VMCALL || w->ept[slot + 1] != value)
			report_wrong("recursive, turn %d: exit %u, %llx was written, %llx is there", turn,
				     w->vm.exit.reason, (ull)value, (ull)w->ept[slot + 1]);
		ept_flush(w->vm.eptp);
		world_map_linear(w, LINEAR + PAGE_BYTES, gpa + ((u64)1 << 30));
		case_begin("recursive, turn %d", turn);
		check_access(&w->vm, L2_READ, LINEAR + PAGE_BYTES);
	}
}

void test_many(void)
{
	report_begin("many tables");
	test_sparse();
	report_end();
	report_begin("many links to one table");
	test_parents();
	report_end();
	if (world_window_top() == 4) {
		report_begin("a table that links itself");
		test_recursive();
		report_end();
	}
}
