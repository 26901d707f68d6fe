// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Guests on all CPUs at once under one tree of nested tables, each in pages of its own. The hypervisor has mapped them
 * all: every fault is the host's.
 */
#include "cpu.h"
#include "mark.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "setting.h"
#include "smp.h"

enum { CPUS = 8 };

struct worker {
	struct l2 l2;
	u64 start, pages;
	u64 cycles;
	bool good;
};

static struct worker workers[CPUS];
static int waiting;

static void work(void *arg)
{
	struct worker *w = arg;
	u64 begin;

	/* Together. */
	__atomic_fetch_sub(&waiting, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) > 0)
		pause();
	begin = rdtsc();
	w->good = l2_touches(&w->l2, w->start, PAGE_BYTES, w->pages);
	w->cycles = rdtsc() - begin;
}

/* `cpus` guests, `pages` each. Returns the cycles until the last was done. */
static u64 run(int cpus, u64 pages, uptr frames)
{
	struct nested nested = nested_make(NESTED_4);
	u64 longest = 0;

	nested_map_low(&nested);
	for (u64 i = 0; i < cpus * pages; i++)
		nested_map(&nested, L2_TEST + i * PAGE_BYTES, frames + i * PAGE_BYTES, 1, ENTRY_ALL);
	waiting = cpus;
	for (int i = cpus - 1; i >= 0; i--) {
		workers[i] = (struct worker){
			.l2 = l2_make(L2_FLAT, &nested, 1), .start = L2_TEST + i * pages * PAGE_BYTES, .pages = pages,
		};
		if (i)
			smp_run(i, work, &workers[i]);
	}
	work(&workers[0]);
	for (int i = 0; i < cpus; i++) {
		if (i)
			smp_wait(i);
		if (!workers[i].good)
			report_failure("parallel", "CPU %d: exit %lx info %lx %lx", i, workers[i].l2.vmcb->exit_code,
				       workers[i].l2.vmcb->exit_info1, workers[i].l2.vmcb->exit_info2);
		if (workers[i].cycles > longest)
			longest = workers[i].cycles;
	}
	return longest;
}

void test_parallel(void)
{
	int cpus = smp_start();
	u64 pages = option_number("pages", 4096), rounds = option_number("rounds", 3);
	uptr frames = (uptr)alloc_pages(cpus * pages, PAGE_BYTES);
	u64 alone = 0, together = 0;

	if (cpus < 2) {
		report_skip("parallel", "there is one CPU");
		return;
	}
	for (int i = 1; i < cpus; i++) {
		const char *why = NULL;

		smp_run(i, svm_enable_here, &why);
		smp_wait(i);
		if (why)
			report_failure("parallel", "CPU %d: %s", i, why);
	}
	for (u64 round = 0; round < rounds; round++) {
		u64 cycles;

		mark("alone.begin");
		cycles = run(1, pages, frames);
		mark("alone.end");
		alone += cycles;
		mark("together.begin");
		cycles = run(cpus, pages, frames);
		mark("together.end");
		together += cycles;
	}
	/* Hundredths of the rate of one. */
	print("parallel: %d CPUs, %lu pages each, %lu kilocycles alone, %lu together, rate %lu/100\n", cpus, pages,
	      alone / rounds / 1000, together / rounds / 1000, together ? 100 * cpus * alone / together : 0);
	report_ok("parallel");
}
