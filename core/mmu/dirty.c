/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Protection for the dirty log and for write tracking: see memory.h.
 * Invalid roots included: a vCPU may still run on one.
 */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "engine/direct.h"
#include "base/lock.h"
#include "engine/shadow.h"
#include "engine/root.h"

/* A walk over the slot in one root, whose flush is the caller's. */
static struct vmmu_op slot_op(struct vmmu_page *root, const struct vmmu_slot *slot)
{
	struct vmmu_op op = vmmu_op_start(root, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot),
					  vmmu_host_yield_shared);

	op.flush_later = true;
	return op;
}

/* The same in shadow pages. */
static bool slot_leaves(struct vmmu_vm *vm, struct vmmu_slot *slot, int min_level, vmmu_leaf_fn fn)
{
	struct vmmu_flush debt = flush_none(vm);

	return shadow_in_use(vm) &&
	       vmmu_shadow_for_leaves(vm, slot, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot), min_level, fn,
				      vmmu_host_yield_shared, true, &debt);
}

bool vmmu_wrprot_slot(struct vmmu_vm *vm, struct vmmu_slot *slot, int min_level)
{
	struct vmmu_page *root = NULL;
	bool changed = false;

	vm_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = slot_op(root, slot);

		vmmu_direct_wrprot(&op, min_level);
		changed |= op.changed;
	}
	changed |= slot_leaves(vm, slot, min_level, vmmu_leaf_wrprotected);
	vm_unlock_shared(vm);
	return changed;
}

bool vmmu_clean_slot(struct vmmu_vm *vm, struct vmmu_slot *slot)
{
	struct vmmu_page *root = NULL;
	bool changed = false;

	vm_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = slot_op(root, slot);

		vmmu_direct_clean(&op);
		changed |= op.changed;
	}
	changed |= slot_leaves(vm, slot, VMMU_LEVEL_4K, vmmu_leaf_cleaned);
	vm_unlock_shared(vm);
	return changed;
}

bool vmmu_log_again(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, uint64_t mask)
{
	struct vmmu_page *root = NULL;
	bool changed = false;
	vmmu_gfn_t end;

	vmmu_host_assert_locked(vm);
	if (!mask)
		return false;
	end = gfn + 64 - (unsigned int)__builtin_clzll(mask);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, gfn, end, NULL);

		vmmu_direct_log_again(&op, mask);
		changed |= op.changed;
	}
	for (; shadow_in_use(vm) && mask; mask &= mask - 1) {
		struct vmmu_flush debt = flush_none(vm);
		vmmu_gfn_t one = gfn + (unsigned int)__builtin_ctzll(mask);

		changed |= vmmu_shadow_for_leaves(vm, slot, one, one + 1, VMMU_LEVEL_4K, vmmu_leaf_logged_again,
						  NULL, true, &debt);
	}
	return changed;
}

bool vmmu_wrprot_frame(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	struct vmmu_flush debt = flush_none(vm);

	vmmu_host_assert_locked_excl(vm);
	vmmu_direct_wrprot_frame(vm, slot, gfn, &debt);
	if (shadow_in_use(vm))
		vmmu_shadow_for_leaves(vm, slot, gfn, gfn + 1, VMMU_LEVEL_4K, vmmu_leaf_wrprotected_for_good,
				       NULL, false, &debt);
	return vmmu_flush_hand_up(&debt);
}
