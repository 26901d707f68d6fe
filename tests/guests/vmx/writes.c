// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Every way in which an instruction writes an entry of an EPT that L0 knows; and a table that becomes memory again. */
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

enum { WAYS = 13, TURNS = 3, SLOTS = 512 };

static void write_bytes(u64 *entry, u64 value)
{
	for (int i = 7; i >= 0; i--)
		WRITE_ONCE(((u8 *)entry)[i], value >> 8 * i);
}

static void write_unaligned(u64 *entry, u64 value)
{
	/* The last four bytes of the entry and the first four of the next one, in one access; then the rest. */
	*(volatile u32 *)entry = value;
	*(volatile u64 *)((u8 *)entry + 4) = value >> 32 | entry[1] << 32;
}

static void write_vector(u64 *entry, u64 value)
{
	u64 pair[2] = { value, entry[1] };

	__asm__ volatile("movups %1, %%xmm0; movups %%xmm0, %0" : "=m"(*(u64 (*)[2])entry) : "m"(pair) : "memory");
}

static void write_entry(int way, u64 *entry, u64 value)
{
	u64 old = *entry, pair[2] = { value, entry[1] };

	switch (way) {
	case 0: WRITE_ONCE(*entry, value); break;
	case 1: write_bytes(entry, value); break;
	case 2: ((volatile u16 *)entry)[0] = value; memcpy((u8 *)entry + 2, (u8 *)&value + 2, 6); break;
	case 3: ((volatile u32 *)entry)[1] = value >> 32; ((volatile u32 *)entry)[0] = value; break;
	case 4: __atomic_exchange_n(entry, value, __ATOMIC_SEQ_CST); break;
	case 5: __atomic_compare_exchange_n(entry, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); break;
	case 6: __asm__ volatile("lock xorq %1, %0" : "+m"(*entry) : "r"(old ^ value) : "memory"); break;
	case 7: __asm__ volatile("lock xaddq %1, %0" : "+m"(*entry), "+r"((u64){ value - old }) :: "memory"); break;
	case 8: write_unaligned(entry, value); break;
	case 9: write_vector(entry, value); break;
	case 10: __asm__ volatile("movnti %1, %0" : "=m"(*entry) : "r"(value) : "memory"); break;
	case 11: memcpy(entry, pair, sizeof(pair)); break;
	case 12:
		for (u64 bits = old ^ value; bits; bits &= bits - 1)
			__asm__ volatile("lock btcq %1, %0"
					 : "+m"(*entry) : "r"((u64)__builtin_ctzll(bits)) : "memory");
		break;
	}
}

static u8 *frame(int number)
{
	return world_frames() + number * PAGE_BYTES;
}

static void test_ways(struct world *w, u64 *entry)
{
	for (int way = 0; way < WAYS; way++) {
		for (int turn = 0; turn < TURNS; turn++) {
			u64 value = ept_leaf((uptr)frame(1 + way * TURNS + turn), 1, turn == 1 ? EPT_R : EPT_RWX);

			case_begin("way %d, turn %d", way, turn);
			write_entry(way, entry, value);
			if (*entry != value)
				report_wrong("way %d writes %llx, not %llx", way, (ull)*entry, (ull)value);
			ept_flush(w->vm.eptp);
			for (int access = 0; access < L2_ACCESSES; access++) {
				check_access(&w->vm, access, LINEAR);
				check_access(&w->vm, access, LINEAR + PAGE_BYTES);
			}
		}
	}
}

/* A whole table at once, by string instructions, and the other way round. */
static void test_tables(struct world *w, u64 *table)
{
	static u64 copy[SLOTS];

	for (int turn = 0; turn < 4; turn++) {
		for (int i = 0; i < SLOTS; i++)
			copy[i] = ept_leaf((uptr)frame((i + turn) % FRAMES), 1, EPT_RWX);
		case_begin("a table at once, turn %d", turn);
		memcpy(table, copy, PAGE_BYTES);
		ept_flush(w->vm.eptp);
		check_access(&w->vm, L2_READ, LINEAR);
		check_access(&w->vm, L2_WRITE, LINEAR + PAGE_BYTES);
		case_begin("an empty table, turn %d", turn);
		memset(table, 0, PAGE_BYTES);
		ept_flush(w->vm.eptp);
		check_access(&w->vm, L2_READ, LINEAR);
		check_access(&w->vm, L2_FETCH, LINEAR + PAGE_BYTES);
	}
}

/* What was a table is plain memory now, for L1 and for L2, and a table again after that. */
static void test_reuse(struct world *w, u64 *table)
{
	u64 *directory = ept_entry(w->ept, world_window(), 2), link = *directory;

	for (int turn = 0; turn < 4; turn++) {
		table[0] = ept_leaf((uptr)frame(turn), 1, EPT_RWX);
		table[1] = ept_leaf((uptr)frame(turn + 9), 1, EPT_RWX);
		ept_flush(w->vm.eptp);
		case_begin("as a table, turn %d", turn);
		check_access(&w->vm, L2_READ, LINEAR);
		check_access(&w->vm, L2_WRITE, LINEAR + PAGE_BYTES);
		WRITE_ONCE(*directory, 0);
		ept_flush(w->vm.eptp);
		for (int i = 0; i < SLOTS; i++)
			table[i] = i * 0x123456789abcull + turn;
		for (int i = 0; i < SLOTS; i += 37) {
			vm_access(&w->vm, L2_READ, (uptr)&table[i], 0);
			if (w->vm.gpr[RAX] != i * 0x123456789abcull + turn)
				report_wrong("slot %d: %llx was read", i, (ull)w->vm.gpr[RAX]);
			vm_access(&w->vm, L2_WRITE, (uptr)&table[i], ~(u64)i);
			if (READ_ONCE(table[i]) != ~(u64)i)
				report_wrong("slot %d: %llx was written", i, (ull)table[i]);
		}
		memset(table, 0, PAGE_BYTES);
		WRITE_ONCE(*directory, link);
	}
}

void test_writes(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), *table;

	report_begin("ways to write an entry");
	world_make(w, true);
	ept_map(w->ept, gpa + PAGE_BYTES, (uptr)frame(0), 1, EPT_RWX);
	table = ept_entry(w->ept, gpa, 1);
	world_map_linear(w, LINEAR, gpa);
	world_map_linear(w, LINEAR + PAGE_BYTES, gpa + PAGE_BYTES);
	test_ways(w, table);
	report_end();
	report_begin("tables written at once");
	test_tables(w, table);
	report_end();
	report_begin("tables used as memory");
	test_reuse(w, table);
	report_end();
}
