/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The direct engine: trees that map guest frames to host frames (EPT, NPT). A tree is indexed by gfn and needs
 * no reverse map. Every function works on one tree; core/mmu/ calls it for each root.
 *
 * All take the tree's root page. "op" functions walk a range of frames; see struct vmmu_op.
 */
#ifndef VMMU_ENGINE_DIRECT_H
#define VMMU_ENGINE_DIRECT_H

#include <vmmu/fault.h>
#include <vmmu/vm.h>
#include "engine/flush.h"

/*
 * Install @f->pfn, or an MMIO entry, for @f->gfn with page size @f->goal_level. @v's pool is full.
 * Context: vm shared; @root is valid; the frame was seen not to be invalidated under this hold of the lock.
 */
enum vmmu_fault_result vmmu_direct_map(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f);
/* Map neighbours of a just mapped 4K page that the host has at hand. Context: as above. */
void vmmu_direct_prefetch(struct vmmu_vcpu *v, struct vmmu_page *root, const struct vmmu_fault *f);
/*
 * Fix @f without any lock where an entry only has to get back what aging or the dirty log took from it.
 * @f->slot is looked up. Context: may be called with nothing held. Return: FIXED, SPURIOUS, or RETRY: take the slow
 * way.
 */
enum vmmu_fault_result vmmu_direct_fix_fast(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f);
/*
 * The lowest entry there is for @gfn. @level: its level. Context: none needed; the value may be stale at once.
 */
uint64_t vmmu_direct_lookup(struct vmmu_vm *vm, const struct vmmu_page *root, vmmu_gfn_t gfn, int *level);

/* A walk over frames [start, end) of one tree. */
struct vmmu_op {
	struct vmmu_vm *vm;
	struct vmmu_page *root;
	vmmu_gfn_t start, end;
	void (*yield)(struct vmmu_vm *vm);	/* vmmu_host_yield_shared or _excl, as the lock is held;
						 * NULL: never yield */
	bool flush_later;			/* the caller flushes once all is done:
						 * a yield need not pay for lost rights */
	struct vmmu_flush debt;			/* what the walk owes; paid before a yield */
	bool changed;				/* an entry was changed, ever */
};

static inline struct vmmu_op vmmu_op_start(struct vmmu_page *root, vmmu_gfn_t start, vmmu_gfn_t end,
					   void (*yield)(struct vmmu_vm *vm))
{
	return (struct vmmu_op){
		.vm = root->vm, .root = root, .start = start, .end = end, .yield = yield, .debt = flush_none(root->vm),
	};
}

/* Context of all: vm any, not rcu. A large leaf that reaches over a border of the range counts as inside. */

/* Drop leaves, and tables that lie inside whole. */
void vmmu_direct_unmap(struct vmmu_op *op);
/* The same and MMIO entries too. */
void vmmu_direct_zap(struct vmmu_op *op);
/* Drop the tables of a tree that no vCPU uses, from the leaves up, so that no step is longer than one table. */
void vmmu_direct_zap_tables(struct vmmu_op *op);
/* Leaves of @min_level and larger lose W, and get it back by a write fault. */
void vmmu_direct_wrprot(struct vmmu_op *op, int min_level);
/* 4K leaves lose D, or W where D cannot be used. */
void vmmu_direct_clean(struct vmmu_op *op);
/* For frames op->start + n with bit n of @mask: see vmmu_log_again(). */
void vmmu_direct_log_again(struct vmmu_op *op, uint64_t mask);
/* Return: was a leaf accessed since it was aged? Ages it if @age. */
bool vmmu_direct_young(struct vmmu_op *op, bool age);
/* op->start is one frame: it is backed by @pfn now, read-only for the time being. */
void vmmu_direct_set_frame(struct vmmu_op *op, vmmu_pfn_t pfn);
/*
 * Replace leaves larger than @level by tables. @spare: pages to use; taken ones are set to NULL; when one is
 * missing and none can be had without waiting the walk ends. Return: true if it came to the end.
 */
bool vmmu_direct_split(struct vmmu_op *op, int level, struct vmmu_page **spare);
/* Drop tables of @slot that a large leaf can replace. */
void vmmu_direct_collapse(struct vmmu_op *op, const struct vmmu_slot *slot);

/*
 * @gfn of @slot loses W for good in every direct tree of the slot's address space. Context: vm any, atomic, no lock of
 * ours below a page's. Adds to @debt.
 */
void vmmu_direct_wrprot_frame(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, struct vmmu_flush *debt);

#endif
