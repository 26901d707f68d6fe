/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the compiler calls under -fsanitize=thread, with a meaning of our own: each atomic access is a step, and so is a
 * plain one to a table's entry, which the CPU or another thread may change at any time. Other plain accesses are checked
 * for memory that was given back; locks order them.
 */
#include <string.h>
#include "schedule.h"

static inline void plain(const volatile void *address, size_t size, bool write)
{
	if (schedule_self() < 0)
		return;
	if (memory_is_table((uintptr_t)address))
		schedule_step((uintptr_t)address, write);
	memory_check((uintptr_t)address, size);
}

/* Where each thread was last to change a word and changed nothing. */
static const volatile void *idle_at[THREADS_MAX];

static inline void atomic(const volatile void *address, size_t size, bool write)
{
	if (schedule_self() < 0)
		return;
	if (idle_at[schedule_self()] != address)
		idle_at[schedule_self()] = NULL;
	schedule_step((uintptr_t)address, write);
	memory_check((uintptr_t)address, size);
}

#define PLAIN(size) \
	void __tsan_read##size(void *at); \
	void __tsan_read##size(void *at) { plain(at, size, false); } \
	void __tsan_write##size(void *at); \
	void __tsan_write##size(void *at) { plain(at, size, true); } \
	void __tsan_unaligned_read##size(void *at); \
	void __tsan_unaligned_read##size(void *at) { plain(at, size, false); } \
	void __tsan_unaligned_write##size(void *at); \
	void __tsan_unaligned_write##size(void *at) { plain(at, size, true); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void);
void __tsan_func_exit(void) {}
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order) { (void)order; }
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order) { (void)order; }

/*
 * A thread that writes what is there already, at one word again and again and nothing in between, waits for another one to
 * change it. So does one that sets a bit, as a lock is taken, and finds it set.
 */
static bool has_changed8(const void *at, uint64_t seen) { return *(const volatile uint8_t *)at != seen; }
static bool has_changed16(const void *at, uint64_t seen) { return *(const volatile uint16_t *)at != seen; }
static bool has_changed32(const void *at, uint64_t seen) { return *(const volatile uint32_t *)at != seen; }
static bool has_changed64(const void *at, uint64_t seen) { return *(const volatile uint64_t *)at != seen; }

static inline bool goes_round(const volatile void *at, bool changes)
{
	int self = schedule_self();
	bool again;

	if (self < 0)
		return false;
	again = !changes && idle_at[self] == at;
	idle_at[self] = changes ? NULL : at;
	return again;
}

#define ATOMIC(bits) \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *at, int order); \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *at, int order) \
	{ \
		(void)order; \
		atomic(at, bits / 8, false); \
		return *at; \
	} \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *at, uint##bits##_t value, int order); \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *at, uint##bits##_t value, int order) \
	{ \
		(void)order; \
		atomic(at, bits / 8, true); \
		*at = value; \
	} \
	uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *at, uint##bits##_t value, int order); \
	uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *at, uint##bits##_t value, int order) \
	{ \
		uint##bits##_t old; \
		\
		(void)order; \
		atomic(at, bits / 8, true); \
		if (goes_round(at, *at != value)) \
			schedule_wait(has_changed##bits, (const void *)at, *at, "a word to change"); \
		old = *at; \
		*at = value; \
		return old; \
	} \
	uint##bits##_t __tsan_atomic##bits##_fetch_or(volatile uint##bits##_t *at, uint##bits##_t value, int order); \
	uint##bits##_t __tsan_atomic##bits##_fetch_or(volatile uint##bits##_t *at, uint##bits##_t value, int order) \
	{ \
		uint##bits##_t old; \
		\
		atomic(at, bits / 8, true); \
		while (schedule_self() >= 0 && order == __ATOMIC_ACQUIRE && (*at & value) == value) \
			schedule_wait(has_changed##bits, (const void *)at, *at, "a bit lock"); \
		old = *at; \
		*at = old | value; \
		return old; \
	} \
	FETCH(bits, add, old + value) \
	FETCH(bits, sub, old - value) \
	FETCH(bits, and, old & value) \
	FETCH(bits, xor, old ^ value) \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile uint##bits##_t *at, uint##bits##_t expected, \
								  uint##bits##_t value, int order, int failed); \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile uint##bits##_t *at, uint##bits##_t expected, \
								  uint##bits##_t value, int order, int failed) \
	{ \
		uint##bits##_t old; \
		\
		(void)order, (void)failed; \
		atomic(at, bits / 8, true); \
		old = *at; \
		if (old == expected) \
			*at = value; \
		return old; \
	}
#define FETCH(bits, name, what) \
	uint##bits##_t __tsan_atomic##bits##_fetch_##name(volatile uint##bits##_t *at, uint##bits##_t value, int order); \
	uint##bits##_t __tsan_atomic##bits##_fetch_##name(volatile uint##bits##_t *at, uint##bits##_t value, int order) \
	{ \
		uint##bits##_t old; \
		\
		(void)order; \
		atomic(at, bits / 8, true); \
		old = *at; \
		*at = (uint##bits##_t)(what); \
		return old; \
	}
ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)
