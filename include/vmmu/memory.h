/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a host does to the memory of a VM: invalidation, aging, dirty logging, large pages, zapping.
 *
 * "vm excl" / "vm shared": the caller holds the VM's lock that way. "takes vm": the function takes it.
 * Functions that return bool for a flush: true means that the caller flushes the whole VM before it gives up
 * the lock (or, where said, later); they never leave it half done.
 *
 * Context of all: inside the host's slot read section, or where slots cannot change.
 */
#ifndef VMMU_MEMORY_H
#define VMMU_MEMORY_H

#include <vmmu/types.h>
#include <vmmu/vm.h>

/* May a function give up the VM's lock for a while? It never does with a flush owed. */
enum vmmu_yield {
	VMMU_YIELD_NEVER,
	VMMU_YIELD_ALLOWED,
};

/* --- Invalidation by the host -------------------------------------------------------------- */

/* A range here lies in one slot, or where there is none. */

/*
 * Nothing maps frames [@start, @end) of @space any more, in valid and invalid roots. Context: vm excl.
 * Return: flush needed.
 */
VMMU_MUST_CHECK bool vmmu_unmap_range(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end,
				      enum vmmu_yield yield);
/*
 * The host moved the memory behind @gfn to @pfn, which must be mapped read-only until the next write fault.
 * Context: vm excl. Return: flush needed.
 */
VMMU_MUST_CHECK bool vmmu_set_frame(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn, vmmu_pfn_t pfn);
/*
 * Was any page of [@start, @end) accessed since it was last aged? vmmu_age_range() ages it, too.
 * Context: vm any; no flush.
 */
bool vmmu_age_range(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end);
bool vmmu_test_young_range(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end);

/* --- Zapping ------------------------------------------------------------------------------- */

/*
 * Drop every entry of [@start, @end) in both address spaces, MMIO entries too, and flush. Context: vm excl,
 * given up and taken again on the way. Any @end is good.
 */
void vmmu_zap_range(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end);
/*
 * The slot goes, or moves: on return no entry and no TLB refers to its frames, and no page mirrors a table in them.
 * Roots stay, but for those that are such a table. Context: takes vm (shared, then exclusive for a moment); no vCPU can
 * look the slot up any more.
 */
void vmmu_zap_slot(struct vmmu_vm *vm, struct vmmu_slot *slot);
/*
 * Make every root obsolete, tell the vCPUs to drop theirs, and take the trees apart while new ones grow.
 * On return no vCPU runs on anything made before. Context: takes vm (exclusive for a moment, then shared).
 */
void vmmu_zap_all_fast(struct vmmu_vm *vm);
/* Nothing is mapped in any root, valid or not; no vCPU can run. Context: takes vm (exclusive), yields. */
void vmmu_zap_all(struct vmmu_vm *vm);

/* --- Dirty log ------------------------------------------------------------------------------ */

/*
 * Leaves of the slot of size @min_level and larger lose W, and may get it back by a write fault. Context: takes
 * vm (shared), yields. The caller flushes before it reads the log. Return: something changed.
 */
bool vmmu_wrprot_slot(struct vmmu_vm *vm, struct vmmu_slot *slot, int min_level);
/* 4K leaves of the slot lose D, so that the CPU logs the next write; W where D cannot be used. Else as above. */
bool vmmu_clean_slot(struct vmmu_vm *vm, struct vmmu_slot *slot);
/*
 * Of the frames @gfn + n for each bit n of @mask: the next write is logged again. Small leaves lose D where the
 * CPU logs by D, else W; a large leaf that holds one of them loses W. Any @gfn, any mask inside the slot.
 * Context: vm excl or shared; never sleeps, never yields. The caller flushes before it reads the pages. Return:
 * something changed.
 */
bool vmmu_log_again(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, uint64_t mask);

/* --- Write tracking -------------------------------------------------------------------------- */

/*
 * @gfn of @slot loses W for good in every root: no fault sets it while the frame is tracked. Context: vm excl.
 * Return: flush needed.
 */
VMMU_MUST_CHECK bool vmmu_wrprot_frame(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn);

/* --- Large pages ----------------------------------------------------------------------------- */

/*
 * Replace leaves larger than @level that touch [@start, @end) of the slot by tables of smaller ones with the same
 * rights. An optimisation: what cannot be allocated stays large. No flush is owed.
 * vmmu_split_range(): takes vm (shared), may sleep, yields. vmmu_split_range_atomic(): vm any, does not sleep.
 */
void vmmu_split_range(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level);
void vmmu_split_range_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level);
/*
 * Drop tables of the slot where a large page can stand now: the next access brings it.
 * Context: takes vm (shared), yields; flushes.
 */
void vmmu_collapse_slot(struct vmmu_vm *vm, struct vmmu_slot *slot);
/*
 * Take back up to @count of the tables made since large pages must not be executable, oldest first.
 * Context: takes vm (shared), yields; flushes.
 */
void vmmu_nx_recover(struct vmmu_vm *vm, uint64_t count);

/* --- Shadow pages ---------------------------------------------------------------------------- */

/*
 * Evict shadow pages, coldest first, until none can go or no more than @most are left of those there were. Context: vm
 * shared, which is yielded. Return: how many went.
 */
uint64_t vmmu_shrink(struct vmmu_vm *vm, uint64_t most);
/*
 * The guest wrote @bytes, at least 1, inside one frame at @gpa by an instruction the host carried out, and they are
 * there. Context: takes vm (shared).
 */
void vmmu_guest_written(struct vmmu_vm *vm, vmmu_gpa_t gpa, unsigned int bytes);
/*
 * The host's vmmu_host_gpte_cmpxchg() has set @flags in the entry of @bytes at @gpa: for pages that mirror the entry in
 * a format in which these are no A and D flags, that is a write. Context: as above; the vCPU's own thread.
 */
void vmmu_guest_flags_set(struct vmmu_vcpu *v, vmmu_gpa_t gpa, unsigned int bytes, uint64_t flags);
/*
 * Let go of the guest tables in frame @gfn, so that it can be written. Context: takes vm (shared).
 * Return: were there any?
 */
bool vmmu_unprotect(struct vmmu_vm *vm, vmmu_gfn_t gfn);

#endif
