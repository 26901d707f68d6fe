/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The locks of a VM, checked for order and owner: see vm.h and thread.h. */
#include <sched.h>
#include "vm.h"

bool machine_mutex_lock(enum machine_lock class, pthread_mutex_t *mutex)
{
	machine_lock_note(class, mutex, true);
	if (!pthread_mutex_trylock(mutex))
		return false;
	pthread_mutex_lock(mutex);
	return true;
}

void machine_mutex_unlock(pthread_mutex_t *mutex)
{
	machine_unlock_note(mutex);
	pthread_mutex_unlock(mutex);
}

static void begin_wait(struct machine_vm *m) { __atomic_fetch_add(&m->waiting, 1, __ATOMIC_RELAXED); }
static void end_wait(struct machine_vm *m) { __atomic_fetch_sub(&m->waiting, 1, __ATOMIC_RELAXED); }

void machine_lock_shared(struct machine_vm *m)
{
	machine_lock_note(MACHINE_LOCK_VM, &m->lock, false);
	if (share_try_take(&m->shares, &machine_self()->share))
		return;
	begin_wait(m);
	pthread_rwlock_rdlock(&m->lock);
	end_wait(m);
	shares_open(&m->shares);
}

void machine_lock_write(struct machine_vm *m)
{
	machine_lock_note(MACHINE_LOCK_VM, &m->lock, true);
	begin_wait(m);
	pthread_rwlock_wrlock(&m->lock);
	end_wait(m);
}

void machine_close_shares(struct machine_vm *m)
{
	if (!shares_close(&m->shares))
		return;
	begin_wait(m);
	for (struct machine_thread *thread = machine_threads(); thread; thread = thread->next)
		machine_share_wait(&m->shares, &thread->share);
	end_wait(m);
}

void machine_lock_excl(struct machine_vm *m)
{
	machine_lock_write(m);
	machine_close_shares(m);
}

bool machine_is_alone(const struct machine_vm *m)
{
	return machine_lock_held(&m->lock) == MACHINE_HELD_EXCL && !flag_load(&m->shares.open);
}

static void vm_unlock(struct machine_vm *m, enum machine_held how)
{
	struct vmmu_share *share = &machine_self()->share;

	if (machine_self()->rcu_depth)
		machine_bug("the VM's lock is given up inside an RCU read section");
	if (machine_lock_held(&m->lock) != how)
		machine_bug("the VM's lock is given up in the wrong way");
	if (share_is_held(&m->shares, share))
		share_give(share);
	else
		pthread_rwlock_unlock(&m->lock);
	machine_unlock_note(&m->lock);
}

void machine_unlock_shared(struct machine_vm *m) { vm_unlock(m, MACHINE_HELD_SHARED); }
void machine_unlock_excl(struct machine_vm *m) { vm_unlock(m, MACHINE_HELD_EXCL); }

bool machine_should_yield(struct machine_vm *m)
{
	uint64_t random;

	switch (m->yield) {
	case MACHINE_YIELD_ALWAYS:
		return true;
	case MACHINE_YIELD_AT_RANDOM:
		random = __atomic_load_n(&m->yield_random, __ATOMIC_RELAXED);
		machine_random(&random);
		__atomic_store_n(&m->yield_random, random, __ATOMIC_RELAXED);
		return !((random >> 20) & 7);
	case MACHINE_YIELD_IF_AWAITED:
		return __atomic_load_n(&m->waiting, __ATOMIC_RELAXED) > 0;
	default:
		return false;
	}
}

static void let_others_in(const struct machine_vm *m)
{
	if (machine_hook)
		machine_hook(MACHINE_AT_YIELD);
	if (m->yield == MACHINE_YIELD_IF_AWAITED)
		sched_yield();
}

void machine_yield_shared(struct machine_vm *m)
{
	machine_unlock_shared(m);
	let_others_in(m);
	machine_lock_shared(m);
}

void machine_yield_excl(struct machine_vm *m)
{
	machine_unlock_excl(m);
	let_others_in(m);
	machine_lock_excl(m);
}

void machine_spin_init(vmmu_spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

/* The core has two kinds: that of its lists, and one in each shadow page. */
bool machine_spin_lock(vmmu_spinlock_t *lock)
{
	bool lists = machine_ram_now && lock == &machine_now()->vm.lists;

	return machine_mutex_lock(lists ? MACHINE_LOCK_LISTS : MACHINE_LOCK_PAGE, &lock->mutex);
}

/* Bit 0 is a bucket's of the index, bit 1 a set's. */
bool machine_bit_lock(uintptr_t *word, int bit)
{
	uintptr_t mask = (uintptr_t)1 << bit;
	bool waited = false;

	machine_lock_note(!bit ? MACHINE_LOCK_BUCKET : machine_is_rmap_word(word) ? MACHINE_LOCK_RMAP :
			  MACHINE_LOCK_PARENTS, word, true);
	for (; __atomic_fetch_or(word, mask, __ATOMIC_ACQUIRE) & mask; waited = true)
		sched_yield();
	return waited;
}

void machine_bit_unlock(uintptr_t *word, int bit)
{
	uintptr_t mask = (uintptr_t)1 << bit;

	machine_unlock_note(word);
	if (!(__atomic_fetch_and(word, ~mask, __ATOMIC_RELEASE) & mask))
		machine_bug("a lock in a word is given back that is not taken");
}

void machine_slots_read_lock(struct machine_vm *m)
{
	machine_lock_note(MACHINE_LOCK_SLOTS_READ, &m->slots_read, false);
	pthread_rwlock_rdlock(&m->slots_read);
}

void machine_slots_read_unlock(struct machine_vm *m)
{
	machine_unlock_note(&m->slots_read);
	pthread_rwlock_unlock(&m->slots_read);
}

void machine_slots_synchronize(struct machine_vm *m)
{
	machine_assert_may_sleep("slots_synchronize");
	machine_lock_note(MACHINE_LOCK_SLOTS_READ, &m->slots_read, true);
	pthread_rwlock_wrlock(&m->slots_read);
	pthread_rwlock_unlock(&m->slots_read);
	machine_unlock_note(&m->slots_read);
}
