/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * See rcu.h. A clock ticks with each callback given. A reader notes the time it began at; a callback may run once every
 * reader began after the time it was given at. Every access is sequentially consistent: a reader that is not seen has
 * not looked yet, and what it will see no longer has the object in it.
 */
#include "rcu.h"
#include <sched.h>
#include <stddef.h>
#include "thread.h"

static uint64_t now = 1;
static struct vmmu_rcu *first, **last = &first;
static unsigned long waiting;		/* written under queue_lock */
static unsigned long running;		/* callbacks taken from the queue and not done */
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

void machine_rcu_read_lock(void)
{
	struct machine_thread *t = machine_self();

	if (!t->rcu_depth++)
		__atomic_exchange_n(&t->rcu_since, __atomic_load_n(&now, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
}

/* The time up to which every read section has ended. */
static uint64_t quiet_until(void)
{
	uint64_t until = ~0ull;

	for (struct machine_thread *t = machine_threads(); t; t = t->next) {
		uint64_t since = __atomic_load_n(&t->rcu_since, __ATOMIC_SEQ_CST);

		if (since && since - 1 < until)
			until = since - 1;
	}
	return until;
}

/* The first callback that is due, or NULL. */
static struct vmmu_rcu *take_one(uint64_t until)
{
	struct vmmu_rcu *rcu;

	pthread_mutex_lock(&queue_lock);
	rcu = first;
	if (rcu && rcu->stamp <= until) {
		first = rcu->next;
		if (!first)
			last = &first;
		/* In this order: a barrier that sees nothing wait sees it run. */
		__atomic_fetch_add(&running, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&waiting, waiting - 1, __ATOMIC_RELEASE);
	} else {
		rcu = NULL;
	}
	pthread_mutex_unlock(&queue_lock);
	return rcu;
}

static void run_due(void)
{
	struct vmmu_rcu *rcu;
	uint64_t until;

	if (!__atomic_load_n(&waiting, __ATOMIC_RELAXED))
		return;
	until = quiet_until();
	while ((rcu = take_one(until))) {
		rcu->fn(rcu);
		__atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
	}
}

void machine_rcu_read_unlock(void)
{
	struct machine_thread *t = machine_self();

	if (!t->rcu_depth) {
		machine_bug("an RCU read section ends that has not begun");
		return;
	}
	if (--t->rcu_depth)
		return;
	__atomic_store_n(&t->rcu_since, 0, __ATOMIC_SEQ_CST);
	run_due();
}

void machine_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu))
{
	rcu->fn = fn;
	rcu->next = NULL;
	pthread_mutex_lock(&queue_lock);
	rcu->stamp = __atomic_fetch_add(&now, 1, __ATOMIC_SEQ_CST);
	*last = rcu;
	last = &rcu->next;
	__atomic_store_n(&waiting, waiting + 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&queue_lock);
	if (!machine_self()->rcu_depth)
		run_due();
}

void machine_rcu_barrier(void)
{
	machine_assert_may_sleep("rcu_barrier");
	while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) || __atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		run_due();
		sched_yield();
	}
}

unsigned long machine_rcu_waiting(void)
{
	return __atomic_load_n(&waiting, __ATOMIC_RELAXED);
}
