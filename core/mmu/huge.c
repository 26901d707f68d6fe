/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Large pages split ahead of the dirty log and brought back after it: see memory.h. */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "engine/direct.h"
#include "engine/shadow.h"
#include "engine/root.h"
#include "page/page.h"

/* Split in one root, with memory allocated outside the lock when none is at hand. Return: false without memory. */
static bool split_in_root(struct vmmu_page *root, vmmu_gfn_t start, vmmu_gfn_t end, int level, struct vmmu_page **spare)
{
	struct vmmu_vm *vm = root->vm;
	struct vmmu_op op = vmmu_op_start(root, start, end, vmmu_host_yield_shared);

	while (!vmmu_direct_split(&op, level, spare)) {
		vmmu_host_unlock_shared(vm);
		*spare = vmmu_page_alloc(vm);
		vmmu_host_lock_shared(vm);
		if (!*spare)
			return false;
	}
	return true;
}

void vmmu_split_range(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level)
{
	struct vmmu_page *root = NULL, *spare = NULL;

	vmmu_host_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_VALID)))
		if (!split_in_root(root, start, end, level, &spare)) {
			vmmu_root_put(vm, root);
			break;
		}
	vmmu_host_unlock_shared(vm);
	if (spare)
		vmmu_page_free(spare);
}

void vmmu_split_range_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level)
{
	struct vmmu_page *root = NULL, *spare = NULL;

	vmmu_host_assert_locked(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_VALID))) {
		struct vmmu_op op = vmmu_op_start(root, start, end, NULL);

		if (!vmmu_direct_split(&op, level, &spare)) {
			vmmu_root_put(vm, root);
			break;
		}
	}
	if (spare)
		vmmu_page_free(spare);
}

void vmmu_collapse_slot(struct vmmu_vm *vm, struct vmmu_slot *slot)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *root = NULL;

	vmmu_host_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_VALID))) {
		struct vmmu_op op = vmmu_op_start(root, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot),
						  vmmu_host_yield_shared);

		vmmu_direct_collapse(&op, slot);
		vmmu_flush_pay(&op.debt);
	}
	if (shadow_in_use(vm))
		vmmu_shadow_for_leaves(vm, slot, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot), VMMU_LEVEL_4K,
				       vmmu_leaf_collapsed, vmmu_host_yield_shared, false, &debt);
	vmmu_flush_pay(&debt);
	vmmu_host_unlock_shared(vm);
}
