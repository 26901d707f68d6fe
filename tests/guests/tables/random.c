// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Random trees. A few frames are tables at any level, at several at once, below several roots, of themselves, and data
 * pages too; any entry becomes anything: nothing, a table, a page, a large page. After each flush what was flushed
 * must be what memory says.
 *
 * Addresses have small indices at each level, and data are written behind the entries these select.
 */
#include "cpu.h"
#include "oracle.h"
#include "report.h"
#include "window.h"

enum { TABLES = 12, ROOTS = 3, INDICES = 6, FRAMES = 64, DATA = 2048 };

static u64 *tables[TABLES], *roots[ROOTS];
static u32 root_now;

static u64 random_rights(void)
{
	static const u64 rights[] = { RIGHTS, RIGHTS, RIGHTS, PTE_P | PTE_W, PTE_P | PTE_U, PTE_P };

	return rights[random_below(ARRAY_SIZE(rights))] | (cpu_has_nx() && random_below(16) == 0 ? PTE_NX : 0);
}

static u64 random_entry(void)
{
	switch (random_below(10)) {
	case 0:
		return random_below(2) ? 0 : arena_entry(random_below(FRAMES), PTE_W | PTE_U);
	case 1:
		return ((uptr)arena + random_below(8) * LARGE_BYTES) | random_rights() | PTE_PS;
	case 2:
		return random_rights() | PTE_PS;		/* 1 GiB from 0 on, or 2 MiB */
	case 3:
	case 4:
		return arena_entry(random_below(FRAMES), random_rights());
	default:
		return (uptr)tables[random_below(TABLES)] | random_rights();
	}
}

static uptr random_address(void)
{
	uptr at = WINDOW;

	for (int level = 1; level < 4; level++)
		at |= (uptr)random_below(INDICES) << (12 + 9 * (level - 1));
	return at + DATA + random_below(200) * 8;
}

/* By the identity map, or by the page of the side window that shows the table. */
static void edit(void)
{
	u32 t = random_below(TABLES), i = random_below(INDICES);
	u64 *at = random_below(2) ? tables[t] : (u64 *)(SIDE_WINDOW + t * PAGE_BYTES);

	if (random_below(8) == 0)
		set(&roots[random_below(ROOTS)][WINDOW >> 39 & 511],
		    (uptr)tables[random_below(TABLES)] | random_rights());
	else if (random_below(4) == 0 && READ_ONCE(at[i]) & PTE_ADDRESS)
		set(&at[i], READ_ONCE(at[i]) ^ BIT(random_below(3)));
	else
		set(&at[i], random_entry());
}

static void access_random(uptr at)
{
	struct access access = { .write = random_below(2), .user = random_below(2) };
	struct paging p = paging_now();
	u64 entry[LEVELS];

	/* What a page of 1 GiB shows is the kernel's own: it is only read. */
	entries_of(&p, at, entry);
	if (entry[3] & PTE_PS)
		access.write = false;
	oracle_access("random", at, access);
}

static void flush_all(void)
{
	switch (random_below(3)) {
	case 0:
		write_cr4(read_cr4() ^ CR4_PGE);
		break;
	case 1:
		write_cr3(read_cr3());
		break;
	default:
		root_now = random_below(ROOTS);
		write_cr3((uptr)roots[root_now]);
	}
}

void test_random(void)
{
	u32 steps = option_number("steps", 400);

	window_begin();
	for (u32 i = 0; i < TABLES; i++)
		tables[i] = alloc_page();
	/* Frames whose first words are entries, too, of themselves. */
	for (u32 i = 0; i < FRAMES; i++) {
		memset(arena_frame(i), 0, PAGE_BYTES);
		arena_frame(i);
	}
	for (u32 r = 0; r < ROOTS; r++) {
		roots[r] = space_new();
		set(&roots[r][WINDOW >> 39 & 511], (uptr)tables[r] | RIGHTS);
		for (u32 i = 0; i < TABLES; i++)
			set(pt_entry(roots[r], 4, SIDE_WINDOW + i * PAGE_BYTES, 1, RIGHTS), (uptr)tables[i] | RIGHTS);
	}
	for (u32 i = 0; i < 4 * TABLES; i++)
		set(&tables[i % TABLES][random_below(INDICES)], (uptr)tables[random_below(TABLES)] | RIGHTS);
	write_cr3((uptr)roots[0]);
	report_begin("random trees");
	for (u32 step = 0; step < steps && report_wrongs() < 10; step++) {
		uptr one = random_address();

		for (u32 i = 0; i < 1 + random_below(3); i++)
			edit();
		if (random_below(8) == 0)
			write_cr0(read_cr0() ^ CR0_WP);
		if (random_below(3) == 0) {
			invlpg(one);
			access_random(one);
			continue;
		}
		flush_all();
		for (u32 i = 0; i < 8; i++)
			access_random(random_address());
	}
	write_cr0(read_cr0() | CR0_WP);
	write_cr4(read_cr4() & ~(uptr)CR4_PGE);
	write_cr3((uptr)window.root);
	report_end();
}
