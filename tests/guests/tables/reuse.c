// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Frames that are tables now and data then, pages that change their size, frames with a thousand addresses. */
#include "cpu.h"
#include "oracle.h"
#include "print.h"
#include "report.h"
#include "trap.h"
#include "window.h"

enum { TURNS = 40, ALIASES = 1536 };

/* A table that is unlinked and written as data, at full speed, and becomes a table of something else. */
static void test_table_and_data(void)
{
	u64 *frame[4];

	window_begin();
	for (u32 i = 0; i < ARRAY_SIZE(frame); i++)
		frame[i] = alloc_page();
	report_begin("frames as tables and as data by turns");
	for (u32 turn = 0; turn < TURNS; turn++) {
		u32 i = turn % ARRAY_SIZE(frame), slot = 1 + turn % 7;
		uptr region = WINDOW + slot * LARGE_BYTES;

		for (u32 n = 0; n < SLOT; n++)
			frame[i][n] = arena_entry(turn * 13 + n, RIGHTS);
		set(&window.pd[slot], (uptr)frame[i] | RIGHTS);
		invlpg(region);
		for (u32 n = 0; n < SLOT; n += 37)
			oracle_write("as a table", region + n * PAGE_BYTES);
		set(&window.pd[slot], 0);
		invlpg(region);
		oracle_read("unlinked", region);
		/* Data: through the window, too, and read back. */
		window_map(9, (uptr)frame[i] | RIGHTS);
		for (u32 n = 0; n < SLOT; n++)
			((volatile u64 *)window_page(9))[n] = (u64)turn << 32 | n;
		for (u32 n = 0; n < SLOT; n++) {
			if (READ_ONCE(frame[i][n]) != ((u64)turn << 32 | n))
				report_wrong("turn %u: word %u is %llx", turn, n, (unsigned long long)frame[i][n]);
		}
		oracle_write("as data", window_page(9));
		/* A table again, an empty one. */
		memset(frame[i], 0, PAGE_BYTES);
		set(&window.pd[slot], (uptr)frame[i] | RIGHTS);
		oracle_read("empty", region + 8 * PAGE_BYTES);
		set(&frame[i][8], arena_entry(turn, PTE_P));
		oracle_write("read-only", region + 8 * PAGE_BYTES);
		oracle_read("read-only", region + 8 * PAGE_BYTES);
		set(&window.pd[slot], 0);
		write_cr3(read_cr3());
	}
	report_end();
}

/* 2 MiB, or 1 GiB, as one page and as a table by turns. */
static void test_sizes(int level)
{
	u64 *upper = level == 2 ? window.pd : window.pdpt, *table;
	uptr region = WINDOW + 3 * (level == 2 ? LARGE_BYTES : BIT(30));
	u64 *entry = &upper[3], large = level == 2 ? (uptr)arena : 0;

	report_begin(level == 2 ? "2 MiB pages and tables by turns" : "1 GiB pages and tables by turns");
	table = alloc_page();
	for (u32 turn = 0; turn < TURNS; turn++) {
		u32 n = random_below(SLOT);
		uptr at = region + (level == 2 ? n * PAGE_BYTES : (uptr)arena + n * PAGE_BYTES);
		u64 rights = turn % 5 == 4 ? PTE_P | PTE_U : RIGHTS;

		if (turn % 2) {
			set(entry, large | rights | PTE_PS | (turn & 4 ? PTE_G : 0));
		} else {
			/* The same memory in small, and sometimes other. */
			for (u32 i = 0; i < SLOT; i++)
				table[i] = level == 2 ? arena_entry(turn & 2 ? i : i * 3, RIGHTS) :
							large | i * LARGE_BYTES | RIGHTS | PTE_PS;
			set(entry, (uptr)table | rights);
		}
		/* This flushes global pages, too. */
		write_cr4(read_cr4() ^ CR4_PGE);
		oracle_read("size", at);
		oracle_write("size", at);
		if (level == 2)
			oracle_access("size", region, (struct access){ .user = true });
	}
	write_cr4(read_cr4() & ~(uptr)CR4_PGE);
	set(entry, 0);
	write_cr3(read_cr3());
	report_end();
}

/* One frame at many addresses; then it becomes a table, and all of them are ways to change it. */
static void test_aliases(void)
{
	u64 *frame, *tables[ALIASES / SLOT];
	uptr region = WINDOW + 16 * LARGE_BYTES, target = SIDE_WINDOW;
	u64 *side;

	window_begin();
	side = pt_entry(window.root, 4, target, 2, RIGHTS);
	report_begin("a frame with many addresses, as data and as a table");
	frame = alloc_page();
	for (u32 i = 0; i < ARRAY_SIZE(tables); i++) {
		tables[i] = alloc_page();
		for (u32 n = 0; n < SLOT; n++)
			tables[i][n] = (uptr)frame | RIGHTS;
		set(&window.pd[16 + i], (uptr)tables[i] | RIGHTS);
	}
	for (u32 turn = 0; turn < 2; turn++) {
		for (u32 i = 0; i < ALIASES; i++) {
			volatile u64 *at = (u64 *)(region + i * PAGE_BYTES + (i % SLOT) * 8);

			*at = (u64)turn << 32 | i;
			if (READ_ONCE(frame[i % SLOT]) != ((u64)turn << 32 | i))
				report_wrong("alias %u: the frame has %llx", i, (unsigned long long)frame[i % SLOT]);
		}
		memset(frame, 0, PAGE_BYTES);
		set(side, (uptr)frame | RIGHTS);
		for (u32 i = 0; i < ALIASES; i += 1 + random_below(16)) {
			u32 n = random_below(SLOT);

			*(volatile u64 *)(region + i * PAGE_BYTES + n * 8) = arena_entry(i, RIGHTS);
			invlpg(target + n * PAGE_BYTES);
			oracle_write("by an alias", target + n * PAGE_BYTES);
			/* The page behind it, through another alias again. */
			*(volatile u64 *)(region + (ALIASES - 1 - i) * PAGE_BYTES + n * 8) = 0;
			invlpg(target + n * PAGE_BYTES);
			oracle_read("gone by an alias", target + n * PAGE_BYTES);
		}
		set(side, 0);
		write_cr3(read_cr3());
		oracle_read("no table any more", target);
	}
	report_end();
}

/* Code that changes the entry of the page it runs on: another frame with the same code, and another constant in it. */
extern char self_change[], self_change_end[], self_change_number[];
__asm__(".pushsection .text\n"
	"self_change:\n"			/* rdi: entry, rsi: its new value, rdx: address to flush */
	"	mov	self_change_number(%rip), %eax\n"
	"	mov	%rsi, (%rdi)\n"
	"	invlpg	(%rdx)\n"
	"	jmp	1f\n"
	"1:	mov	self_change_number(%rip), %ecx\n"
	"	shl	$16, %eax\n"
	"	or	%ecx, %eax\n"
	"	ret\n"
	"self_change_number: .long 0\n"
	"self_change_end: .popsection");

static void test_code(void)
{
	u32 (*run)(u64 *entry, u64 value, uptr flush) = (void *)window_page(5);
	u8 *frame[2] = { alloc_page(), alloc_page() };

	window_begin();
	report_begin("code that changes the entry it runs through");
	for (u32 i = 0; i < 2; i++) {
		memcpy(frame[i], self_change, self_change_end - self_change);
		frame[i][self_change_number - self_change] = i + 1;
	}
	window_map(5, (uptr)frame[0] | PTE_P);
	for (u32 turn = 0; turn < 2 * TURNS; turn++) {
		u32 now = turn % 2 + 1, then = 3 - now, got;
		u64 value = (uptr)frame[then - 1] | (turn % 3 ? PTE_P : PTE_P | PTE_W);

		got = run(&window.pt[5], value, window_page(5));
		if (got != (now << 16 | then))
			report_wrong("turn %u: %x, not %x", turn, got, now << 16 | then);
		if (turn % 8 == 7) {
			/* The upper entry, on which it runs, too: the same again. */
			got = run(window.pd, (uptr)window.pt | RIGHTS, window_page(5));
			if (got != (then << 16 | then))
				report_wrong("turn %u: %x with its directory rewritten", turn, got);
		}
	}
	report_end();
}

void test_reuse(void)
{
	test_table_and_data();
	window_begin();
	test_sizes(2);
	if (cpu_has_1g())
		test_sizes(3);
	else
		report_skip("1 GiB pages and tables by turns", "this CPU has none");
	test_aliases();
	test_code();
}
