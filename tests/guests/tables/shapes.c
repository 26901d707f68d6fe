// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Trees that no operating system would build: tables that map themselves, that serve at two levels, that many share. */
#include "cpu.h"
#include "oracle.h"
#include "report.h"
#include "trap.h"
#include "window.h"

enum { SELF = 50, TURNS = 60 };

/* Where a top entry that points at its own table shows the entry of an address at a level. */
static u64 *self_entry(uptr address, int level)
{
	u64 at = address >> (9 * level) & (BIT(48 - 9 * level) - 1) & ~7ull;

	for (int i = 0; i < level; i++)
		at |= (u64)SELF << (39 - 9 * i);
	return (u64 *)at;
}

/* All entries are read and written by the map of the tables that the top table's entry of itself makes. */
static void test_self(void)
{
	window_begin();
	set(&window.root[SELF], (uptr)window.root | RIGHTS);
	report_begin("a top table that maps itself");
	for (u32 turn = 0; turn < TURNS; turn++) {
		u32 n = random_below(SLOT);
		uptr page = window_page(n);
		u64 *entry = self_entry(page, 1);

		set(entry, arena_entry(random_below(ARENA_PAGES), turn % 3 ? RIGHTS : PTE_P));
		invlpg(page);
		if ((READ_ONCE(window.pt[n]) ^ READ_ONCE(*entry)) & ~(u64)(PTE_A | PTE_D))
			report_wrong("entry %u is %llx through itself, and %llx", n, (unsigned long long)*entry,
				     (unsigned long long)window.pt[n]);
		oracle_write("self", page);
		oracle_read("its entry", (uptr)self_entry(page, 1));
		oracle_read("its entry's entry", (uptr)self_entry(page, 2));
		oracle_read("the third", (uptr)self_entry(page, 3));
		oracle_read("the top one", (uptr)self_entry(page, 4));
		if (turn % 10 == 9) {
			u64 *upper = self_entry(page, 2), old = READ_ONCE(*upper);

			set(upper, 0);
			invlpg(page);
			invlpg((uptr)entry);
			oracle_read("without its table", page);
			oracle_read("the entry of no table", (uptr)entry);
			set(upper, old);
			oracle_read("with its table", page);
		}
		if (turn % 10 == 4) {
			/* A table can lose W while the CPU sets A and D through it, and get it back by itself. */
			set(self_entry((uptr)entry, 1), (uptr)window.pt | PTE_P);
			invlpg((uptr)entry);
			oracle_write("a table that is read-only for itself", (uptr)entry);
			set(&window.pd[0], (uptr)window.pt | RIGHTS);
			invlpg((uptr)entry);
			invlpg(page);
			oracle_read("writable again", page);
		}
	}
	report_end();
}

/* One table is the directory of one region and the last table of another: its entries are tables, and pages. */
static void test_two_levels(void)
{
	u64 *both, *lower[4];

	window_begin();
	both = alloc_page();
	report_begin("one table at two levels");
	set(&window.pdpt[1], (uptr)both | RIGHTS);		/* as a directory, at 1 GiB of the window */
	set(&window.pd[1], (uptr)both | RIGHTS);		/* as a last table, at 2 MiB */
	for (u32 i = 0; i < ARRAY_SIZE(lower); i++) {
		lower[i] = alloc_page();
		set(&both[i], (uptr)lower[i] | RIGHTS);
	}
	for (u32 turn = 0; turn < TURNS; turn++) {
		u32 i = random_below(ARRAY_SIZE(lower)), n = random_below(SLOT);
		uptr deep = WINDOW + BIT(30) + i * LARGE_BYTES + n * PAGE_BYTES;
		uptr entry = WINDOW + LARGE_BYTES + i * PAGE_BYTES + n * 8;
		u64 value = arena_entry(random_below(ARENA_PAGES), RIGHTS);

		/* The page through one level is the table of the other one. */
		if (turn % 2)
			*(volatile u64 *)entry = value;
		else
			set(&lower[i][n], value);
		invlpg(deep);
		oracle_write("as a directory", deep);
		oracle_read("as a last table", entry);
		if (turn % 8 == 7) {
			set(&both[i], (uptr)lower[i] | PTE_P | PTE_U);
			write_cr3(read_cr3());
			oracle_write("fewer rights for both", deep);
			oracle_write("fewer rights for both", entry);
			set(&both[i], (uptr)lower[i] | RIGHTS);
			write_cr3(read_cr3());
		}
	}
	report_end();
}

/* One last table below entries with different rights, in one address space and in two: rights are those of the way. */
static void test_shared(void)
{
	static const u64 upper[] = { RIGHTS, PTE_P | PTE_U, PTE_P | PTE_W, PTE_P, RIGHTS | PTE_NX };
	u64 *other = space_new(), *first;
	bool nx = cpu_has_nx();

	window_begin();
	first = window.root;
	report_begin("one table below different rights");
	for (u32 i = 0; i < ARRAY_SIZE(upper); i++)
		set(&window.pd[i], (uptr)window.pt | (nx ? upper[i] : upper[i] & ~PTE_NX));
	/* The other space reaches the same directory, and has no right to write below the top. */
	set(&other[WINDOW >> 39 & 511], (uptr)window.pdpt | PTE_P | PTE_U);
	for (u32 turn = 0; turn < 3 * TURNS && report_wrongs() < 20; turn++) {
		u32 n = random_below(8);
		u64 bits = random_below(4) ? RIGHTS : random_below(8);

		set(&window.pt[n], arena_entry(random_below(ARENA_PAGES), bits));
		write_cr3((uptr)(turn % 3 ? first : other));
		for (u32 i = 0; i < 6; i++) {
			uptr at = WINDOW + random_below(ARRAY_SIZE(upper)) * LARGE_BYTES + n * PAGE_BYTES;

			oracle_access("shared", at, (struct access){ .write = i % 2, .user = random_below(2) });
		}
	}
	write_cr3((uptr)first);
	report_end();
}

/* CR0.WP changes what the same entries give a supervisor, at once. */
static void test_write_protect(void)
{
	window_begin();
	report_begin("CR0.WP back and forth");
	for (u32 i = 0; i < 8; i++)
		set(&window.pt[i], arena_entry(i, PTE_P | (i & 1 ? PTE_W : 0) | (i & 2 ? PTE_U : 0)));
	for (u32 turn = 0; turn < 2 * TURNS && report_wrongs() < 20; turn++) {
		uptr at = window_page(random_below(8));

		write_cr0((read_cr0() & ~(uptr)CR0_WP) | (random_below(2) ? CR0_WP : 0));
		for (u32 i = 0; i < 4; i++)
			oracle_access("WP", at, (struct access){ .write = random_below(2), .user = random_below(2) });
	}
	write_cr0(read_cr0() | CR0_WP);
	report_end();
}

void test_shapes(void)
{
	test_self();
	test_two_levels();
	test_shared();
	test_write_protect();
}
