/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * All schedules of a scene with no preemption, then with one, with two, as far as time goes; then others at random. Of a
 * scene that has tens of thousands with one, some thousands, taken at random.
 *
 * A scene is prepared once, in a process of its own, and put back to that state after each schedule. The first failure
 * ends the process. Each run tells at which steps another thread could have gone on: each of these begins a new plan.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "schedule.h"

#define QUEUE_MAX	(1u << 19)
#define PREEMPTIONS_MAX	PLAN_TURNS
#define HANGS_AFTER	60		/* seconds */
/* Plans with one preemption are all run, whatever time it takes, unless there are more than so many: then so many of them,
 * and further ones while there is time. */
#define LONG_SCENE	20000u
#define LEAST_OF_LONG	8000u

struct queue {
	struct plan plan[QUEUE_MAX];
	uint32_t count, done;
	bool full;
};

/* In a mapping of its own, since variables are put back after each run. */
struct exploration {
	const struct scene *scene;
	const struct budget *budget;
	struct outcome *out;
	struct saved *saved;
	double end;
	uint64_t random;
	struct queue queue[PREEMPTIONS_MAX + 1];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct exploration *exploration_new(const struct scene *scene)
{
	struct exploration *e = mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (e == MAP_FAILED)
		abort();
	e->scene = scene;
	e->saved = memory_save();
	return e;
}

static void queue_add(struct exploration *e, const struct plan *plan)
{
	struct queue *q = &e->queue[plan->preemptions];

	if (q->count < QUEUE_MAX)
		q->plan[q->count++] = *plan;
	else
		q->full = true;
}

static void run_clear(const struct plan *plan)
{
	run->plan = *plan;
	memcpy(run->planned, plan->turn, sizeof(plan->turn));
	run->planned_turns = plan->turns;
	run->choices = run->first_free = run->taken_turns = 0;
	run->plan_followed = !plan->turns;
	run->message[0] = 0;
}

/* Ends the process if it fails. */
static void run_planned(const struct exploration *e)
{
	alarm(HANGS_AFTER);
	schedule_run(e->scene);
	if (!run->plan_followed)
		schedule_fail("the plan was not followed");
	memory_restore(e->saved);
}

static void run_one(struct exploration *e, const struct plan *plan)
{
	run_clear(plan);
	run_planned(e);
	e->out->schedules++;
	e->out->steps += run->steps;
}

/* What differs from the run that was, by one more turn. */
static void expand(struct exploration *e)
{
	uint32_t choices = run->choices < CHOICES_MAX ? run->choices : CHOICES_MAX;

	for (uint32_t i = run->first_free; i < choices; i++) {
		const struct choice *c = &run->choice[i];

		for (uint8_t to = 0; to < THREADS_MAX; to++) {
			struct plan plan = run->plan;

			if (!(c->others >> to & 1) || to == c->chosen || plan.turns == PLAN_TURNS)
				continue;
			plan.turn[plan.turns++] = (struct turn){ .thread = c->thread, .step = c->step, .to = to };
			plan.preemptions += !c->forced;
			if (plan.preemptions <= e->budget->preemptions)
				queue_add(e, &plan);
		}
	}
}

static unsigned int thread_count(const struct scene *scene)
{
	unsigned int n = 0;

	while (n < THREADS_MAX && scene->thread[n])
		n++;
	return n;
}

static bool is_over(const struct exploration *e)
{
	if (e->budget->schedules && e->out->schedules >= e->budget->schedules)
		return true;
	return now() >= e->end;
}

static void swap(struct plan *a, struct plan *b)
{
	struct plan was = *a;

	*a = *b;
	*b = was;
}

/* May plans with @preemptions be left out, now that time is over? */
static bool may_leave_out(const struct queue *q, unsigned int preemptions)
{
	return preemptions > 1 || (preemptions == 1 && q->count > LONG_SCENE && q->done >= LEAST_OF_LONG);
}

/* What is left out of many shall not be what comes late in a scene: the next is any one of those that wait. */
static const struct plan *take(struct exploration *e, struct queue *q)
{
	struct plan *next = &q->plan[q->done], *any;

	if (q->count > LONG_SCENE) {
		e->random = e->random * 6364136223846793005ull + 1442695040888963407ull;
		any = next + (e->random >> 33) % (q->count - q->done);
		swap(next, any);
	}
	q->done++;
	return next;
}

/* All with @preemptions. Return: was it all, with nothing new found to matter? */
static bool run_level(struct exploration *e, unsigned int preemptions)
{
	struct queue *q = &e->queue[preemptions];

	run->grown = false;
	while (q->done < q->count) {
		if (may_leave_out(q, preemptions) && is_over(e))
			return false;
		run_one(e, take(e, q));
		expand(e);
	}
	return !q->full && !run->grown;
}

static void begin(struct exploration *e)
{
	for (unsigned int n = 0; n <= PREEMPTIONS_MAX; n++) {
		e->queue[n].count = e->queue[n].done = 0;
		e->queue[n].full = false;
	}
	e->out->complete = -1;
	for (uint8_t start = 0; start < thread_count(e->scene); start++)
		queue_add(e, &(struct plan){ .start = start });
}

/*
 * A word that turns out to be shared makes steps matter that did not before, in runs that are over: all begins anew, which
 * costs little, since it is found out early.
 */
static void exhaust(struct exploration *e)
{
	unsigned int level = 0;

	begin(e);
	while (level <= e->budget->preemptions && !(level > 1 && is_over(e))) {
		if (run_level(e, level)) {
			e->out->complete = (int)level++;
		} else if (run->grown) {
			begin(e);
			level = 0;
		} else {
			return;
		}
	}
}

/* Words that matter are found fastest by many turns. */
static void warm_up(struct exploration *e, unsigned int runs)
{
	for (uint32_t n = 0; n < runs; n++)
		run_one(e, &(struct plan){ .start = (uint8_t)(n % thread_count(e->scene)), .random = n + 1,
					   .one_in = 1 + n % 16 });
}

static void wander(struct exploration *e)
{
	for (uint32_t n = 1; !is_over(e); n++) {
		struct plan plan = { .start = (uint8_t)(n % thread_count(e->scene)),
				     .random = n * 2654435761u + e->budget->seed,
				     .one_in = 2 + n % 23 };

		if (!plan.random)
			continue;
		run_one(e, &plan);
		e->out->random++;
	}
}

void explore(const struct scene *scene, const struct budget *budget, struct outcome *out)
{
	struct exploration *e = exploration_new(scene);

	e->budget = budget;
	e->out = out;
	e->end = now() + budget->seconds;
	e->random = budget->seed;
	warm_up(e, 32);
	exhaust(e);
	wander(e);
}

/* --- Schedules as text: START[/SEED] THREAD@STEP>THREAD ... --------------------------------------- */

void schedule_print(char *text, size_t size, const struct run *of)
{
	int used = snprintf(text, size, "%u", of->plan.start);

	if (of->plan.random)
		used += snprintf(text + used, size - (size_t)used, "/%u", of->plan.random);
	for (uint32_t i = 0; i < of->taken_turns && (size_t)used < size; i++)
		used += snprintf(text + used, size - (size_t)used, " %u@%u>%u", of->taken[i].thread, of->taken[i].step,
				 of->taken[i].to);
}

void replay(const struct scene *scene, const char *text)
{
	struct exploration *e = exploration_new(scene);
	struct plan plan = { .one_in = ~0u };
	char *at;

	plan.start = (uint8_t)strtoul(text, &at, 10);
	if (*at == '/')
		plan.random = (uint32_t)strtoul(at + 1, &at, 10);
	run_clear(&plan);
	while (*at == ' ' && run->planned_turns < TAKEN_TURNS) {
		struct turn *turn = &run->planned[run->planned_turns++];

		turn->thread = (uint8_t)strtoul(at + 1, &at, 10);
		if (*at == '@')
			turn->step = (uint32_t)strtoul(at + 1, &at, 10);
		if (*at == '>')
			turn->to = (uint8_t)strtoul(at + 1, &at, 10);
	}
	run->plan_followed = !run->planned_turns;
	run_planned(e);
}
