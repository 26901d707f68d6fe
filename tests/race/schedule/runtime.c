/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Threads as coroutines, and whose turn it is: see schedule.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "../../../machine/thread.h"
#include "schedule.h"

#define STACK_BYTES	(512ul << 10)
#define STEPS_MAX	3000000u
/* A thread that yields so often without a step makes no progress by itself. */
#define PATIENCE	16u

struct thread {
	ucontext_t context;
	void *stack;
	struct machine_thread *plays;
	void (*body)(void);
	uint32_t step;
	unsigned int yields;
	bool ended;
	bool (*may_go)(const void *what, uint64_t seen);	/* NULL: it can */
	const void *waits_at;
	uint64_t seen;
	const char *why;
};

struct run *run;

static struct thread threads[THREADS_MAX];
int schedule_thread = -1;
/* Short for what is on nearly every line. */
#define self schedule_thread
static int count;
static ucontext_t outside;
static unsigned int next_turn;		/* of the plan */
static uint64_t random_state;
static int quiet;

void schedule_quiet(int by) { quiet += by; }

void schedule_fail(const char *format, ...)
{
	va_list args;
	size_t used;

	va_start(args, format);
	vsnprintf(run->message, sizeof(run->message), format, args);
	va_end(args);
	used = strlen(run->message);
	if (self >= 0 && used < sizeof(run->message))
		snprintf(run->message + used, sizeof(run->message) - used, " (thread %d, step %u)", self,
			 threads[self].step);
	_exit(1);
}

static bool can_go(int n)
{
	const struct thread *t = &threads[n];

	return n < count && !t->ended && (!t->may_go || t->may_go(t->waits_at, t->seen));
}

static uint8_t others_that_can_go(void)
{
	uint8_t others = 0;

	for (int n = 0; n < count; n++)
		if (n != self && can_go(n))
			others |= (uint8_t)(1u << n);
	return others;
}

static void switch_to(int n)
{
	int before = self;

	if (run->taken_turns < TAKEN_TURNS)
		run->taken[run->taken_turns++] =
			(struct turn){ .thread = (uint8_t)before, .step = threads[before].step, .to = (uint8_t)n };
	self = n;
	machine_thread_become(threads[n].plays);
	swapcontext(&threads[before].context, &threads[n].context);
}

/* The plan's next turn, if it is due at this step. Return: whose turn it is; -1: no turn is planned here. */
static int planned(void)
{
	const struct turn *turn = &run->planned[next_turn];

	if (next_turn == run->planned_turns || turn->thread != self || turn->step != threads[self].step)
		return -1;
	next_turn++;
	run->first_free = run->choices + 1;
	run->plan_followed = next_turn == run->planned_turns;
	return turn->to;
}

static void note(uint8_t others, int chosen, bool forced)
{
	if (run->choices < CHOICES_MAX)
		run->choice[run->choices] = (struct choice){
			.thread = (uint8_t)self, .step = threads[self].step, .chosen = (uint8_t)chosen,
			.others = others, .forced = forced,
		};
	run->choices++;
}

static bool at_random(void)
{
	return run->plan.random && next_turn == run->planned_turns &&
	       !machine_random_below(&random_state, run->plan.one_in);
}

static int one_of(uint8_t others)
{
	unsigned int n = (unsigned int)machine_random_below(&random_state, (unsigned int)__builtin_popcount(others));

	while (n--)
		others &= (uint8_t)(others - 1);
	return __builtin_ctz(others);
}

/* The thread can go on; shall it? */
static void choose(void)
{
	uint8_t others = others_that_can_go();
	int to;

	if (!others)
		return;
	to = planned();
	if (to >= 0 && !(others >> to & 1))
		schedule_fail("the plan cannot be followed: thread %d cannot go on", to);
	if (to < 0 && at_random())
		to = one_of(others);
	note(others, to < 0 ? self : to, false);
	if (to >= 0)
		switch_to(to);
}

static void deadlock(void)
{
	char text[512];
	size_t used = 0;

	for (int n = 0; n < count; n++)
		if (!threads[n].ended)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%sthread %d waits for %s at %p",
						 used ? ", " : "", n, threads[n].why ? threads[n].why : "nothing",
						 threads[n].waits_at);
	schedule_fail("deadlock: %s", text);
}

/* The thread cannot go on, or has ended. */
static void choose_other(void)
{
	uint8_t others = others_that_can_go();
	int to;

	if (!others)
		deadlock();
	to = planned();
	if (to >= 0 && !(others >> to & 1))
		schedule_fail("the plan cannot be followed: thread %d cannot go on", to);
	if (to < 0 && run->plan.random && next_turn == run->planned_turns)
		to = one_of(others);
	if (to < 0) {
		to = self;
		do
			to = (to + 1) % count;
		while (!(others >> to & 1));
	}
	note(others, to, true);
	switch_to(to);
}

static void next_step(void)
{
	if (++threads[self].step > STEPS_MAX)
		schedule_fail("no end after %u steps", STEPS_MAX);
	run->steps++;
}

void schedule_step(uintptr_t address, bool write)
{
	uint8_t *word, own, others;

	if (self < 0 || quiet)
		return;
	word = memory_word(address);
	if (!word || *word == WORD_IGNORED)
		return;
	next_step();
	own = (uint8_t)((write ? 0x10u : 1u) << self);
	if (!(*word & own)) {
		*word |= own;
		run->grown = true;
	}
	others = *word & (uint8_t)~(0x11u << self);
	threads[self].yields = 0;
	/* What nobody else touches, or nobody writes, may happen at any time. */
	if (write ? others : others & 0x70)
		choose();
}

void schedule_wait(bool (*may_go)(const void *what, uint64_t seen), const void *what, uint64_t seen, const char *why)
{
	struct thread *t = &threads[self];

	if (self < 0) {
		fprintf(stderr, "schedule: the only thread there is waits for %s\n", why);
		abort();
	}
	t->may_go = may_go;
	t->waits_at = what;
	t->seen = seen;
	t->why = why;
	next_step();
	if (!can_go(self))
		choose_other();
	t->may_go = NULL;
}

void schedule_yield(void)
{
	if (self < 0)
		return;
	next_step();
	if (threads[self].yields++ < PATIENCE)
		choose();
	else if (others_that_can_go())
		choose_other();
}

void schedule_give_way(void)
{
	if (self < 0)
		return;
	next_step();
	if (others_that_can_go())
		choose_other();
}

static void body(int n)
{
	threads[n].body();
	threads[n].ended = true;
	threads[n].why = "nothing";
	next_step();
	for (int i = 0; i < count; i++)
		if (!threads[i].ended) {
			choose_other();
			break;
		}
	/* The last one. */
	setcontext(&outside);
}

void schedule_init(void)
{
	for (int n = 0; n < THREADS_MAX; n++) {
		threads[n].plays = machine_thread_new();
		threads[n].stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (threads[n].stack == MAP_FAILED)
			abort();
	}
}

void schedule_run(const struct scene *scene)
{
	struct machine_thread *plays = machine_self();

	for (count = 0; count < THREADS_MAX && scene->thread[count]; count++) {
		struct thread *t = &threads[count];

		t->body = scene->thread[count];
		getcontext(&t->context);
		t->context.uc_stack.ss_sp = t->stack;
		t->context.uc_stack.ss_size = STACK_BYTES;
		makecontext(&t->context, (void (*)(void))body, 1, count);
	}
	random_state = run->plan.random * 0x9e3779b97f4a7c15ull | 1;
	if (run->plan.random)
		scene_vary(run->plan.random);
	self = run->plan.start;
	machine_thread_become(threads[self].plays);
	swapcontext(&outside, &threads[self].context);
	self = -1;
	machine_thread_become(plays);
	for (int n = 0; n < count; n++)
		if (threads[n].plays->held || threads[n].plays->rcu_depth)
			schedule_fail("thread %d has ended with a lock held or a read section open", n);
	scene->check();
}
