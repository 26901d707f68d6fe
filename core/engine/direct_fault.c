/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The direct engine's side of a fault: one leaf for one frame, and what has to stand above it. */
#include "engine/direct.h"
#include <vmmu/host.h>
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "engine/leaf.h"
#include "engine/nx.h"
#include "engine/shadow.h"
#include "engine/split.h"
#include "page/page.h"
#include "walk/iter.h"

/* A lost race is looked at anew this often before the guest is let run into the fault again. */
#define MAP_TRIES 8

static struct vmmu_place place_of(struct vmmu_vm *vm, const struct vmmu_iter *it)
{
	return (struct vmmu_place){
		.vm = vm, .entry = it->entry, .gfn = it->gfn, .level = (uint8_t)it->level,
		.space = it->root->role.space,
	};
}

static uint64_t entry_for(struct vmmu_vcpu *v, const struct vmmu_page *root, const struct vmmu_fault *f,
			  const struct vmmu_iter *it)
{
	uint64_t spte;

	if (!f->slot)
		return vmmu_spte_make_mmio(v->vm->fmt, f->gfn, VMMU_ACC_ALL, f->generation);
	spte = vmmu_leaf_for(v, root, f, it->level);
	if (spte_is_leaf(it->old, it->level) && spte_pfn(v->vm->fmt, it->old) == spte_pfn(v->vm->fmt, spte))
		spte = vmmu_leaf_joined(v->vm->fmt, it->old, spte);
	return spte;
}

/* Put a large leaf where a table stands: freeze the entry, flush the table away, then install. */
static enum vmmu_fault_result replace_table(struct vmmu_vcpu *v, struct vmmu_iter *it, uint64_t spte)
{
	struct vmmu_place at = place_of(v->vm, it);
	struct vmmu_flush debt = flush_none(v->vm);

	if (!vmmu_change_try(&at, &it->old, SPTE_FROZEN, &debt))
		return VMMU_FAULT_RETRY;
	vmmu_flush_pay(&debt);
	vmmu_change_thaw(&at, spte);
	count_vcpu(v, VMMU_C_COLLAPSES);
	return VMMU_FAULT_FIXED;
}

static enum vmmu_fault_result result_of(const struct vmmu_vcpu *v, const struct vmmu_fault *f, uint64_t spte)
{
	if (!f->slot)
		return VMMU_FAULT_EMULATE;
	/* A write to a tracked or host-read-only frame: the entry is right, and the access is still not allowed. */
	if (!f->prefetch && vmmu_fault_is_write(f) && !spte_allows(v->vm->fmt, spte, VMMU_PF_W))
		return VMMU_FAULT_EMULATE;
	return VMMU_FAULT_FIXED;
}

/* Does @spte allow writes that @old did not, and that no D bit will tell of? */
static bool gains_silent_write(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t spte)
{
	return !(spte_is_present(old) && spte_is_writable(old)) && spte_is_dirty(fmt, spte);
}

/*
 * Install at the entry the walk stopped at. Return: RETRY after a lost race, with it->old as it is now, or if only a smaller
 * page may stand there: that is the fault's goal then.
 */
static enum vmmu_fault_result install(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f,
				      struct vmmu_iter *it)
{
	struct vmmu_place at = place_of(v->vm, it);
	struct vmmu_flush debt = flush_none(v->vm);
	uint64_t old = it->old, spte;
	enum vmmu_fault_result result;
	bool done;

	/* A frame that is tracked in another space than the fault's has its count in that space's slot. */
	if (f->slot && it->level > VMMU_LEVEL_4K && huge_disallowed_anywhere(v->vm, f->gfn, it->level)) {
		f->goal_level--;
		return VMMU_FAULT_RETRY;
	}
	spte = entry_for(v, root, f, it);
	result = result_of(v, f, spte);
	if (it->old == spte)
		return result == VMMU_FAULT_FIXED ? VMMU_FAULT_SPURIOUS : result;
	if (spte_is_table(it->old, it->level)) {
		if (replace_table(v, it, spte) == VMMU_FAULT_RETRY)
			return VMMU_FAULT_RETRY;
		done = true;
	} else if (spte_is_leaf(it->old, it->level) &&
		   (!spte_is_present(spte) || spte_pfn(v->vm->fmt, it->old) != spte_pfn(v->vm->fmt, spte))) {
		/* Other memory, or none, stands behind the frame now: the old leaf and its translations go first. */
		done = vmmu_change_try(&at, &it->old, 0, &debt);
		vmmu_flush_pay(&debt);
		if (done)
			it->old = 0;
		return VMMU_FAULT_RETRY;
	} else {
		done = vmmu_change_try(&at, &it->old, spte, &debt);
		vmmu_flush_pay(&debt);
	}
	if (!done)
		return VMMU_FAULT_RETRY;
	/* W comes back together with D: the CPU has nothing left to log. After W is set, as in direct_fast.c. */
	if (f->slot && spte_is_writable(spte) && (vmmu_fault_is_write(f) || gains_silent_write(v->vm->fmt, old, spte)))
		vmmu_host_mark_dirty(v->vm, v, f->slot, f->gfn);
	it->old = spte;
	vmmu_host_trace_fault(v, f, f->slot ? VMMU_FAULT_EV_INSTALLED : VMMU_FAULT_EV_MMIO_SET, it->entry, spte, it->level);
	if (!f->slot) {
		f->mmio_made = true;
		count_vcpu(v, VMMU_C_MMIO_SET);
	}
	return result;
}

/*
 * Where there are shadow pages, a frame can become tracked at any moment: what is installed and what is tracked are
 * decided under the lock of the frame's reverse map.
 */
static enum vmmu_fault_result install_guarded(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f,
					      struct vmmu_iter *it)
{
	enum vmmu_fault_result result;
	vmmu_entry_set *guard;

	if (!f->slot || !shadow_in_use(v->vm))
		return install(v, root, f, it);
	guard = vmmu_host_slot_rmap(f->slot, f->gfn, it->level);
	/* The slot has been replaced: the next fault finds the one that stands there now. */
	if (!guard)
		return VMMU_FAULT_RETRY;
	rmap_lock(v->vm, guard);
	result = install(v, root, f, it);
	rmap_unlock(guard);
	return result;
}

/* Give the absent entry a table. Return: false after a lost race, with it->old as it is now. */
static bool link_table(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f, struct vmmu_iter *it)
{
	struct vmmu_place at = place_of(v->vm, it);
	struct vmmu_flush debt = flush_none(v->vm);
	struct vmmu_page *page = vmmu_pool_take(v);
	union vmmu_role role = vmmu_role_direct(it->level - 1, root->role.space, root->role.guest_view);
	uint64_t spte = vmmu_spte_make_table(v->vm->fmt, vmmu_host_table_hpa(page->table), false);

	vmmu_page_name(page, it->gfn, role, it->entry);
	if (!vmmu_change_try(&at, &it->old, spte, &debt)) {
		vmmu_pool_give_back(v, page);
		return false;
	}
	vmmu_flush_pay(&debt);
	it->old = spte;
	vmmu_page_linked(page);
	if (f->huge_disallowed && f->req_level >= it->level)
		vmmu_nx_split_remember(page);
	return true;
}

/* The large leaf in the way becomes a table of smaller ones. Return: false after a lost race. */
static bool split_leaf(struct vmmu_vcpu *v, struct vmmu_fault *f, struct vmmu_iter *it)
{
	struct vmmu_place at = place_of(v->vm, it);
	struct vmmu_page *page = vmmu_pool_take(v);

	if (!vmmu_split_leaf(&at, it->root, &it->old, page)) {
		vmmu_pool_give_back(v, page);
		return false;
	}
	if (f->huge_disallowed && f->req_level >= it->level)
		vmmu_nx_split_remember(page);
	return true;
}

/*
 * A table at the level of the page that is to be installed may be there since code runs in the region. Then the
 * region stays small, or reads and fetches would replace each other's entries for ever.
 */
static void respect_nx_split(struct vmmu_vm *vm, struct vmmu_fault *f, const struct vmmu_iter *it)
{
	if (it->level == f->goal_level && it->level > VMMU_LEVEL_4K && spte_is_table(it->old, it->level) &&
	    flag_load(&vm->nx_huge_pages))
		f->goal_level--;
}

enum vmmu_fault_result vmmu_direct_map(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f)
{
	enum vmmu_fault_result result = VMMU_FAULT_RETRY;
	struct vmmu_iter it;
	int tries = MAP_TRIES;

	vmmu_host_trace_fault(v, f, VMMU_FAULT_EV_REQUESTED, NULL, 0, 0);
	vmmu_host_rcu_read_lock();
	iter_start(&it, v->vm->fmt, root, f->gfn, f->gfn + 1, VMMU_LEVEL_4K);
	while (it.valid && tries) {
		bool lost = false;

		respect_nx_split(v->vm, f, &it);
		if (spte_is_frozen(it.old))
			break;
		if (it.level == f->goal_level) {
			result = install_guarded(v, root, f, &it);
			if (result != VMMU_FAULT_RETRY)
				break;
			/* Or no page of this size may stand here, and the goal is a smaller one by now. */
			lost = true;
		} else if (spte_is_leaf(it.old, it.level)) {
			lost = !split_leaf(v, f, &it);
		} else if (!spte_is_present(it.old)) {
			lost = !link_table(v, root, f, &it);
		}
		if (lost)
			tries--;
		else
			iter_next(&it);
	}
	vmmu_host_rcu_read_unlock();
	return result;
}
