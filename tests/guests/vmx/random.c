// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Random changes of tables that three EPT pointers share in part, by L1 and by L2, and random accesses between them.
 * After a change that gives no more than rights, L1 may leave out the flush; L2 may then be refused once for nothing.
 */
#include "mark.h"
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

enum { POINTERS = 3, PAGES = 12, ROUNDS = 600 };

static struct {
	struct world world;
	u64 *tops[POINTERS], pointers[POINTERS];
	int current;
	bool owed[POINTERS];		/* rights were given, and no flush was made */
	u64 state;
} r;

/* A linear congruential generator: the upper half is good enough. */
static u32 pick(u32 count)
{
	r.state = r.state * 6364136223846793005ull + 1442695040888963407ull;
	return (r.state >> 33) % count;
}

/* Pages of the window that differ at each level: neighbours, and others in the next tables. */
static u64 gpa_of(int page)
{
	return world_window() + (u64)(page & 3) * PAGE_BYTES + (u64)(page >> 2 & 1) * ept_page_bytes(2) +
	       (u64)(page >> 3) * ept_page_bytes(3);
}

static u64 linear_of(int page)
{
	return LINEAR + (u64)page * PAGE_BYTES;
}

/* The entry that is used for a page at a level, or the leaf above. */
static u64 *entry_of(u64 *table, u64 gpa, int *level)
{
	for (int i = EPT_TOP; ; i--) {
		u64 *entry = &table[pt_index(gpa, i)];

		if (i == *level || (i < 4 && (*entry & EPT_LEAF)) || !(*entry & PTE_ADDRESS)) {
			*level = i;
			return entry;
		}
		table = (u64 *)(uptr)(*entry & PTE_ADDRESS);
	}
}

static void flush_one(int pointer)
{
	ept_flush(r.pointers[pointer]);
	r.owed[pointer] = false;
}

/* Tables of the second pointer are the third's, too. */
static void flush(int changed)
{
	if (pick(3) == 0) {
		invept(INVEPT_ALL, 0);
		memset(r.owed, 0, sizeof(r.owed));
		return;
	}
	flush_one(changed);
	if (changed)
		flush_one(3 - changed);
}

/* By L1, or by L2, which has all of RAM and the same tables, if it can run at all. */
static void store(u64 *entry, u64 value)
{
	if (pick(4)) {
		WRITE_ONCE(*entry, value);
		return;
	}
	vm_access(&r.world.vm, L2_WRITE, (uptr)entry, value);
	if (r.world.vm.exit.reason != EXIT_VMCALL || *entry != value)
		report_wrong("L2 writes %llx to an entry: exit %u, %llx is there", (ull)value, r.world.vm.exit.reason,
			     (ull)*entry);
	WRITE_ONCE(*entry, value);
}

static u64 random_rights(void)
{
	static const u64 rights[] = { EPT_RWX, EPT_RWX, EPT_R | EPT_X, EPT_R, EPT_R | EPT_W, 0 };

	return rights[pick(ARRAY_SIZE(rights))];
}

static void change(void)
{
	int changed = pick(POINTERS);
	u64 gpa = gpa_of(pick(PAGES)), *top = r.tops[changed], old, new;
	int level = 1 + pick(world_window_top()), kind = pick(8);
	u64 *entry = entry_of(top, gpa, &level);

	old = *entry;
	new = (old & ~(u64)EPT_RWX) | random_rights();
	if (kind == 0 && level == 1)
		new = ept_leaf((uptr)world_frames() + pick(FRAMES) * PAGE_BYTES, 1, random_rights());
	else if (kind == 1 && level == 2 && !(old & EPT_LEAF))
		new = ept_leaf((uptr)world_frames(), 2, random_rights());
	else if (kind == 1 && level == 2) {
		u64 *table = alloc_page();

		for (int i = 0; i < 4; i++)
			table[i] = ept_leaf((uptr)world_frames() + pick(FRAMES) * PAGE_BYTES, 1, random_rights());
		new = (uptr)table | EPT_RWX;
	} else if (kind == 2)
		new = old & ~(u64)(EPT_A | EPT_D);
	store(entry, new);
	if (!(old & ~new & (EPT_RWX | EPT_A | EPT_D)) && !((old ^ new) & ~(u64)EPT_RWX) && pick(2))
		r.owed[changed] = r.owed[changed ? 3 - changed : 0] = true;
	else
		flush(changed);
}

static void access(int round)
{
	struct vm *vm = &r.world.vm;
	int page = pick(PAGES);
	enum l2_access how = pick(L2_ACCESSES);
	struct prediction p;

	if (pick(3) == 0) {
		r.current = pick(POINTERS);
		vm_set_eptp(vm, r.pointers[r.current]);
	}
	case_begin("round %d, pointer %d, page %d, access %d", round, r.current, page, how);
	predict(vm, how, linear_of(page) + (how == L2_FETCH ? 0 : 8), &p);
	if (r.owed[r.current] && p.outcome == DONE) {
		/* Where the refusal for nothing goes. */
		if (how == L2_WRITE)
			flush_one(r.current);
		else
			vm_access(vm, how, linear_of(page) + (how == L2_FETCH ? 0 : 8), 0);
	}
	check_access(vm, how, linear_of(page));
}

void test_random(void)
{
	u64 rounds = option_number("rounds", ROUNDS);

	report_begin("random");
	r.state = option_number("seed", 1);
	world_make(&r.world, true);
	for (int i = 0; i < POINTERS; i++) {
		/* The third shares its tables below the top with the second, the first has its own. */
		r.tops[i] = i == 2 ? memcpy(alloc_page(), r.tops[1], PAGE_BYTES) : i ? ept_identity() : r.world.ept;
		r.pointers[i] = ept_pointer(r.tops[i], i != 0);
		for (int page = 0; i < 2 && page < PAGES; page++) {
			ept_map(r.tops[i], gpa_of(page), (uptr)world_frames() + pick(FRAMES) * PAGE_BYTES, 1, EPT_RWX);
			world_map_linear(&r.world, linear_of(page), gpa_of(page));
		}
	}
	mark("random.begin");
	for (u64 round = 0; round < rounds; round++) {
		if (pick(3) == 0)
			change();
		access(round);
	}
	mark("random.end");
	report_end();
}
