/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Zapping: see memory.h. */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "base/count.h"
#include "base/lock.h"
#include "engine/direct.h"
#include "engine/shadow.h"
#include "engine/root.h"
#include "mmu/recent.h"

/* All shadow pages there are go, one after the other; not those that are made in a yield. */
static void zap_shadows(struct vmmu_vm *vm, void (*yield)(struct vmmu_vm *vm))
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *page;

	vmmu_shadow_condemn_all(vm);
	do {
		vmmu_host_rcu_read_lock();
		page = vmmu_shadow_condemned(vm);
		if (page)
			vmmu_shadow_zap(page, &debt);
		vmmu_host_rcu_read_unlock();
		if (page && vmmu_host_should_yield(vm)) {
			vmmu_flush_pay(&debt);
			yield(vm);
		}
	} while (page);
	vmmu_flush_pay(&debt);
}

static void zap_in_roots(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end,
			 void (*yield)(struct vmmu_vm *vm))
{
	struct vmmu_page *root = NULL;

	while ((root = vmmu_root_next(vm, root, space, VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, start, end, yield);

		vmmu_direct_zap(&op);
		vmmu_flush_pay(&op.debt);
	}
}

void vmmu_zap_range(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end)
{
	struct vmmu_flush debt = flush_none(vm);

	vmmu_host_assert_locked_excl(vm);
	vmmu_recent_note(vm, -1, start, end);
	zap_in_roots(vm, -1, start, end, vmmu_host_yield_excl);
	if (shadow_in_use(vm))
		vmmu_shadow_zap_frames(vm, start, end, vmmu_host_yield_excl, &debt);
	flush_add_deferred(&debt);
	vmmu_flush_pay(&debt);
}

void vmmu_zap_slot(struct vmmu_vm *vm, struct vmmu_slot *slot)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_slot *there;

	vm_lock_shared(vm);
	zap_in_roots(vm, vmmu_host_slot_space(slot), vmmu_host_slot_start(slot), vmmu_host_slot_end(slot),
		     vmmu_host_yield_shared);
	/* The slot as it is looked up has the words that count, also if they were made while it was on its way out. */
	there = shadow_in_use(vm) ? vmmu_host_slot(vm, vmmu_host_slot_space(slot), vmmu_host_slot_start(slot)) : NULL;
	if (there)
		vmmu_shadow_zap_slot(vm, there, vmmu_host_yield_shared, &debt);
	/* Whoever else holds the lock shared may have taken a table out already, and not have paid for it yet. */
	flush_add_range(&debt, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot));
	vmmu_flush_pay(&debt);
	vm_unlock_shared(vm);
	if (!shadow_in_use(vm))
		return;
	/*
	 * Whoever else holds the lock shared may be about to take out a page, and look up the slot whose words count
	 * it: let them end before the slot can be looked up no more.
	 */
	vm_lock_excl(vm);
	vm_unlock_excl(vm);
}

/* Take the trees of invalid roots apart; with the VM's reference goes the root, once no vCPU remembers it. */
static void zap_invalid_roots(struct vmmu_vm *vm)
{
	struct vmmu_page *root = NULL;

	while ((root = vmmu_root_next(vm, root, -1, VMMU_ROOTS_INVALID))) {
		struct vmmu_op op = vmmu_op_start(root, 0, ~0ull, vmmu_host_yield_shared);

		vmmu_direct_zap(&op);
		vmmu_direct_zap_tables(&op);
		vmmu_flush_pay(&op.debt);
		vmmu_root_release(vm, root);
	}
}

void vmmu_zap_all_fast(struct vmmu_vm *vm)
{
	count_vm(vm, VMMU_C_ZAP_ALL, 1);
	vm_lock_excl(vm);
	vmmu_roots_invalidate(vm);
	zap_shadows(vm, vmmu_host_yield_excl);
	vmmu_host_kick_obsolete_roots(vm);
	vm_unlock_excl(vm);

	vm_lock_shared(vm);
	zap_invalid_roots(vm);
	vm_unlock_shared(vm);
}

void vmmu_zap_all(struct vmmu_vm *vm)
{
	count_vm(vm, VMMU_C_ZAP_ALL, 1);
	vm_lock_excl(vm);
	zap_in_roots(vm, -1, 0, ~0ull, vmmu_host_yield_excl);
	zap_shadows(vm, vmmu_host_yield_excl);
	vm_unlock_excl(vm);
}
