/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See thread.h. */
#include "thread.h"
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <vmmu/vm.h>
#include "say.h"

void (*machine_hook)(enum machine_point point);
void (*machine_on_bug)(const char *what);
void (*machine_sayer)(const char *what);

static __thread struct machine_thread *self;
static struct machine_thread *threads;
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;

void machine_bug(const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (machine_on_bug) {
		machine_on_bug(what);
		return;
	}
	fprintf(stderr, "machine: %s\n", what);
	abort();
}

void machine_say(const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	machine_sayer(what);
}

struct machine_thread *machine_thread_new(void)
{
	struct machine_thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		abort();
	pthread_mutex_lock(&threads_lock);
	thread->next = threads;
	__atomic_store_n(&threads, thread, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&threads_lock);
	return thread;
}

struct machine_thread *machine_threads(void)
{
	return __atomic_load_n(&threads, __ATOMIC_ACQUIRE);
}

struct machine_thread *machine_self(void)
{
	if (!self)
		self = machine_thread_new();
	return self;
}

struct machine_thread *machine_thread_become(struct machine_thread *thread)
{
	struct machine_thread *before = machine_self();

	self = thread;
	return before;
}

void machine_share_wait(const struct vmmu_shares *shares, const struct vmmu_share *share)
{
	while (!shares_left(shares, share))
		sched_yield();
}

static bool is_bit_lock(enum machine_lock class)
{
	return class >= MACHINE_LOCK_BUCKET && class <= MACHINE_LOCK_RMAP;
}

/* Sets of parents nest from a lower level to a higher one: level of the page whose set it is. */
static unsigned int level_of_set(const void *lock)
{
	return ((const struct vmmu_page *)((const char *)lock - offsetof(struct vmmu_page, s.parents)))->role.level;
}

/* May @lock be taken while @held is? */
static bool in_order(enum machine_lock held_class, const void *held, enum machine_lock class, const void *lock)
{
	if (class == MACHINE_LOCK_PARENTS && held_class == class)
		return level_of_set(held) < level_of_set(lock);
	if (is_bit_lock(class) && is_bit_lock(held_class))
		return false;
	if (class == MACHINE_LOCK_CPU && (held_class == MACHINE_LOCK_BUCKET || held_class == MACHINE_LOCK_PARENTS ||
					  held_class == MACHINE_LOCK_LISTS))
		return false;
	return held_class < class;
}

void machine_lock_note(enum machine_lock class, const void *lock, bool excl)
{
	struct machine_thread *t = machine_self();

	for (unsigned int i = 0; i < t->held; i++)
		if (!in_order(t->lock[i].class, t->lock[i].lock, class, lock))
			machine_bug("lock of class %d taken while one of class %d is held", class, t->lock[i].class);
	/* Short locks may be taken inside a read section; what may wait for long may not. */
	if (t->rcu_depth && class < MACHINE_LOCK_PAGE)
		machine_bug("lock of class %d taken inside an RCU read section", class);
	if (t->held == MACHINE_HELD_MAX) {
		machine_bug("too many locks held");
		return;
	}
	t->lock[t->held].class = class;
	t->lock[t->held].excl = excl;
	t->lock[t->held++].lock = lock;
}

void machine_unlock_note(const void *lock)
{
	struct machine_thread *t = machine_self();

	for (unsigned int i = t->held; i--;) {
		if (t->lock[i].lock != lock)
			continue;
		for (t->held--; i < t->held; i++)
			t->lock[i] = t->lock[i + 1];
		return;
	}
	machine_bug("a lock is given back by a thread that does not hold it");
}

enum machine_held machine_lock_held(const void *lock)
{
	struct machine_thread *t = machine_self();

	for (unsigned int i = 0; i < t->held; i++)
		if (t->lock[i].lock == lock)
			return t->lock[i].excl ? MACHINE_HELD_EXCL : MACHINE_HELD_SHARED;
	return MACHINE_NOT_HELD;
}

bool machine_holds_class(enum machine_lock class)
{
	struct machine_thread *t = machine_self();

	for (unsigned int i = 0; i < t->held; i++)
		if (t->lock[i].class == class)
			return true;
	return false;
}

bool machine_holds_from(enum machine_lock class)
{
	struct machine_thread *t = machine_self();

	for (unsigned int i = 0; i < t->held; i++)
		if (t->lock[i].class >= class)
			return true;
	return false;
}

void machine_assert_may_sleep(const char *who)
{
	struct machine_thread *t = machine_self();

	if (t->rcu_depth)
		machine_bug("%s may sleep, inside an RCU read section", who);
	for (unsigned int i = 0; i < t->held; i++)
		if (t->lock[i].class >= MACHINE_LOCK_VM)
			machine_bug("%s may sleep, with a lock of class %d held", who, t->lock[i].class);
}
