// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Address spaces made, copied, written and thrown away, as fast as processes are. */
#include "cpu.h"
#include "oracle.h"
#include "report.h"
#include "trap.h"
#include "window.h"

enum { PROCESS_PAGES = 24 };

struct process {
	u64 *root, *pdpt, *pd, *pt;
};

static void process_free(struct process *p)
{
	for (u32 i = 0; i < PROCESS_PAGES; i++) {
		if (p->pt[i * 21] & BIT(9))		/* a frame of its own */
			free_page((void *)(p->pt[i * 21] & PTE_ADDRESS));
	}
	free_page(p->pt);
	free_page(p->pd);
	free_page(p->pdpt);
	free_page(p->root);
}

static struct process process_new(void)
{
	struct process p = { space_new(), alloc_page(), alloc_page(), alloc_page() };

	p.pd[7] = (uptr)p.pt | RIGHTS;
	p.pdpt[3] = (uptr)p.pd | RIGHTS;
	p.root[WINDOW >> 39 & 511] = (uptr)p.pdpt | RIGHTS;
	return p;
}

static uptr process_page(u32 i)
{
	return WINDOW + 3 * BIT(30) + 7 * LARGE_BYTES + i * 21 * PAGE_BYTES;
}

static void write_word(void *at)
{
	*(volatile u64 *)at = (uptr)at;
}

/* Both sides lose W, and share the frames; the child owns none. */
static struct process process_fork(struct process *parent)
{
	struct process child = process_new();

	for (u32 i = 0; i < PROCESS_PAGES; i++) {
		u64 *entry = &parent->pt[i * 21];

		set(entry, *entry & ~(u64)PTE_W);
		set(&child.pt[i * 21], *entry & ~(BIT(9) | PTE_A | PTE_D));
	}
	write_cr3(read_cr3());
	return child;
}

/* A write: a fault for want of W first, then a frame of its own. */
static void process_write(struct process *p, u32 i)
{
	u64 *entry = &p->pt[i * 21];
	uptr at = process_page(i);
	struct trap trap;
	u64 *frame;

	if (*entry & PTE_W) {
		oracle_write("own page", at);
		return;
	}
	if (!trap_catch(write_word, (void *)at, &trap) || trap.error != (PF_P | PF_W)) {
		report_wrong("a write to the shared page %u does not fault", i);
		return;
	}
	frame = alloc_page();
	memcpy(frame, (void *)(*entry & PTE_ADDRESS), PAGE_BYTES);
	set(entry, (uptr)frame | RIGHTS | BIT(9));
	invlpg(at);
	oracle_write("copied page", at);
}

static void test_forks(u32 turns)
{
	struct process parent = process_new();
	size_t pages = 0;

	report_begin("copy on write, in new address spaces without end");
	for (u32 i = 0; i < PROCESS_PAGES; i++) {
		arena_frame(i);
		set(&parent.pt[i * 21], arena_entry(i, RIGHTS));
	}
	write_cr3((uptr)parent.root);
	for (u32 turn = 0; turn < turns && report_wrongs() < 20; turn++) {
		struct process child = process_fork(&parent);
		u64 kept = READ_ONCE(*(u64 *)process_page(3));

		write_cr3((uptr)child.root);
		for (u32 i = 0; i < PROCESS_PAGES; i++) {
			if (random_below(2))
				process_write(&child, i);
			else
				oracle_read("shared page", process_page(i));
		}
		/* The last turn leaves as many frames as the first. */
		write_cr3((uptr)parent.root);
		if (READ_ONCE(*(u64 *)process_page(3)) != kept)
			report_wrong("turn %u: the parent sees the child's write", turn);
		process_free(&child);
		for (u32 i = 0; i < PROCESS_PAGES; i++) {
			set(&parent.pt[i * 21], (parent.pt[i * 21] & ~(u64)PTE_A) | PTE_W);
			invlpg(process_page(i));
		}
		oracle_write("parent", process_page(turn % PROCESS_PAGES));
		if (turn == 0)
			pages = free_pages();
		else if (free_pages() < pages - PROCESS_PAGES)
			report_wrong("turn %u: pages are lost in the test itself", turn);
	}
	write_cr3((uptr)window.root);
	process_free(&parent);
	report_end();
}

/* Thousands of tables, each for one page: more than a host may want to mirror at once. */
static void test_many_tables(u32 tables)
{
	u32 step = tables / 64 + 1;

	window_begin();
	report_begin("thousands of tables");
	for (u32 turn = 0; turn < 2; turn++) {
		for (u32 i = 0; i < tables; i++) {
			uptr at = SIDE_WINDOW + i * LARGE_BYTES + (uptr)(i % SLOT) * PAGE_BYTES;
			u64 *entry = pt_entry(window.root, 4, at, 1, RIGHTS);

			set(entry, arena_entry(i + turn, RIGHTS));
			invlpg(at);
			if (*(volatile u64 *)at == 0)
				report_wrong("table %u: nothing", i);
		}
		for (u32 i = turn; i < tables; i += step)
			oracle_write("many", SIDE_WINDOW + i * LARGE_BYTES + (uptr)(i % SLOT) * PAGE_BYTES);
	}
	report_end();
}

/* Address spaces by turns, each with a page of its own at one address, and changed while they are away. */
static void test_switches(u32 switches)
{
	enum { SPACES = 32 };
	u64 *root[SPACES], *entry[SPACES];
	u32 n = 0;
	u64 start;

	report_begin("32 address spaces by turns");
	for (u32 i = 0; i < SPACES; i++) {
		root[i] = space_new();
		entry[i] = pt_entry(root[i], 4, WINDOW, 1, RIGHTS);
		set(entry[i], arena_entry(i, RIGHTS));
		arena_frame(i);
	}
	start = rdtsc();
	for (u32 turn = 0; turn < switches; turn++) {
		u64 want = (READ_ONCE(*entry[n]) & PTE_ADDRESS) ^ BIT(60);

		write_cr3((uptr)root[n]);
		if (*(volatile u64 *)WINDOW != want)
			report_wrong("space %u: %llx, not %llx", n, *(unsigned long long *)WINDOW,
				     (unsigned long long)want);
		if (turn % 16 == 3) {
			u32 other = random_below(SPACES), frame = 2 * SPACES + random_below(256);

			arena_frame(frame);
			set(entry[other], arena_entry(frame, RIGHTS));
			if (other == n)
				invlpg(WINDOW);
		}
		n = turn % 7 ? (n + 1) % SPACES : random_below(SPACES);
	}
	print("  %u switches, %llu cycles each\n", switches,
	      (unsigned long long)(rdtsc() - start) / (switches ? switches : 1));
	write_cr3((uptr)window.root);
	report_end();
}

void test_storms(void)
{
	window_begin();
	test_forks(option_number("forks", 20));
	test_many_tables(option_number("tables", 1200));
	window_begin();
	test_switches(option_number("switches", 3000));
}
