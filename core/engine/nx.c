/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See nx.h. */
#include "engine/nx.h"
#include <vmmu/memory.h>
#include "base/count.h"
#include "base/list.h"
#include "base/lock.h"
#include "engine/change.h"
#include "engine/shadow.h"
#include "format/spte.h"

static bool is_linked(const struct vmmu_page *page)
{
	uint64_t spte;

	/* A shadow page has many parents, and is marked before any of them is cleared. */
	if (page->shadow)
		return !flag_load(&page->invalid);
	spte = pte_load(page->parent_entry);

	return spte_is_table(spte, page->role.level + 1) &&
	       spte_address(page->vm->fmt, spte) == vmmu_host_table_hpa(page->table);
}

void vmmu_nx_split_remember(struct vmmu_page *page)
{
	struct vmmu_vm *vm = page->vm;

	lists_lock(vm);
	/*
	 * Whoever took the table out meanwhile froze its parent's entry or replaced it, be it by another table, before
	 * asking us to forget it.
	 */
	if (!page->nx_split && is_linked(page)) {
		flag_store(&page->nx_split, true);
		dlist_add_tail(&vm->nx_splits, &page->nx_link);
		count_vm(vm, VMMU_C_NX_SPLITS_NOW, 1);
		vmmu_host_nx_split_count(vm, 1);
	}
	lists_unlock(vm);
}

void vmmu_nx_split_forget(struct vmmu_page *page)
{
	struct vmmu_vm *vm = page->vm;

	lists_lock(vm);
	if (page->nx_split) {
		flag_store(&page->nx_split, false);
		dlist_del(&page->nx_link);
		count_vm(vm, VMMU_C_NX_SPLITS_NOW, -1ull);
		vmmu_host_nx_split_count(vm, -1);
	}
	lists_unlock(vm);
}

/* The oldest table of the list. Context: rcu, which keeps it readable. */
static struct vmmu_page *nx_oldest(struct vmmu_vm *vm)
{
	struct vmmu_page *page = NULL;

	lists_lock(vm);
	if (!dlist_is_empty(&vm->nx_splits))
		page = CONTAINER_OF(vm->nx_splits.next, struct vmmu_page, nx_link);
	lists_unlock(vm);
	return page;
}

/* Take @page out of its tree, if it is still in it: the next access brings the large page back. */
static void nx_take_back(struct vmmu_page *page, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = page->vm;
	struct vmmu_place at = {
		.vm = vm,
		.entry = page->parent_entry,
		.gfn = page->gfn,
		.level = (uint8_t)(page->role.level + 1),
		.space = page->role.space,
	};
	struct vmmu_slot *slot = vmmu_host_slot(vm, page->role.space, page->gfn);
	uint64_t old;

	/* While writes are logged the pages have to be small anyway. */
	if (slot && vmmu_host_slot_logs_dirty(slot)) {
		vmmu_nx_split_forget(page);
		return;
	}
	if (page->shadow) {
		vmmu_shadow_zap(page, debt);
		return;
	}
	old = pte_load(at.entry);
	while (is_linked(page))
		if (vmmu_change_try(&at, &old, 0, debt))
			return;
	vmmu_nx_split_forget(page);
}

void vmmu_nx_recover(struct vmmu_vm *vm, uint64_t count)
{
	struct vmmu_flush debt = flush_none(vm);

	vm_lock_shared(vm);
	while (count--) {
		struct vmmu_page *page;

		vmmu_host_rcu_read_lock();
		page = nx_oldest(vm);
		if (page)
			nx_take_back(page, &debt);
		vmmu_host_rcu_read_unlock();
		if (!page)
			break;
		if (vmmu_host_should_yield(vm)) {
			vmmu_flush_pay(&debt);
			vmmu_host_yield_shared(vm);
		}
	}
	vmmu_flush_pay(&debt);
	vm_unlock_shared(vm);
}
