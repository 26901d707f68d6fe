// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A live table is written in every way an instruction can write: each size, alignment, locked operation, string. After
 * a flush, every page whose entry was touched must be what the table says.
 */
#include "cpu.h"
#include "oracle.h"
#include "print.h"
#include "report.h"
#include "window.h"

enum { PAGES = 16 };

static u32 turns;

/* Entries that a mix of their bytes leaves valid: frames of the arena, rights, all software bits. */
static u64 random_entry(void)
{
	u64 bits = random_below(16) ? PTE_P : 0;

	bits |= random_below(4) ? PTE_W : 0;
	bits |= random_below(2) ? PTE_U : 0;
	bits |= random_below(8) ? 0 : PTE_NX;
	bits |= (u64)random_below(8) << 9 | (u64)random_below(128) << 52;
	return arena_entry(random_below(ARENA_PAGES), bits);
}

static void refill(void)
{
	for (u32 i = 0; i < PAGES; i++)
		window_map(i, random_entry());
}

static bool check_all(const char *what)
{
	bool good = true;

	for (u32 i = 0; i < PAGES; i++) {
		invlpg(window_page(i));
		good &= random_below(3) ? oracle_read(what, window_page(i)) : oracle_write(what, window_page(i));
	}
	return good;
}

typedef void (*writer)(u8 *at, const u8 *value, size_t bytes);

static void write_plain(u8 *at, const u8 *value, size_t bytes)
{
	switch (bytes) {
	case 1:
		*(volatile u8 *)at = *value;
		break;
	case 2:
		__asm__ volatile("movw %1, %0" : "=m"(*at) : "r"(*(const u16 *)value) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %1, %0" : "=m"(*at) : "r"(*(const u32 *)value) : "memory");
		break;
	default:
		__asm__ volatile("movq %1, %0" : "=m"(*at) : "r"(*(const u64 *)value) : "memory");
	}
}

static void write_exchange(u8 *at, const u8 *value, size_t bytes)
{
	switch (bytes) {
	case 1:
		__asm__ volatile("xchgb %0, %1" : "+m"(*at) : "q"(*value) : "memory");
		break;
	case 2:
		__asm__ volatile("xchgw %0, %1" : "+m"(*at) : "r"(*(const u16 *)value) : "memory");
		break;
	case 4:
		__asm__ volatile("xchgl %0, %1" : "+m"(*at) : "r"(*(const u32 *)value) : "memory");
		break;
	default:
		__asm__ volatile("xchgq %0, %1" : "+m"(*at) : "r"(*(const u64 *)value) : "memory");
	}
}

static void write_xor(u8 *at, const u8 *value, size_t bytes)
{
	u64 difference = 0;

	for (size_t i = 0; i < bytes; i++)
		difference |= (u64)(at[i] ^ value[i]) << (8 * i);
	switch (bytes) {
	case 1:
		__asm__ volatile("lock xorb %b1, %0" : "+m"(*at) : "q"(difference) : "memory");
		break;
	case 2:
		__asm__ volatile("xorw %w1, %0" : "+m"(*at) : "r"(difference) : "memory");
		break;
	case 4:
		__asm__ volatile("lock xorl %k1, %0" : "+m"(*at) : "r"(difference) : "memory");
		break;
	default:
		__asm__ volatile("lock xorq %1, %0" : "+m"(*at) : "r"(difference) : "memory");
	}
}

static void write_compare(u8 *at, const u8 *value, size_t bytes)
{
	u64 old = 0;

	memcpy(&old, at, bytes);
	switch (bytes) {
	case 1:
		__asm__ volatile("lock cmpxchgb %2, %0" : "+m"(*at), "+a"(old) : "q"(*value) : "memory");
		break;
	case 2:
		__asm__ volatile("lock cmpxchgw %w2, %0" : "+m"(*at), "+a"(old) : "r"(*(const u16 *)value) : "memory");
		break;
	case 4:
		__asm__ volatile("lock cmpxchgl %k2, %0" : "+m"(*at), "+a"(old) : "r"(*(const u32 *)value) : "memory");
		break;
	default:
		__asm__ volatile("lock cmpxchgq %2, %0" : "+m"(*at), "+a"(old) : "r"(*(const u64 *)value) : "memory");
	}
}

static void write_string(u8 *at, const u8 *value, size_t bytes)
{
	const u8 *from = value;

	switch (bytes) {
	case 1:
		__asm__ volatile("movsb" : "+D"(at), "+S"(from) :: "memory");
		break;
	case 2:
		__asm__ volatile("movsw" : "+D"(at), "+S"(from) :: "memory");
		break;
	case 4:
		__asm__ volatile("movsl" : "+D"(at), "+S"(from) :: "memory");
		break;
	default:
		__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) :: "memory");
	}
}

/* Some bytes of an entry replaced by those of another one, at each offset; `bytes` may reach into the next entry. */
static void test_writer(const char *name, writer write, bool misaligned)
{
	report_begin(name);
	for (size_t bytes = 1; bytes <= 8; bytes *= 2) {
		for (u32 turn = 0; turn < turns && report_wrongs() < 20; turn++) {
			u32 offset = random_below((PAGES - 1) * 8);
			u64 value[3] = { random_entry(), random_entry(), random_entry() };
			u8 want[8];

			if (!misaligned)
				offset = offset / bytes * bytes;
			if (turn % 8 == 0) {
				refill();
				check_all("before");
			}
			memcpy(want, (u8 *)value + offset % 8, bytes);
			write((u8 *)window.pt + offset, want, bytes);
			if (memcmp((u8 *)window.pt + offset, want, bytes))
				report_wrong("%lu bytes at %u did not arrive", (unsigned long)bytes, offset);
			check_all("after");
		}
	}
	report_end();
}

static void test_bits(void)
{
	static const u8 bit[] = { 0, 1, 2, 63, 9, 55 };

	report_begin("bts, btr, btc on entries");
	refill();
	for (u32 turn = 0; turn < 3 * turns; turn++) {
		u64 *entry = &window.pt[random_below(PAGES)], number = bit[random_below(ARRAY_SIZE(bit))];

		switch (turn % 3) {
		case 0:
			__asm__ volatile("lock btsq %1, %0" : "+m"(*entry) : "r"(number) : "memory");
			break;
		case 1:
			__asm__ volatile("lock btrq %1, %0" : "+m"(*entry) : "r"(number) : "memory");
			break;
		default:
			__asm__ volatile("btcq %1, %0" : "+m"(*entry) : "r"(number) : "memory");
		}
		check_all("after");
	}
	report_end();
}

static void test_wide_compare(void)
{
	report_begin("cmpxchg8b, cmpxchg16b on entries");
	for (u32 turn = 0; turn < turns; turn++) {
		u64 *pair = &window.pt[random_below(PAGES / 2) * 2];
		u64 old[2] = { READ_ONCE(pair[0]), READ_ONCE(pair[1]) }, new[2] = { random_entry(), random_entry() };
		bool done;

		if (turn % 8 == 0)
			refill();
		old[0] = READ_ONCE(pair[0]);
		old[1] = READ_ONCE(pair[1]);
		if (turn % 2) {
			__asm__ volatile("lock cmpxchg16b %1; sete %0" : "=q"(done), "+m"(*(unsigned __int128 *)pair),
					 "+a"(old[0]), "+d"(old[1]) : "b"(new[0]), "c"(new[1]) : "memory", "cc");
		} else {
			u32 low = old[0], high = old[0] >> 32;

			__asm__ volatile("lock cmpxchg8b %1; sete %0" : "=q"(done), "+m"(*pair), "+a"(low), "+d"(high) :
					 "b"((u32)new[0]), "c"((u32)(new[0] >> 32)) : "memory", "cc");
		}
		if (!done || READ_ONCE(pair[0]) != new[0])
			report_wrong("turn %u: %llx is not %llx", turn, (unsigned long long)pair[0],
				     (unsigned long long)new[0]);
		check_all("after");
	}
	report_end();
}

static void test_vectors(void)
{
	report_begin("16-byte stores over two entries");
	for (u32 turn = 0; turn < turns; turn++) {
		u64 value[2] __attribute__((aligned(16))) = { random_entry(), random_entry() };
		u64 *pair = &window.pt[random_below(PAGES - 1)];

		if (turn % 8 == 0)
			refill();
		__asm__ volatile("movdqa %1, %%xmm0; movdqu %%xmm0, %0" : "=m"(*(u64 (*)[2])pair) :
				 "m"(*(u64 (*)[2])value) : "memory");
		if (memcmp(pair, value, sizeof(value)))
			report_wrong("turn %u: it did not arrive", turn);
		check_all("after");
	}
	report_end();
}

/* A whole table at once, from another one, by strings of each width and by a loop. */
static void test_copies(void)
{
	u64 *from = alloc_page();

	report_begin("whole tables copied and cleared");
	for (u32 turn = 0; turn < 8; turn++) {
		void *to = window.pt, *source = from;
		size_t count = PAGE_BYTES;

		for (u32 i = 0; i < SLOT; i++)
			from[i] = random_entry();
		switch (turn % 4) {
		case 0:
			__asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(count) :: "memory");
			break;
		case 1:
			count /= 8;
			__asm__ volatile("rep movsq" : "+D"(to), "+S"(source), "+c"(count) :: "memory");
			break;
		case 2:
			for (u32 i = 0; i < SLOT; i++)
				set(&window.pt[i], from[i]);
			break;
		default:
			count /= 4;
			__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
		}
		write_cr3(read_cr3());
		for (u32 i = 0; i < SLOT; i += turn % 4 == 3 ? 31 : 5)
			oracle_read("copied", window_page(i));
	}
	report_end();
}

/* The same bytes written to tables of upper levels, which lead to one of two last tables. */
static void test_upper(void)
{
	u64 *level[] = { window.pd, window.pdpt, &window.root[WINDOW >> 39 & 511] };
	u64 *other = alloc_page();

	report_begin("entries of upper levels, in parts");
	for (u32 i = 0; i < PAGES; i++)
		set(&other[i], arena_entry(i * 7, RIGHTS));
	refill();
	for (u32 turn = 0; turn < turns; turn++) {
		u64 *entry = level[turn % 3], old = *entry, new = old;
		size_t bytes = 1 << random_below(4);

		if (turn % 3 == 0)
			new = ((old & PTE_ADDRESS) == (uptr)window.pt ? (uptr)other : (uptr)window.pt) | RIGHTS;
		else
			new = old ^ (random_below(2) ? PTE_W : PTE_U);
		for (size_t at = 0; at < 8; at += bytes)
			write_plain((u8 *)entry + at, (u8 *)&new + at, bytes);
		check_all("upper");
		if (turn % 5 == 4) {
			set(entry, 0);
			check_all("gone");
			set(entry, new | PTE_W | PTE_U);
			check_all("back");
		}
	}
	for (u32 i = 0; i < 3; i++)
		set(level[i], (*level[i] & PTE_ADDRESS) | RIGHTS);
	set(window.pd, (uptr)window.pt | RIGHTS);
	write_cr3(read_cr3());
	report_end();
}

void test_writes(void)
{
	turns = option_number("turns", 8);
	window_begin();
	test_writer("mov to entries", write_plain, false);
	test_writer("xchg to entries", write_exchange, false);
	test_writer("xor to entries", write_xor, false);
	test_writer("cmpxchg to entries", write_compare, false);
	test_writer("string instructions to entries", write_string, false);
	test_writer("misaligned mov to entries", write_plain, true);
	test_writer("misaligned strings to entries", write_string, true);
	test_bits();
	if (cpuid(1, 0).c & BIT(13))
		test_wide_compare();
	else
		report_skip("cmpxchg8b, cmpxchg16b on entries", "this CPU has no cmpxchg16b");
	test_vectors();
	test_copies();
	test_upper();
}
