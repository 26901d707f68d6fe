/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The value of a leaf for a fault: policy and slot turned into bits. */
#ifndef VMMU_ENGINE_LEAF_H
#define VMMU_ENGINE_LEAF_H

#include <vmmu/fault.h>
#include <vmmu/vm.h>

/* A leaf of size @level for @f->gfn, backed by @f->pfn. Context: vm shared, @f->slot is not NULL. */
uint64_t vmmu_leaf_for(struct vmmu_vcpu *v, const struct vmmu_page *root, const struct vmmu_fault *f, int level);
/*
 * @fresh in place of @old, a leaf of the same frames: never takes away what another vCPU's fault or the CPU has set.
 */
uint64_t vmmu_leaf_joined(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t fresh);

#endif
