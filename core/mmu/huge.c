/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Large pages split ahead of the dirty log and brought back after it: see memory.h. */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "engine/direct.h"
#include "base/lock.h"
#include "engine/root.h"
#include "engine/shadow.h"
#include "engine/shadow_split.h"
#include "page/page.h"

/* Split in one root, with memory allocated outside the lock when none is at hand. Return: false without memory. */
static bool split_in_root(struct vmmu_page *root, vmmu_gfn_t start, vmmu_gfn_t end, int level, struct vmmu_page **spare)
{
	struct vmmu_vm *vm = root->vm;
	struct vmmu_op op = vmmu_op_start(root, start, end, vmmu_host_yield_shared);

	while (!vmmu_direct_split(&op, level, spare)) {
		vm_unlock_shared(vm);
		*spare = vmmu_page_alloc(vm);
		vm_lock_shared(vm);
		if (!*spare)
			return false;
	}
	return true;
}

/* The same in shadow pages. */
static void split_in_shadows(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level,
			     struct vmmu_stock *stock)
{
	struct vmmu_shadow_split s = {
		.vm = vm, .slot = slot, .start = start, .end = end, .level = level, .stock = stock, .can_wait = true,
		.yield = vmmu_host_yield_shared, .debt = flush_none(vm),
	};
	int err = VMMU_OK;

	while (!err && !vmmu_shadow_split(&s)) {
		vmmu_flush_pay(&s.debt);
		vm_unlock_shared(vm);
		err = vmmu_stock_fill(vm, stock, s.nodes_wanted);
		vm_lock_shared(vm);
	}
	vmmu_flush_pay(&s.debt);
}

void vmmu_split_range(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level)
{
	struct vmmu_stock stock = { .page = NULL };
	struct vmmu_page *root = NULL;

	vm_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_VALID)))
		if (!split_in_root(root, start, end, level, &stock.page)) {
			vmmu_root_put(vm, root);
			break;
		}
	if (!root && shadow_in_use(vm))
		split_in_shadows(vm, slot, start, end, level, &stock);
	vm_unlock_shared(vm);
	vmmu_stock_free(&stock);
}

void vmmu_split_range_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int level)
{
	struct vmmu_stock stock = { .page = NULL };
	struct vmmu_page *root = NULL;

	vmmu_host_assert_locked(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_VALID))) {
		struct vmmu_op op = vmmu_op_start(root, start, end, NULL);

		if (!vmmu_direct_split(&op, level, &stock.page)) {
			vmmu_root_put(vm, root);
			break;
		}
	}
	if (!root && shadow_in_use(vm)) {
		struct vmmu_shadow_split s = {
			.vm = vm, .slot = slot, .start = start, .end = end, .level = level, .stock = &stock,
			.debt = flush_none(vm),
		};

		vmmu_shadow_split(&s);
		vmmu_flush_pay(&s.debt);
	}
	vmmu_stock_free(&stock);
}

void vmmu_collapse_slot(struct vmmu_vm *vm, struct vmmu_slot *slot)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *root = NULL;

	vm_lock_shared(vm);
	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_VALID))) {
		struct vmmu_op op = vmmu_op_start(root, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot),
						  vmmu_host_yield_shared);

		vmmu_direct_collapse(&op, slot);
		vmmu_flush_pay(&op.debt);
	}
	if (shadow_in_use(vm))
		vmmu_shadow_collapse(vm, slot, vmmu_host_yield_shared, &debt);
	vmmu_flush_pay(&debt);
	vm_unlock_shared(vm);
}
