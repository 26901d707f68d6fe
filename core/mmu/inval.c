/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Invalidation and aging by the host: see memory.h. Invalid roots count: a vCPU may still run on one. */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "engine/direct.h"
#include "engine/shadow.h"
#include "engine/root.h"
#include "mmu/recent.h"

/* In shadow pages the leaves of a range are found slot by slot; a range the host names lies in one. */
static bool for_slot_leaves(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end, vmmu_leaf_fn fn,
			    void (*yield)(struct vmmu_vm *vm), struct vmmu_flush *debt)
{
	struct vmmu_slot *slot = shadow_in_use(vm) ? vmmu_host_slot(vm, space, start) : NULL;

	return slot && vmmu_shadow_for_leaves(vm, slot, start, end, VMMU_LEVEL_4K, fn, yield, false, debt);
}

bool vmmu_unmap_range(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end, enum vmmu_yield yield)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *root = NULL;

	vmmu_host_assert_locked_excl(vm);
	vmmu_recent_note(vm, space, start, end);
	while ((root = vmmu_root_next(vm, root, space, VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, start, end,
						  yield == VMMU_YIELD_ALLOWED ? vmmu_host_yield_excl : NULL);

		/* One debt for all roots: a yield in a later one pays for the earlier ones, too. */
		op.debt = debt;
		vmmu_direct_unmap(&op);
		debt = op.debt;
	}
	for_slot_leaves(vm, space, start, end, vmmu_leaf_dropped,
			yield == VMMU_YIELD_ALLOWED ? vmmu_host_yield_excl : NULL, &debt);
	return vmmu_flush_hand_up(&debt);
}

bool vmmu_set_frame(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn, vmmu_pfn_t pfn)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *root = NULL;
	bool flush = false;

	vmmu_host_assert_locked_excl(vm);
	vmmu_recent_note(vm, space, gfn, gfn + 1);
	while ((root = vmmu_root_next(vm, root, space, VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, gfn, gfn + 1, NULL);

		vmmu_direct_set_frame(&op, pfn);
		flush |= vmmu_flush_hand_up(&op.debt);
	}
	for_slot_leaves(vm, space, gfn, gfn + 1, vmmu_leaf_dropped, NULL, &debt);
	return vmmu_flush_hand_up(&debt) || flush;
}

static bool young(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end, bool age)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *root = NULL;
	struct vmmu_slot *slot;
	bool found = false;

	while ((root = vmmu_root_next(vm, root, space, VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, start, end, NULL);

		found |= vmmu_direct_young(&op, age);
	}
	slot = shadow_in_use(vm) ? vmmu_host_slot(vm, space, start) : NULL;
	if (slot)
		found |= age ?
			vmmu_shadow_for_leaves(vm, slot, start, end, VMMU_LEVEL_4K, vmmu_leaf_aged, NULL, true, &debt) :
			vmmu_shadow_young(vm, slot, start, end);
	return found;
}

bool vmmu_age_range(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end)
{
	return young(vm, space, start, end, true);
}

bool vmmu_test_young_range(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end)
{
	return young(vm, space, start, end, false);
}
