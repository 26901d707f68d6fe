/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every access to a word that another thread, or the CPU's page walker, may change at the same time.
 *
 * Compiler builtins in every host: the same code, and TSan understands them. Each wrapper is a schedule
 * point: a host that owns the schedule defines VMMU_SCHEDULE_POINT() in vmmu_host_types.h.
 */
#ifndef VMMU_BASE_ATOMIC_H
#define VMMU_BASE_ATOMIC_H

#include <vmmu/types.h>
#include "vmmu_host_types.h"

#ifndef VMMU_SCHEDULE_POINT
#define VMMU_SCHEDULE_POINT() ((void)0)
#endif

/* An entry of a table. Acquire: whoever sees an entry sees the table it points at as it was when it was linked. */
static inline uint64_t pte_load(const uint64_t *entry)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

/* For entries that no other thread and no CPU can reach yet. */
static inline void pte_store_private(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELAXED);
}

/* Publishes what was written before it. Return: false with *@old as it is now. */
static inline bool pte_try_cas(uint64_t *entry, uint64_t *old, uint64_t value)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_compare_exchange_n(entry, old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

/* Publishes what was written before it. Return: what was there. */
static inline uint64_t pte_swap(uint64_t *entry, uint64_t value)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_exchange_n(entry, value, __ATOMIC_SEQ_CST);
}

/* Counters: only the sum matters. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* A counter with one writer; readers see some recent value. */
static inline void counter_add_own(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Words that are read without a lock: whoever reads one sees what was written before it. */
static inline uint64_t word_load(const uint64_t *word)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void word_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Flags that are read without a lock. */
static inline bool flag_load(const bool *flag)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void flag_store(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/* Take one more reference, but never the first one. */
static inline bool refs_get_unless_zero(uint32_t *refs)
{
	uint32_t n = __atomic_load_n(refs, __ATOMIC_RELAXED);

	VMMU_SCHEDULE_POINT();
	while (n)
		if (__atomic_compare_exchange_n(refs, &n, n + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* Return: true if it was the last one. */
static inline bool refs_put(uint32_t *refs)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL) == 1;
}

#endif
