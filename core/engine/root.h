/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The roots of a VM: kept by references, found by role, walked one by one while others come and go. */
#ifndef VMMU_ENGINE_ROOT_H
#define VMMU_ENGINE_ROOT_H

#include <vmmu/vm.h>

/*
 * The valid root of @role, with a reference for the caller; made if there is none, from a page of @v's filled pool.
 * Context: vm shared. @built: was it made?
 */
struct vmmu_page *vmmu_root_get(struct vmmu_vcpu *v, union vmmu_role role, bool *built);
/* Give a reference back; with the last one the root is freed. Context: atomic. */
void vmmu_root_put(struct vmmu_vm *vm, struct vmmu_page *root);

enum vmmu_root_kind {
	VMMU_ROOTS_VALID,
	VMMU_ROOTS_ALL,
	VMMU_ROOTS_INVALID,
};

/*
 * The root after @last (NULL: the first) of @kind, in any address space if @space < 0. The reference on @last goes
 * over to the one returned; a loop that ends early gives it back itself. Context: vm any; it may be yielded in between.
 */
struct vmmu_page *vmmu_root_next(struct vmmu_vm *vm, struct vmmu_page *last, int space, enum vmmu_root_kind kind);

/* Mark every root invalid: none is found any more, none is mapped into. Context: vm excl. */
void vmmu_roots_invalidate(struct vmmu_vm *vm);

/*
 * The VM gives its own reference back, if it still has it: @root is invalid and its tables are taken apart. The
 * caller holds another reference. Context: atomic.
 */
void vmmu_root_release(struct vmmu_vm *vm, struct vmmu_page *root);

#endif
