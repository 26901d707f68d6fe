/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a piece of guest memory takes along as it goes, or as all that was made of it has to be made anew. Leaves are found by
 * reverse map where the slot is known, else by reading every page; pages that mirror tables in it by going through the index,
 * bucket by bucket, so that a walk can be left and gone on with at any bucket.
 */
#include "engine/shadow.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "format/spte.h"
#include "page/index.h"

void vmmu_shadow_give_way(struct vmmu_vm *vm, void (*yield)(struct vmmu_vm *vm), struct vmmu_flush *debt)
{
	if (!yield || !vmmu_host_should_yield(vm))
		return;
	vmmu_flush_pay(debt);
	vmmu_host_rcu_read_unlock();
	yield(vm);
	vmmu_host_rcu_read_lock();
}

static bool mirrors_slot(const struct vmmu_page *page, const struct vmmu_slot *slot)
{
	return shadow_mirrors(page) && (int)page->role.space == vmmu_host_slot_space(slot) &&
	       page->gfn >= vmmu_host_slot_start(slot) && page->gfn < vmmu_host_slot_end(slot);
}

void vmmu_shadow_zap_slot(struct vmmu_vm *vm, struct vmmu_slot *slot, void (*yield)(struct vmmu_vm *vm),
			  struct vmmu_flush *debt)
{
	vmmu_host_rcu_read_lock();
	for (unsigned int n = 0; n < VMMU_INDEX_BUCKETS; n++) {
		struct vmmu_page *page;

		for (page = vmmu_index_bucket_first(vm, n); page; page = vmmu_index_bucket_next(page))
			if (mirrors_slot(page, slot))
				vmmu_shadow_zap(page, debt);
		vmmu_shadow_give_way(vm, yield, debt);
	}
	vmmu_host_rcu_read_unlock();
	vmmu_shadow_for_leaves(vm, slot, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot), VMMU_LEVEL_4K, vmmu_leaf_dropped,
			       yield, false, debt);
}

/* Does entry @i of @page, with the value @spte, stand for a frame of [@start, @end), as a leaf or for MMIO? */
static bool stands_for(const struct vmmu_page *page, unsigned int i, uint64_t spte, vmmu_gfn_t start, vmmu_gfn_t end)
{
	const struct vmmu_spte_format *fmt = page->vm->fmt;
	vmmu_gfn_t gfn, frames = 1;

	if (spte_is_leaf(spte, page->role.level)) {
		gfn = leaf_gfn(page, i);
		frames = vmmu_level_frames(page->role.level);
	} else if (spte_is_mmio(fmt, spte)) {
		gfn = vmmu_spte_mmio_gfn(fmt, spte);
	} else {
		return false;
	}
	return gfn < end && gfn + frames > start;
}

static void drop_frames(struct vmmu_page *page, vmmu_gfn_t start, vmmu_gfn_t end, struct vmmu_flush *debt)
{
	page_lock(page);
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++) {
		uint64_t spte = pte_load(&page->table[i]);

		if (spte && stands_for(page, i, spte, start, end))
			vmmu_shadow_drop(page, i, debt);
	}
	page_unlock(page);
}

void vmmu_shadow_zap_frames(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end, void (*yield)(struct vmmu_vm *vm),
			    struct vmmu_flush *debt)
{
	vmmu_host_rcu_read_lock();
	for (unsigned int n = 0; n < VMMU_INDEX_BUCKETS; n++) {
		struct vmmu_page *page;

		for (page = vmmu_index_bucket_first(vm, n); page; page = vmmu_index_bucket_next(page))
			drop_frames(page, start, end, debt);
		vmmu_shadow_give_way(vm, yield, debt);
	}
	vmmu_host_rcu_read_unlock();
}
