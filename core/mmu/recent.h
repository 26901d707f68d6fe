/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ranges that the host has invalidated lately: what tells whether a frame that was looked up may still be mapped.
 *
 * A fault marks the time before it looks its frame up, and asks under the VM's lock what has been invalidated since.
 * Only that counts which lies where the fault is: a host that merges, moves or swaps pages all the time would otherwise
 * send every fault back, and vCPUs would stand still.
 */
#ifndef VMMU_MMU_RECENT_H
#define VMMU_MMU_RECENT_H

#include <vmmu/vm.h>

/* @space is about to lose [@start, @end), every space if it is negative. Context: vm excl, counted as in progress. */
void vmmu_recent_note(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end);

/* Has any of [@start, @end) been invalidated since @mark was taken, and the invalidation ended? Context: vm any. */
bool vmmu_recent_covers(const struct vmmu_vm *vm, uint64_t mark, int space, vmmu_gfn_t start, vmmu_gfn_t end);

#endif
