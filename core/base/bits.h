/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Masks, compile-time checks, and what compilers have to be told. */
#ifndef VMMU_BASE_BITS_H
#define VMMU_BASE_BITS_H

#include <vmmu/types.h>

/*
 * A large local that is filled before it is read. Kernels are built to clear locals where they come into being
 * (-ftrivial-auto-var-init=zero), which would be most of what a short function does.
 */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define VMMU_UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef VMMU_UNINITIALIZED
#define VMMU_UNINITIALIZED
#endif

#define STATIC_CHECK(what) _Static_assert(what, #what)

#define BIT64(n)	(1ull << (n))
/* Bits @high down to @low, both included, as the manuals write ranges; 63 >= high >= low. */
#define BITS64(high, low) ((~0ull >> (63 - (high))) & (~0ull << (low)))

STATIC_CHECK(BITS64(63, 0) == ~0ull);
STATIC_CHECK(BITS64(51, 12) == 0x000ffffffffff000ull);
STATIC_CHECK(BITS64(3, 3) == BIT64(3));

/* BITS64() for numbers not known to be in order: 0 where @high < @low. */
static inline uint64_t bits64_or_none(int high, int low)
{
	return high < low ? 0 : BITS64(high, low);
}

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#endif
