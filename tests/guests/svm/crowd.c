// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * All CPUs at once run guests under tables they share: each changes leaves and accesses pages of its own, next to the
 * others' in the same last tables, now under a root that all have and now under one of its own.
 */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "setting.h"
#include "smp.h"

enum { CPUS = 8, ROOTS = 2, PAGES = 64, FRAMES = 64 };

struct member {
	struct setting s;
	uptr roots[ROOTS];
	u64 state;
	unsigned int steps;
	int cpu, cpus;
	bool stale;				/* something was taken away since this CPU's guest flushed */
};

static struct member members[CPUS];

static u32 draw(struct member *m, u32 below)
{
	m->state = m->state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(m->state >> 33) % below;
}

/* A page of this CPU's: the CPUs take turns in every table. */
static u64 draw_page(struct member *m)
{
	return L2_TEST + (draw(m, PAGES / m->cpus) * m->cpus + m->cpu) * PAGE_BYTES +
	       (draw(m, 2) << nested_shift(&m->s.nested, 2));
}

static void change(struct member *m, u64 gpa)
{
	static const u64 rights[] = {
		ENTRY_ALL, ENTRY_ALL, ENTRY_USED, ENTRY_P | ENTRY_U, ENTRY_P | ENTRY_U | ENTRY_A,
		ENTRY_ALL | ENTRY_NX, 0,
	};
	u64 frame = setting_frames() + (m->cpu * FRAMES + draw(m, FRAMES)) * PAGE_BYTES;

	m->stale |= nested_get(&m->s.nested, gpa, 1) & ENTRY_P;
	nested_set(&m->s.nested, gpa, 1, frame | rights[draw(m, ARRAY_SIZE(rights))]);
}

static void step(struct member *m, unsigned int number)
{
	int root = draw(m, ROOTS);
	char what[40];

	if (draw(m, 3) == 0) {
		change(m, draw_page(m));
		return;
	}
	m->s.nested.root = m->s.l2.vmcb->nested_cr3 = m->roots[root];
	m->s.l2.vmcb->asid = 1 + root;
	if (m->stale)
		m->s.l2.vmcb->tlb_control = TLB_CONTROL_ALL;
	m->stale = false;
	print_to(what, sizeof(what), "CPU %d, step %u", m->cpu, number);
	setting_check(&m->s, draw(m, ACCESSES), draw_page(m), what);
}

static void work(void *arg)
{
	struct member *m = arg;

	for (unsigned int i = 0; i < m->steps && report_wrongs() < 5; i++)
		step(m, i);
}

static void join(struct member *m, const struct setting *shared, int cpu, int cpus)
{
	uptr own = (uptr)alloc_page();

	memcpy((void *)own, (void *)shared->nested.root, PAGE_BYTES);
	*m = (struct member){
		.s = *shared, .roots = { shared->nested.root, own }, .state = option_number("seed", 1) + cpu,
		.steps = option_number("steps", 1000), .cpu = cpu, .cpus = cpus,
	};
	m->s.l2 = l2_make(L2_FLAT, &shared->nested, 1);
}

void test_crowd(void)
{
	int cpus = smp_start();
	struct setting shared = { 0 };

	if (cpus < 2) {
		report_skip("crowd", "there is one CPU");
		return;
	}
	setting_make(&shared, NESTED_4, L2_FLAT);
	/* Frames and both tables are there before anybody looks. */
	setting_frames();
	for (int i = 0; i < 2; i++)
		nested_set(&shared.nested, L2_TEST + ((u64)i << nested_shift(&shared.nested, 2)), 1, 0);
	report_begin("crowd");
	for (int cpu = cpus - 1; cpu >= 0; cpu--) {
		join(&members[cpu], &shared, cpu, cpus);
		if (cpu) {
			const char *why = NULL;

			smp_run(cpu, svm_enable_here, &why);
			smp_wait(cpu);
			if (why)
				report_wrong("CPU %d: %s", cpu, why);
		}
	}
	for (int cpu = 1; cpu < cpus; cpu++)
		smp_run(cpu, work, &members[cpu]);
	work(&members[0]);
	for (int cpu = 1; cpu < cpus; cpu++)
		smp_wait(cpu);
	report_end();
}
