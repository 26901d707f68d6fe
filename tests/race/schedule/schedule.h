/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A scheduler that owns every step: the core and the simulated machine are compiled with the calls that the thread
 * sanitizer's compiler pass makes at each access to memory (instrument.c), and with the calls to locks and to the heap
 * bound to models (locks.c, memory.c). Two or three threads of a scene are coroutines of one process. A schedule says
 * which of them goes on at each step that matters, so that it can be run again, and all of them can be run in turn
 * (explore.c).
 *
 * Memory is sequentially consistent here: what a weaker CPU would reorder is the thread sanitizer's business.
 */
#ifndef TESTS_RACE_SCHEDULE_H
#define TESTS_RACE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS_MAX 3

/* --- What is explored ------------------------------------------------------------------------- */

struct scene {
	const char *name;
	void (*prepare)(void);		/* the state in which each schedule begins; runs once */
	void (*thread[THREADS_MAX])(void);	/* two, or three */
	void (*check)(void);		/* all threads have come to their end */
};

/* Scene @n, NULL behind the last one. */
const struct scene *scene_at(unsigned int n);
/* What is left to chance in the machine comes out another way. Before a run. */
void scene_vary(uint32_t seed);

/* --- A schedule ------------------------------------------------------------------------------- */

/* When @thread is about to take its step @step, or cannot, @to goes on. */
struct turn {
	uint32_t step;
	uint8_t thread, to;
};

#define PLAN_TURNS	7
#define TAKEN_TURNS	4096

struct plan {
	struct turn turn[PLAN_TURNS];
	uint8_t turns;
	uint8_t start;			/* the thread that goes first */
	uint8_t preemptions;		/* turns of a thread that could have gone on */
	uint32_t random;		/* not 0: seed of more turns at random, where the plan ends */
	uint32_t one_in;		/* of so many steps that matter */
};

/* A step where another thread could have gone on. */
struct choice {
	uint32_t step;
	uint8_t thread, chosen;
	uint8_t others;			/* bit by thread: who could, too */
	bool forced;			/* the thread itself could not go on */
};

#define CHOICES_MAX	16384

/* What a run leaves to whoever planned it; shared memory. */
struct run {
	struct plan plan;
	struct turn planned[TAKEN_TURNS];	/* the plan's turns, or a text's */
	uint32_t planned_turns;
	struct choice choice[CHOICES_MAX];
	uint32_t choices;
	uint32_t first_free;		/* choices from here on came after the plan's last turn */
	struct turn taken[TAKEN_TURNS];
	uint32_t taken_turns;
	uint64_t steps;
	bool grown;			/* a word turned out to matter that was not known to */
	bool plan_followed;
	char message[1024];
};

extern struct run *run;

/* --- explore.c -------------------------------------------------------------------------------- */

struct budget {
	double seconds;			/* of this scene; all schedules with one preemption are run in any case */
	unsigned int preemptions;	/* exhaustively, at most */
	uint64_t schedules;		/* at most; 0: no limit */
	uint32_t seed;			/* of what is run at random */
	bool verbose;
};

struct outcome {
	uint64_t schedules, random, steps;
	int complete;			/* all schedules with up to so many preemptions were run; -1: not even those without */
};

/*
 * Both run @scene, which is prepared, in this process, and do not return if something fails: run->message says what.
 * explore(): @out is outside of what memory_restore() puts back. replay(): one schedule, given as text.
 */
void explore(const struct scene *scene, const struct budget *budget, struct outcome *out);
void replay(const struct scene *scene, const char *text);
/* The schedule that ran last. */
void schedule_print(char *text, size_t size, const struct run *of);

/* --- runtime.c -------------------------------------------------------------------------------- */

/* Run @scene's threads by run->plan, to their end. */
void schedule_run(const struct scene *scene);
/* Threads are made known to the machine. Before the first run. */
void schedule_init(void);
/* Number of the thread that runs; -1: none, it is the scene's beginning or end. */
extern int schedule_thread;
static inline int schedule_self(void) { return schedule_thread; }

/* A step is about to be taken on the word at @address. */
void schedule_step(uintptr_t address, bool write);
/* The thread cannot go on until @may_go says so. */
void schedule_wait(bool (*may_go)(const void *what, uint64_t seen), const void *what, uint64_t seen, const char *why);
/* The thread lets others in, if they like. */
void schedule_yield(void);
/* It cannot get on without them: one of those that can go on does. */
void schedule_give_way(void);
/* Accesses in here are nobody's business: @by is 1, then -1. */
void schedule_quiet(int by);
/* A broken rule. Does not return. */
void schedule_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* --- memory.c --------------------------------------------------------------------------------- */

/* Where it is kept who reads and writes a word: bit by thread, writers 4 bits up; NULL: the word is nobody's business. */
#define WORD_IGNORED 0x80
uint8_t *memory_word(uintptr_t address);
/* Is the word part of a table? */
bool memory_is_table(uintptr_t address);
/* Nothing that has been given back is touched. */
void memory_check(uintptr_t address, size_t size);
void memory_init(void);
/* Words of [@start, @start + @bytes) never matter: counters. */
void memory_ignore(const volatile void *start, size_t bytes);
/* [@start, @start + @bytes) is shared by all threads. */
void memory_watch(void *start, size_t bytes);
/*
 * The state of the whole program, but for what lies in mappings that are not the machine's, and for its stack. It can be put
 * back as often as wanted.
 */
struct saved;
struct saved *memory_save(void);
void memory_restore(const struct saved *saved);

#endif
