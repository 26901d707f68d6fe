/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Who runs, and what it holds: the order of locks is checked in every build, with one thread, too.
 *
 * A test with one thread can play several: machine_hook is called at each point where another thread could get in;
 * the hook changes identity by machine_thread_become(), does a whole operation, and changes back.
 */
#ifndef MACHINE_THREAD_H
#define MACHINE_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/shares.h"
#include "vmmu_host_types.h"

/* A lock may be taken only while every lock held has a smaller number. */
enum machine_lock {
	MACHINE_LOCK_SLOTS = 10,	/* changes of memslots, one at a time */
	MACHINE_LOCK_SLOTS_READ = 20,	/* the slot read section */
	MACHINE_LOCK_WORDS = 22,	/* the words of slots that shadow pages need are made */
	MACHINE_LOCK_CHANGE = 25,	/* changes of the host's memory, one at a time */
	MACHINE_LOCK_RAM = 30,		/* what stands behind guest memory */
	/* The core's: see core/base/lock.h. */
	MACHINE_LOCK_VM = 40,
	MACHINE_LOCK_PAGE = 50,
	/* Of the next three one at a time, but for sets of parents, from a lower level to a higher one. */
	MACHINE_LOCK_BUCKET = 60,
	MACHINE_LOCK_PARENTS = 61,
	MACHINE_LOCK_RMAP = 62,
	MACHINE_LOCK_LISTS = 70,
	MACHINE_LOCK_CPU = 80,		/* a CPU's TLB: taken by flushes, so not inside bucket, parents and lists */
};

#define MACHINE_HELD_MAX 16
struct machine_thread {
	unsigned int held;
	struct {
		enum machine_lock class;
		bool excl;
		const void *lock;
	} lock[MACHINE_HELD_MAX];
	unsigned int rcu_depth;
	uint64_t rcu_since;		/* 0: in no read section; else when the outermost one began. Atomic */
	struct vmmu_share share;	/* of a VM's lock */
	bool shared_only; /* the thread it interrupts holds the VM's lock shared: it must not ask for more */
	struct machine_thread *next;
};

/* This thread; made known at its first call. */
struct machine_thread *machine_self(void);
/* From now on this OS thread plays @thread. Return: whom it played before. */
struct machine_thread *machine_thread_become(struct machine_thread *thread);
/* A thread to play. Lives until the process ends. */
struct machine_thread *machine_thread_new(void);
struct machine_thread *machine_threads(void);

/* About to take / just gave back. The first checks the order. */
void machine_lock_note(enum machine_lock class, const void *lock, bool excl);
void machine_unlock_note(const void *lock);
enum machine_held { MACHINE_NOT_HELD, MACHINE_HELD_SHARED, MACHINE_HELD_EXCL };
enum machine_held machine_lock_held(const void *lock);
bool machine_holds_class(enum machine_lock class);
/* A lock of this class or a later one: others who play on this thread might wait for it for ever. */
bool machine_holds_from(enum machine_lock class);
/* Until @share is none of @shares, which are closed. */
void machine_share_wait(const struct vmmu_shares *shares, const struct vmmu_share *share);
/* Nothing is held that a sleeper must not hold. */
void machine_assert_may_sleep(const char *who);

/* A broken rule: says what and aborts, unless a test has set machine_on_bug. */
void machine_bug(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void (*machine_on_bug)(const char *what);

/* A small random number generator; the state is never 0. */
static inline uint64_t machine_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* A number below @n. */
static inline uint64_t machine_random_below(uint64_t *state, uint64_t n)
{
	return (machine_random(state) >> 16) % n;
}

#endif
