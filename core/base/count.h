/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Counting events: on the vCPU that caused them, without a shared write; on the VM where no vCPU did. */
#ifndef VMMU_BASE_COUNT_H
#define VMMU_BASE_COUNT_H

#include <vmmu/vm.h>
#include "base/atomic.h"

static inline void count_vcpu(struct vmmu_vcpu *v, enum vmmu_counter c)
{
	counter_add_own(&v->count[c], 1);
}

static inline void count_vm(struct vmmu_vm *vm, enum vmmu_counter c, uint64_t n)
{
	counter_add(&vm->count[c], n);
}

/* Where leaves of @entry's table are counted. */
static inline struct vmmu_leaf_count *leaf_count_of(struct vmmu_vm *vm, const uint64_t *entry)
{
	return &vm->leaf_count[((uintptr_t)entry >> VMMU_PAGE_SHIFT) % VMMU_LEAF_COUNTS];
}

#endif
