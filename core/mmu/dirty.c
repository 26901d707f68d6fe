/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Protection for the dirty log and for write tracking: see memory.h. Invalid roots included: a vCPU may still run on one. */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "engine/direct.h"
#include "mmu/root.h"

/* A walk over the slot in one root, whose flush is the caller's. */
static struct vmmu_op slot_op(struct vmmu_page *root, const struct vmmu_slot *slot)
{
	struct vmmu_op op = vmmu_op_start(root, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot), vmmu_host_yield_shared);

	op.flush_later = true;
	return op;
}

bool vmmu_wrprot_slot(struct vmmu_vm *vm, struct vmmu_slot *slot, int min_level)
{
	struct vmmu_page *root = NULL;
	bool changed = false;

	vmmu_host_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = slot_op(root, slot);

		vmmu_direct_wrprot(&op, min_level);
		changed |= op.changed;
	}
	vmmu_host_unlock_shared(vm);
	return changed;
}

bool vmmu_clean_slot(struct vmmu_vm *vm, struct vmmu_slot *slot)
{
	struct vmmu_page *root = NULL;
	bool changed = false;

	vmmu_host_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = slot_op(root, slot);

		vmmu_direct_clean(&op);
		changed |= op.changed;
	}
	vmmu_host_unlock_shared(vm);
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
	return changed;
}

bool vmmu_wrprot_frame(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	struct vmmu_page *root = NULL;
	bool flush = false;

	vmmu_host_assert_locked_excl(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, gfn, gfn + 1, NULL);

		vmmu_direct_wrprot_for_good(&op);
		flush |= vmmu_flush_hand_up(&op.debt);
	}
	return flush;
}
