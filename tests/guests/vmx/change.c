// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L1 changes its EPT between L2's accesses: rights given without a flush, all else with one. */
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

static const u64 useful_rights[] = { 0, EPT_R, EPT_R | EPT_W, EPT_R | EPT_X, EPT_RWX };

static u8 *frame(int number)
{
	return world_frames() + number * PAGE_BYTES;
}

static void set_rights(u64 *entry, u64 rights)
{
	WRITE_ONCE(*entry, (*entry & ~(u64)EPT_RWX) | rights);
}

static void check_all(struct world *w, u64 linear)
{
	for (int access = 0; access < L2_ACCESSES; access++)
		check_access(&w->vm, access, linear);
}

/* L2 is refused, L1 gives more rights and lets it go on where it was. */
static void give(struct world *w, u64 *entry, u64 from, u64 to)
{
	for (int access = 0; access < L2_ACCESSES; access++) {
		u64 right = BIT(access);

		if ((from & right) || !(to & right))
			continue;
		case_begin("give %llx after %llx to access %d", (ull)to, (ull)from, access);
		set_rights(entry, from);
		ept_flush(w->vm.eptp);
		if (check_access(&w->vm, access, LINEAR) != VIOLATION)
			report_wrong("the access was not refused");
		set_rights(entry, to);
		vm_resume(&w->vm);
		if (w->vm.exit.reason != EXIT_VMCALL)
			report_wrong("give %llx after %llx at access %d: exit %u qualification %llx", (ull)to,
				     (ull)from, access, w->vm.exit.reason, (ull)w->vm.exit.qualification);
		frame_fill(frame(13), TAG + 13);
	}
}

/* flush: how L1 tells. */
static void take(struct world *w, u64 *entry, u64 to, enum invept_type flush)
{
	case_begin("take to %llx, invept %d", (ull)to, flush);
	set_rights(entry, EPT_RWX);
	ept_flush(w->vm.eptp);
	check_all(w, LINEAR);
	set_rights(entry, to);
	invept(flush, flush == INVEPT_ONE ? w->vm.eptp : 0);
	check_all(w, LINEAR);
	set_rights(entry, EPT_RWX);
}

static void test_give_and_take(void)
{
	for (int leaf = 1; leaf <= 2; leaf++) {
		struct world *w = &(struct world){ 0 };
		u64 gpa = world_gpa(leaf, frame(13));

		world_make(w, true);
		ept_map(w->ept, gpa, world_leaf_hpa(leaf, frame(13)), leaf, EPT_RWX);
		world_map_linear(w, LINEAR, gpa);
		for (int level = leaf; level <= world_window_top(); level++) {
			u64 *entry = ept_entry(w->ept, gpa, level);

			for (size_t from = 0; from < ARRAY_SIZE(useful_rights); from++) {
				for (size_t to = 1; to < ARRAY_SIZE(useful_rights); to++) {
					if ((useful_rights[from] | useful_rights[to]) == useful_rights[to])
						give(w, entry, useful_rights[from], useful_rights[to]);
				}
				take(w, entry, useful_rights[from], INVEPT_ONE);
				take(w, entry, useful_rights[from], INVEPT_ALL);
			}
		}
	}
}

/* What is at the gpa of LINEAR changes: the frame, the table, the size. */
static void test_remap(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), *directory, *table, *other = alloc_page();

	world_make(w, true);
	ept_map(w->ept, gpa, (uptr)frame(0), 1, EPT_RWX);
	directory = ept_entry(w->ept, gpa, 2);
	table = ept_entry(w->ept, gpa, 1);
	world_map_linear(w, LINEAR, gpa);
	world_map_linear(w, LINEAR + PAGE_BYTES, gpa + 3 * PAGE_BYTES);
	for (int i = 0; i < FRAMES; i++) {
		table[i] = ept_leaf((uptr)frame(i), 1, EPT_RWX);
		other[i] = ept_leaf((uptr)frame(FRAMES - 1 - i), 1, EPT_R);
	}
	for (int turn = 0; turn < 4; turn++) {
		case_begin("turn %d, small pages", turn);
		ept_flush(w->vm.eptp);
		check_all(w, LINEAR);
		check_all(w, LINEAR + PAGE_BYTES);

		case_begin("turn %d, another frame", turn);
		WRITE_ONCE(table[0], ept_leaf((uptr)frame(20 + turn), 1, EPT_RWX));
		ept_flush(w->vm.eptp);
		check_all(w, LINEAR);

		case_begin("turn %d, another table", turn);
		WRITE_ONCE(*directory, (uptr)other | EPT_RWX);
		ept_flush(w->vm.eptp);
		check_all(w, LINEAR);
		check_all(w, LINEAR + PAGE_BYTES);

		case_begin("turn %d, a large page", turn);
		WRITE_ONCE(*directory, ept_leaf((uptr)frame(0), 2, turn & 1 ? EPT_R | EPT_X : EPT_RWX));
		invept(INVEPT_ALL, 0);
		check_all(w, LINEAR);
		check_all(w, LINEAR + PAGE_BYTES);

		WRITE_ONCE(*directory, (uptr)table | EPT_RWX);
	}
}

/* A and D are taken away and come back. */
static void test_flags(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window();

	if (!ept_has_ad())
		return;
	world_make(w, true);
	ept_map(w->ept, gpa, (uptr)frame(30), 1, EPT_RWX);
	world_map_linear(w, LINEAR, gpa);
	for (int turn = 0; turn < 20; turn++) {
		case_begin("flags, turn %d", turn);
		check_access(&w->vm, turn % L2_ACCESSES, LINEAR);
		check_access(&w->vm, turn / 2 % L2_ACCESSES, LINEAR);
		world_forget_flags(w, gpa, turn & 4 ? 1 : 2);
		ept_flush(w->vm.eptp);
	}
}

/* L2 writes the EPT itself: its RAM is all of L1's. */
static void test_from_inside(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), *entry, *upper;

	world_make(w, true);
	ept_map(w->ept, gpa, (uptr)frame(40), 1, EPT_RWX);
	world_map_linear(w, LINEAR, gpa);
	entry = ept_entry(w->ept, gpa, 1);
	upper = ept_entry(w->ept, gpa, 3);
	for (int turn = 0; turn < 20; turn++) {
		u64 value = ept_leaf((uptr)frame(41 + turn), 1, turn & 1 ? EPT_RWX : EPT_R);

		case_begin("from inside, turn %d", turn);
		check_all(w, LINEAR);
		vm_access(&w->vm, L2_WRITE, (uptr)entry, value);
		if (w->vm.exit.reason != EXIT_VMCALL || *entry != value)
			report_wrong("from inside, turn %d: exit %u, entry %llx not %llx", turn, w->vm.exit.reason,
				     (ull)*entry, (ull)value);
		ept_flush(w->vm.eptp);
		check_all(w, LINEAR);
		vm_access(&w->vm, L2_WRITE, (uptr)upper, turn & 2 ? *upper & ~(u64)EPT_X : *upper | EPT_X);
		ept_flush(w->vm.eptp);
	}
}

/* INVVPID of each type after a change in L2's tables that L1 made. */
static void test_invvpid(void)
{
	struct world *w = &(struct world){ 0 };
	static const u64 offered[] = { EPT_CAP_INVVPID_ADDRESS, EPT_CAP_INVVPID_ONE, EPT_CAP_INVVPID_ALL,
				       EPT_CAP_INVVPID_LOCAL };
	u64 gpa = world_window(), *pte;

	world_make(w, true);
	if (!w->vm.vpid || !(vmx_ept_caps() & EPT_CAP_INVVPID))
		return report_skip("invvpid", "not offered");
	for (int i = 0; i < 16; i++)
		ept_map(w->ept, gpa + i * PAGE_BYTES, (uptr)frame(60 + i), 1, EPT_RWX);
	world_map_linear(w, LINEAR, gpa);
	pte = pt_entry(w->vm.space, 4, LINEAR, 1, 0);
	for (int turn = 0; turn < 16; turn++) {
		int type = turn % 4;

		if (!(vmx_ept_caps() & offered[type]))
			continue;
		case_begin("invvpid %d, turn %d", type, turn);
		check_all(w, LINEAR);
		WRITE_ONCE(*pte, (gpa + turn * PAGE_BYTES) | PTE_P | PTE_A | (turn & 1 ? PTE_W : 0));
		if (!invvpid(type, type == INVVPID_ALL ? 0 : w->vm.vpid, type == INVVPID_ADDRESS ? LINEAR : 0))
			report_wrong("invvpid %d is refused", type);
		check_all(w, LINEAR);
	}
}

void test_change(void)
{
	report_begin("give and take rights");
	test_give_and_take();
	report_end();
	report_begin("remap, split and merge");
	test_remap();
	report_end();
	report_begin("flags taken away");
	test_flags();
	report_end();
	report_begin("EPT changed by L2");
	test_from_inside();
	report_end();
	report_begin("invvpid");
	test_invvpid();
	report_end();
}
