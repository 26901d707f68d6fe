/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The host's types of the contract in <vmmu/host.h>, bound to the benchmark's machine. */
#ifndef VMMU_BENCH_HOST_TYPES_H
#define VMMU_BENCH_HOST_TYPES_H

#include <stdint.h>

typedef struct {
	uint32_t held;
} vmmu_spinlock_t;

struct vmmu_rcu {
	struct vmmu_rcu *next;
	void (*fn)(struct vmmu_rcu *rcu);
};

#endif
