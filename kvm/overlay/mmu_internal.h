/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands where KVM's mmu/mmu_internal.h was. Outside of the MMU only debugfs.c includes that file, for one
 * function: the number of entries that map a frame.
 */
#ifndef VMMU_KVM_OVERLAY_MMU_INTERNAL_H
#define VMMU_KVM_OVERLAY_MMU_INTERNAL_H

struct kvm_rmap_head;

unsigned int pte_list_count(struct kvm_rmap_head *rmap_head);

#endif
