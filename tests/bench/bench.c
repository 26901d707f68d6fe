/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How fast vCPUs fault, alone and beside each other:  bench [SECONDS [EXIT_NS [WORD]]]
 *
 *   fault ENGINE NANOSECONDS		one vCPU's time for a page of its guest's, with all that its guest does beside
 *   parallel ENGINE THREADS RATIO	rate of faults of so many vCPUs by that of one, while the other CPUs run other VMs
 *
 * ENGINE is
 *   direct, shadow, nested	the core, on a machine whose shared words are those of Linux
 *   ...-local			the same, with leaves counted by thread: what the core itself limits
 *   ...-single-lock		a model of stock KVM: what takes the VM's lock shared takes it alone. Not so of direct faults,
 *				for which stock KVM shares it, too: a second measurement of the same thing
 *   ...-apart			a VM for each vCPU, by one vCPU on an idle machine: what the machine itself can give
 *
 * A burst lasts a few milliseconds, those of one vCPU and of several follow each other, and the ratio is the median over such
 * pairs. Pairs in which other programs took a CPU away are left out as far as enough others are there. EXIT_NS: what a guest's way
 * to the host and back costs, 0 at first. WORD: only engines whose name contains it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "guest.h"

#define BURST_NS	3000000ull
#define PAUSE_US	1500		/* others catch up */
#define PAIRS		81		/* undisturbed ones to be had */
#define PAIRS_MAX	4096
#define QUIET		0.97		/* of its time a thread has its CPU */
#define WARM_STEPS	256u		/* processes use all their addresses once */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- Threads ------------------------------------------------------------------------------------------ */

struct worker {
	pthread_t thread;
	unsigned int number;
	int cpu;
	struct guest *guest;		/* what to run next; NULL: nothing */
	/* What came of it. */
	double rate, quiet;
};

static struct worker workers[BENCH_THREADS];
static unsigned int threads;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begin = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
/* Under the lock. */
static unsigned int round_number, first, wanted, finished;
static void (*task)(struct worker *w);
static unsigned int running;		/* of all workers, those whose guests run */
static unsigned int arrived, left;	/* atomic */

/* The CPU is kept from running something else, which would slow the others down. */
static void stand_by(void)
{
	while (__atomic_load_n(&left, __ATOMIC_ACQUIRE) < running)
		__builtin_ia32_pause();
}

static void run_guest(struct worker *w)
{
	uint64_t start, cpu, now, touched;
	unsigned int spins = 0;

	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < threads)
		bench_pause(&spins);
	if (!w->guest) {
		stand_by();
		return;
	}
	touched = w->guest->touched;
	start = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	do {
		guest_step(w->guest);
		now = clock_ns(CLOCK_MONOTONIC);
	} while (now - start < BURST_NS && guest_goes_on(w->guest));
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	__atomic_fetch_add(&left, 1, __ATOMIC_RELEASE);
	w->rate = (double)(w->guest->touched - touched) / (double)(now - start);
	w->quiet = (double)cpu / (double)(now - start);
}

static void warm_up(struct worker *w)
{
	for (unsigned int n = 0; n < WARM_STEPS && guest_goes_on(w->guest); n++)
		guest_step(w->guest);
	guest_renew(w->guest);
}

static void renew(struct worker *w)
{
	if (w->guest)
		guest_renew(w->guest);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	unsigned int seen = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		bench_die("a thread does not get its CPU");
	bench_me = &bench_cpus[w->number];
	pthread_mutex_lock(&lock);
	for (;;) {
		while (seen == round_number || w->number < first || w->number >= first + wanted) {
			seen = round_number;
			pthread_cond_wait(&begin, &lock);
		}
		seen = round_number;
		pthread_mutex_unlock(&lock);
		bench_rcu_online();
		task(w);
		bench_rcu_offline();
		pthread_mutex_lock(&lock);
		if (++finished == wanted)
			pthread_cond_signal(&done);
	}
	return NULL;
}

static void start_workers(void)
{
	cpu_set_t set;
	int cpu = -1, count;

	if (sched_getaffinity(0, sizeof(set), &set))
		bench_die("which CPUs there are is not known");
	count = CPU_COUNT(&set);
	threads = count >= 4 ? 4 : count >= 2 ? 2 : 1;
	for (unsigned int n = 0; n <= BENCH_THREADS; n++)
		bench_cpus[n].seen = ~0ull;
	bench_me = &bench_cpus[BENCH_THREADS];
	for (unsigned int n = 0; n < threads; n++) {
		do
			cpu++;
		while (!CPU_ISSET(cpu, &set));
		workers[n].number = n;
		workers[n].cpu = cpu;
		if (pthread_create(&workers[n].thread, NULL, worker_run, &workers[n]))
			bench_die("no threads");
	}
}

/* @count workers from number @from on do @what at once, to the end. */
static void run_workers(unsigned int from, unsigned int count, void (*what)(struct worker *w))
{
	pthread_mutex_lock(&lock);
	first = from;
	wanted = count;
	task = what;
	finished = 0;
	round_number++;
	pthread_cond_broadcast(&begin);
	while (finished < count)
		pthread_cond_wait(&done, &lock);
	pthread_mutex_unlock(&lock);
}

static void run_each(void (*what)(struct worker *w))
{
	for (unsigned int n = 0; n < threads; n++)
		run_workers(n, 1, what);
}

/* --- Teams: what is compared ---------------------------------------------------------------------------- */

struct pair {
	double rate, ratio, quiet;
};

struct series {
	unsigned int count, quiet;
	struct pair pair[PAIRS_MAX];
};

struct team {
	const char *suffix;
	enum bench_locking locking;
	bool apart;
	bool wanted;
	struct bench_vm *vm[BENCH_THREADS];
	struct guest *guest[BENCH_THREADS];
	struct series series[BENCH_THREADS + 1];	/* by number of threads */
};

static const char *const engine_names[] = { [BENCH_DIRECT] = "direct", [BENCH_SHADOW] = "shadow", [BENCH_NESTED] = "nested" };

static struct team teams[] = {
	{ .suffix = "", .locking = BENCH_OURS },
	{ .suffix = "-local", .locking = BENCH_LOCAL },
	{ .suffix = "-single-lock", .locking = BENCH_SINGLE_LOCK },
	{ .suffix = "-apart", .locking = BENCH_OURS, .apart = true },
};
#define TEAMS (sizeof(teams) / sizeof(teams[0]))

/*
 * CPUs share more than the VM's words: power, caches, the attention of a hypervisor below. So that only the VM makes the
 * difference, CPUs that have no vCPU of the team have one in a VM of its own, out of the last team. The last team itself is
 * compared with one vCPU on a machine that does nothing else.
 */
static void choose_guests(const struct team *t, unsigned int count)
{
	const struct team *others = &teams[TEAMS - 1];

	for (unsigned int n = 0; n < threads; n++)
		workers[n].guest = n < count ? t->guest[n] : t != others ? others->guest[n] : NULL;
}

static void team_begin(struct team *t, enum bench_engine engine)
{
	/* Direct faults share the lock in stock KVM. */
	enum bench_locking locking = engine == BENCH_DIRECT && t->locking == BENCH_SINGLE_LOCK ? BENCH_OURS : t->locking;

	for (unsigned int n = 0; n < threads; n++) {
		t->vm[n] = n && !t->apart ? t->vm[0] : bench_vm_new(locking);
		t->guest[n] = guest_new(t->vm[n], n, engine);
	}
	choose_guests(t, threads);
	run_each(warm_up);
	for (unsigned int n = 1; n <= threads; n++)
		t->series[n].count = t->series[n].quiet = 0;
}

static void team_end(struct team *t)
{
	for (unsigned int n = 0; n < threads; n++) {
		if (!n || t->apart)
			bench_vm_end(t->vm[n]);
		guest_free(t->guest[n]);
	}
}

static double burst(struct team *t, unsigned int count, double *quiet)
{
	double rate = 0;

	choose_guests(t, count);
	run_each(renew);
	usleep(PAUSE_US);
	running = count;
	__atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&left, 0, __ATOMIC_RELAXED);
	run_workers(0, threads, run_guest);
	for (unsigned int n = 0; n < count; n++) {
		rate += workers[n].rate;
		if (workers[n].quiet < *quiet)
			*quiet = workers[n].quiet;
	}
	return rate;
}

/* Numbers of threads to measure: 4 and 2; 1 beside itself where there is one CPU only. */
static unsigned int fewest(void)
{
	return threads > 1 ? 2 : 1;
}

static bool has_enough(const struct series *s)
{
	return s->count == PAIRS_MAX || s->quiet >= PAIRS;
}

/* A pair for each number of threads. Return: are there enough of all? */
static bool team_burst(struct team *t)
{
	bool enough = true;

	for (unsigned int count = threads; count >= fewest(); count /= 2) {
		struct series *s = &t->series[count];
		struct pair *p = &s->pair[s->count];

		if (has_enough(s))
			continue;
		p->quiet = 1;
		p->rate = burst(t, 1, &p->quiet);
		p->ratio = burst(t, count, &p->quiet) / p->rate;
		s->quiet += p->quiet >= QUIET;
		s->count++;
		enough = enough && has_enough(s);
	}
	return enough;
}

/* --- Reports ------------------------------------------------------------------------------------------------ */

static int by_quiet(const void *a, const void *b)
{
	double x = ((const struct pair *)a)->quiet, y = ((const struct pair *)b)->quiet;

	return x < y ? 1 : x > y ? -1 : 0;
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct pair *)a)->rate, y = ((const struct pair *)b)->rate;

	return x < y ? -1 : x > y ? 1 : 0;
}

static int by_ratio(const void *a, const void *b)
{
	double x = ((const struct pair *)a)->ratio, y = ((const struct pair *)b)->ratio;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The pairs to go by come first. Return: how many. */
static unsigned int choose_pairs(struct series *s)
{
	unsigned int least = s->count < PAIRS / 4 ? s->count : PAIRS / 4;

	qsort(s->pair, s->count, sizeof(s->pair[0]), by_quiet);
	return s->quiet > least ? s->quiet : least;
}

static void report(struct team *t, enum bench_engine engine)
{
	for (unsigned int count = fewest(); count <= threads; count *= 2) {
		struct series *s = &t->series[count];
		unsigned int chosen = choose_pairs(s);

		if (count == fewest() && !*t->suffix) {
			qsort(s->pair, chosen, sizeof(s->pair[0]), by_rate);
			printf("fault %s %.0f\n", engine_names[engine], 1 / s->pair[chosen / 2].rate);
		}
		qsort(s->pair, chosen, sizeof(s->pair[0]), by_ratio);
		printf("parallel %s%s %u %.2f\n", engine_names[engine], t->suffix, count, s->pair[chosen / 2].ratio);
	}
	fflush(stdout);
}

static bool is_wanted(const struct team *t, enum bench_engine engine, const char *word)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", engine_names[engine], t->suffix);
	return !word || strstr(name, word);
}

/* Pairs of all wanted teams by turns, until there are enough of each, or no time is left. */
static void measure(uint64_t end)
{
	bool complete = false;

	while (!complete && clock_ns(CLOCK_MONOTONIC) < end) {
		complete = true;
		for (unsigned int n = 0; n < TEAMS; n++)
			if (teams[n].wanted && !team_burst(&teams[n]))
				complete = false;
	}
	if (!complete)
		fputs("bench: the machine is busy: fewer bursts than wanted had their CPUs to themselves\n", stderr);
}

static void bench(enum bench_engine engine, uint64_t ns, const char *word)
{
	bool any = false;

	for (unsigned int n = 0; n < TEAMS; n++) {
		teams[n].wanted = is_wanted(&teams[n], engine, word);
		any = any || teams[n].wanted;
	}
	if (!any)
		return;
	for (unsigned int n = 0; n < TEAMS; n++)
		team_begin(&teams[n], engine);
	measure(clock_ns(CLOCK_MONOTONIC) + ns);
	for (unsigned int n = 0; n < TEAMS; n++)
		team_end(&teams[n]);
	for (unsigned int n = 0; n < TEAMS; n++)
		if (teams[n].wanted)
			report(&teams[n], engine);
}

static void check_all_is_back(void)
{
	for (unsigned int kind = 0; kind < POOLS; kind++) {
		long live = 0;

		for (unsigned int n = 0; n <= BENCH_THREADS; n++)
			live += bench_cpus[n].live[kind];
		if (live)
			bench_die("%ld pieces of memory of kind %u are left over", live, kind);
	}
}

int main(int argc, char **argv)
{
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 30;
	const char *word = argc > 3 ? argv[3] : NULL;

	guest_exit_ns = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	start_workers();
	for (unsigned int engine = 0; engine < BENCH_ENGINES; engine++)
		bench(engine, seconds * 1000000000 / BENCH_ENGINES, word);
	check_all_is_back();
	return 0;
}
