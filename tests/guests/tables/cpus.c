// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two CPUs on the same tables. */
#include "cpu.h"
#include "oracle.h"
#include "report.h"
#include "smp.h"
#include "trap.h"
#include "window.h"

enum { VEC_SHOOTDOWN = 0xe0, HOT_PAGES = 8 };

static u32 rounds;
static bool stop;
static u32 acknowledged, requested;
static u64 reads;

static void shootdown(void)
{
	for (u32 i = 0; i < HOT_PAGES; i++)
		invlpg(window_page(i));
	__atomic_store_n(&acknowledged, __atomic_load_n(&requested, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

/*
 * Frames hold what they are for: a frame in use holds its own address, one that was taken away holds a poison. A word
 * is read between two looks at the number of the last flush: if that did not move, no poison may be seen.
 */
static void read_hot(void *arg)
{
	bool by_interrupt = arg;

	write_cr3((uptr)window.root);
	if (by_interrupt)
		irq_enable();
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		u32 page = (u32)reads % HOT_PAGES;
		u64 seen, before = __atomic_load_n(&acknowledged, __ATOMIC_ACQUIRE), after;

		seen = *(volatile u64 *)window_page(page);
		after = __atomic_load_n(&acknowledged, __ATOMIC_ACQUIRE);
		reads++;
		if (before == after && seen == ~0ull)
			report_wrong("page %u: a frame that was taken away, flush %u", page, (u32)before);
		if (!by_interrupt && __atomic_load_n(&requested, __ATOMIC_ACQUIRE) != acknowledged)
			shootdown();
	}
	irq_disable();
}

static void write_frame(u32 frame, u64 value)
{
	WRITE_ONCE(*(u64 *)(arena + (uptr)frame * PAGE_BYTES), value);
}

static void test_shootdown(bool by_interrupt)
{
	u32 frame[HOT_PAGES], next = HOT_PAGES;

	window_begin();
	report_begin(by_interrupt ? "shootdown by interrupt" : "shootdown by a flag");
	for (u32 i = 0; i < HOT_PAGES; i++) {
		frame[i] = i;
		arena_frame(i);
		set(&window.pt[i], arena_entry(i, RIGHTS));
	}
	irq_handle(VEC_SHOOTDOWN, shootdown);
	stop = false;
	acknowledged = requested = 0;
	reads = 0;
	smp_run(1, read_hot, by_interrupt ? &stop : NULL);
	while (!READ_ONCE(reads))
		pause();
	for (u32 round = 1; round <= rounds && !report_wrongs(); round++) {
		u32 page = random_below(HOT_PAGES), old = frame[page];

		frame[page] = next++ % 1024;
		while (frame[page] == old)
			frame[page] = next++ % 1024;
		arena_frame(frame[page]);
		set(&window.pt[page], arena_entry(frame[page], RIGHTS));
		invlpg(window_page(page));
		__atomic_store_n(&requested, round, __ATOMIC_RELEASE);
		if (by_interrupt)
			smp_interrupt(1, VEC_SHOOTDOWN);
		while (__atomic_load_n(&acknowledged, __ATOMIC_ACQUIRE) != round)
			pause();
		/* The frame is nobody's now, unless another page has it. */
		for (u32 i = 0; i < HOT_PAGES; i++) {
			if (frame[i] == old)
				old = ARENA_PAGES;
		}
		if (old != ARENA_PAGES)
			write_frame(old, ~0ull);
		if (round % 4 == 0)
			oracle_read("own view", window_page(page));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	smp_wait(1);
	print("  %u flushes, %lu reads\n", rounds, (unsigned long)reads);
	report_end();
}

/* Each CPU fills and empties a region of its own, below the same upper tables. */
static void fill_own(void *arg)
{
	u32 cpu = smp_cpu();
	u64 *table = *(u64 **)arg;
	uptr region = WINDOW + (2 + cpu) * LARGE_BYTES;

	write_cr3((uptr)window.root);
	for (u32 round = 0; round < rounds / 16 + 2; round++) {
		for (u32 n = 0; n < SLOT; n += 3) {
			u32 frame = 2048 + cpu * 1024 + (round * 7 + n) % 1024;
			uptr at = region + n * PAGE_BYTES;

			set(&table[n], arena_entry(frame, RIGHTS));
			invlpg(at);
			if (*(volatile u64 *)at != ((uptr)(arena + (uptr)frame * PAGE_BYTES) ^ BIT(60)))
				report_wrong("CPU %u: page %u is %llx", cpu, n, *(unsigned long long *)at);
			*(volatile u64 *)(at + 8) = round;
		}
		/* The directory's entry goes and comes, while the other CPU uses its neighbour. */
		set(&window.pd[2 + cpu], 0);
		invlpg(region);
		set(&window.pd[2 + cpu], (uptr)table | RIGHTS);
	}
}

static void test_own_regions(void)
{
	u64 *table[2];

	window_begin();
	for (u32 i = 0; i < ARENA_PAGES; i++)
		arena_frame(i);
	report_begin("faults on two CPUs at once");
	for (u32 i = 0; i < 2; i++) {
		table[i] = alloc_page();
		set(&window.pd[2 + i], (uptr)table[i] | RIGHTS);
	}
	smp_run(1, fill_own, &table[1]);
	fill_own(&table[0]);
	smp_wait(1);
	report_end();
}

/* Entries of a live table as counters: not present, so that all bits but P are free. No count may be lost. */
static void count_up(void *arg)
{
	u32 turns = rounds * 4;

	(void)arg;
	write_cr3((uptr)window.root);
	for (u32 turn = 0; turn < turns; turn++) {
		u64 *entry = &window.pt[turn % 4], old = READ_ONCE(*entry);

		if (turn % 8 < 4) {
			while (!__atomic_compare_exchange_n(entry, &old, old + 2, false, __ATOMIC_SEQ_CST,
							    __ATOMIC_SEQ_CST))
				continue;
		} else {
			__atomic_fetch_add(entry, 2, __ATOMIC_SEQ_CST);
		}
		/* Now and then the table is used, so that it stays one. */
		if (turn % 64 == 0)
			(void)*(volatile u64 *)window_page(8 + smp_cpu());
	}
}

static void test_counters(void)
{
	window_begin();
	report_begin("locked operations of two CPUs on live entries");
	for (u32 i = 0; i < 4; i++)
		set(&window.pt[i], 0);
	set(&window.pt[8], arena_entry(8, RIGHTS));
	set(&window.pt[9], arena_entry(9, RIGHTS));
	smp_run(1, count_up, NULL);
	count_up(NULL);
	smp_wait(1);
	for (u32 i = 0; i < 4; i++) {
		if (window.pt[i] != rounds * 4)
			report_wrong("entry %u counted %llu of %u", i, (unsigned long long)window.pt[i] / 2,
				     rounds * 2);
	}
	report_end();
}

/* One CPU takes W away and gives it back, the other writes, and mends its own faults: nothing is lost. */
static u64 mended;

static void store_counter(void *at)
{
	(*(volatile u64 *)at)++;
}

static void write_through_faults(void *arg)
{
	u32 turns = *(u32 *)arg;

	write_cr3((uptr)window.root);
	for (u32 turn = 0; turn < turns; turn++) {
		struct trap trap;

		while (trap_catch(store_counter, (void *)(window_page(20) + 64), &trap)) {
			__atomic_fetch_or(&window.pt[20], PTE_W, __ATOMIC_SEQ_CST);
			invlpg(window_page(20));
			mended++;
			if (trap.vector != VEC_PF || trap.error != (PF_P | PF_W))
				report_wrong("vector %u error %x", trap.vector, trap.error);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
}

static void test_mended(void)
{
	u32 turns = rounds * 4, taken = 0;
	u64 *counter = arena_frame(20) + 8;

	window_begin();
	report_begin("rights taken by one CPU, and given back by the other");
	*counter = 0;
	mended = 0;
	stop = false;
	set(&window.pt[20], arena_entry(20, RIGHTS));
	smp_run(1, write_through_faults, &turns);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_and(&window.pt[20], ~(u64)PTE_W, __ATOMIC_SEQ_CST);
		taken++;
		for (u32 i = 0; i < 50; i++)
			pause();
	}
	smp_wait(1);
	if (READ_ONCE(*counter) != turns)
		report_wrong("%llu of %u writes arrived", (unsigned long long)*counter, turns);
	print("  taken %u times, %lu faults\n", taken, (unsigned long)mended);
	report_end();
}

void test_two_cpus(void)
{
	rounds = option_number("rounds", 25);
	if (smp_start() == 1) {
		report_skip("two CPUs", "there is one");
		return;
	}
	test_shootdown(false);
	test_shootdown(true);
	test_own_regions();
	test_counters();
	test_mended();
}
