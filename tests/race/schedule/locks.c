/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * In the place of the threads library: locks as values, whose waiters cannot be chosen to go on. A reader waits behind a
 * writer that waits, as in Linux.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "schedule.h"

#define LOCKS 1024

struct lock {
	const void *at;
	int writer;			/* thread + 2; 0: none. Outside of a schedule: 1 */
	unsigned int readers, writers_waiting;
};

static struct lock locks[LOCKS];

static struct lock *lock_at(const void *at)
{
	for (size_t n = (uintptr_t)at / 8 % LOCKS, i = 0; i < LOCKS; n = (n + 1) % LOCKS, i++)
		if (!locks[n].at || locks[n].at == at) {
			locks[n].at = at;
			return &locks[n];
		}
	abort();
}

static bool is_free(const void *lock, uint64_t seen)
{
	const struct lock *l = lock;

	(void)seen;
	return !l->writer && !l->readers;
}

static bool lets_readers_in(const void *lock, uint64_t seen)
{
	const struct lock *l = lock;

	(void)seen;
	return !l->writer && !l->writers_waiting;
}

static void take(const void *at, const char *what)
{
	struct lock *l = lock_at(at);

	schedule_step((uintptr_t)at, true);
	while (!is_free(l, 0)) {
		l->writers_waiting++;
		schedule_wait(is_free, l, 0, what);
		l->writers_waiting--;
	}
	l->writer = schedule_self() + 2;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *rwlock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *rwlock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *rwlock);
int __wrap_sched_yield(void);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	take(mutex, "a mutex");
	return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	struct lock *l = lock_at(mutex);

	schedule_step((uintptr_t)mutex, true);
	if (!is_free(l, 0))
		return EBUSY;
	l->writer = schedule_self() + 2;
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	struct lock *l = lock_at(mutex);

	if (l->writer != schedule_self() + 2)
		schedule_fail("a mutex is given back by somebody who does not hold it");
	l->writer = 0;
	schedule_step((uintptr_t)mutex, true);
	return 0;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *rwlock)
{
	struct lock *l = lock_at(rwlock);

	schedule_step((uintptr_t)rwlock, false);
	while (!lets_readers_in(l, 0))
		schedule_wait(lets_readers_in, l, 0, "a lock, shared");
	l->readers++;
	return 0;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *rwlock)
{
	take(rwlock, "a lock, exclusive");
	return 0;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *rwlock)
{
	struct lock *l = lock_at(rwlock);
	bool write = l->writer;

	if (write ? l->writer != schedule_self() + 2 : !l->readers)
		schedule_fail("a lock is given back by somebody who does not hold it");
	if (write)
		l->writer = 0;
	else
		l->readers--;
	schedule_step((uintptr_t)rwlock, write);
	return 0;
}

int __wrap_sched_yield(void)
{
	schedule_yield();
	return 0;
}

/* --- Shares of a lock: who closes them waits for one holder after the other ------------------------ */

struct vmmu_shares;
struct vmmu_share;
void __wrap_machine_share_wait(const struct vmmu_shares *shares, const struct vmmu_share *share);

static bool has_left(const void *share, uint64_t shares)
{
	return *(const uintptr_t *)share != shares;
}

void __wrap_machine_share_wait(const struct vmmu_shares *shares, const struct vmmu_share *share)
{
	schedule_step((uintptr_t)share, false);
	while (!has_left(share, (uintptr_t)shares))
		schedule_wait(has_left, share, (uintptr_t)shares, "a share to be given back");
}

/* --- RCU: when a read section has ended, what waited for it has been done ------------------------ */

struct vmmu_rcu;
void __real_machine_rcu_read_unlock(void);
void __wrap_machine_rcu_read_unlock(void);
void __real_machine_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu));
void __wrap_machine_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu));

/* Stands for "something waits for readers". */
static uint64_t *grace;

void __wrap_machine_rcu_read_unlock(void)
{
	if (!grace)
		grace = calloc(1, sizeof(*grace));
	__real_machine_rcu_read_unlock();
	schedule_step((uintptr_t)grace, false);
}

void __wrap_machine_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu))
{
	if (!grace)
		grace = calloc(1, sizeof(*grace));
	schedule_step((uintptr_t)grace, true);
	__real_machine_rcu_call(rcu, fn);
}
