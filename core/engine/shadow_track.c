/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Keeping the guest's tables and their mirrors together: write tracking, and the way out of it for last-level tables.
 *
 * A page that is in sync counts in the write-track word of the frame it mirrors. The word rises before writable
 * mappings of the frame are looked for, under the lock of its reverse map; who maps the frame looks at the word under that
 * lock. So no writable mapping outlives the rise, in whichever address space, and none is made after it.
 */
#include "engine/shadow.h"
#include "base/assert.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "engine/direct.h"
#include "format/spte.h"
#include "page/index.h"

/* Leaves of size @level that hold @gfn lose W, and the right to get it back. */
static void wrprot_at(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, int level, struct vmmu_flush *debt)
{
	vmmu_entry_set *set = vmmu_host_slot_rmap(slot, gfn, level);
	struct vmmu_place at = {
		.vm = vm, .gfn = gfn, .level = (uint8_t)level, .space = (uint8_t)vmmu_host_slot_space(slot),
	};
	struct entry_set_iter it;

	rmap_lock(vm, set);
	for (uint64_t *entry = vmmu_entry_set_first(set, &it); entry; entry = vmmu_entry_set_next(&it)) {
		uint64_t old = pte_load(entry), value;

		do
			value = spte_without_write_for_good(vm->fmt, old);
		while (value != old && !pte_try_cas(entry, &old, value));
		if (value == old)
			continue;
		at.entry = entry;
		vmmu_change_account(&at, old, value);
		flush_add(debt, gfn, level);
	}
	rmap_unlock(set);
}

/* Direct trees beside the shadow pages, which map the same memory for L1, lose W on the frame, too. */
static void wrprot_everywhere(struct vmmu_vm *vm, vmmu_gfn_t gfn, struct vmmu_flush *debt)
{
	for (int space = 0; space < VMMU_SPACES; space++) {
		struct vmmu_slot *slot = vmmu_host_slot(vm, space, gfn);

		if (!slot)
			continue;
		for (int level = VMMU_LEVEL_4K; level <= VMMU_LEVEL_HUGE_MAX; level++)
			wrprot_at(vm, slot, gfn, level, debt);
		vmmu_direct_wrprot_frame(vm, slot, gfn, debt);
	}
}

void vmmu_shadow_count_huge(struct vmmu_page *page, int delta)
{
	struct vmmu_slot *slot = vmmu_host_slot(page->vm, page->role.space, page->gfn);

	for (int level = VMMU_LEVEL_2M; slot && level <= VMMU_LEVEL_HUGE_MAX; level++)
		__atomic_fetch_add(vmmu_host_slot_disallow(slot, page->gfn, level), delta, __ATOMIC_SEQ_CST);
}

static void track_add(struct vmmu_page *page, int delta)
{
	struct vmmu_slot *slot = vmmu_host_slot(page->vm, page->role.space, page->gfn);
	vmmu_entry_set *set;

	if (IMPOSSIBLE(page->vm, !slot))
		return;
	set = vmmu_host_slot_rmap(slot, page->gfn, VMMU_LEVEL_4K);
	rmap_lock(page->vm, set);
	__atomic_fetch_add(vmmu_host_slot_track(slot, page->gfn), (uint16_t)delta, __ATOMIC_SEQ_CST);
	rmap_unlock(set);
}

void vmmu_shadow_track(struct vmmu_page *page, struct vmmu_flush *debt)
{
	page->s.tracked = true;
	track_add(page, 1);
	wrprot_everywhere(page->vm, page->gfn, debt);
}

void vmmu_shadow_untrack(struct vmmu_page *page)
{
	page->s.tracked = false;
	track_add(page, -1);
}

void vmmu_shadow_mark_above(struct vmmu_page *page)
{
	struct entry_set_iter it;

	parents_lock(page);
	if (!page->s.known_above) {
		page->s.known_above = true;
		for (uint64_t *entry = vmmu_entry_set_first(&page->s.parents, &it); entry; entry = vmmu_entry_set_next(&it)) {
			struct vmmu_page *parent = entry_page(entry);
			unsigned int i = entry_index(entry);

			__atomic_fetch_or(&parent->s.unsync_below[i / 64], 1ull << (i % 64), __ATOMIC_SEQ_CST);
			/* A few levels at most: a parent's table is of a higher level. */
			vmmu_shadow_mark_above(parent);
		}
	}
	parents_unlock(page);
}

static void unsync_page(struct vmmu_vcpu *v, struct vmmu_page *page)
{
	page_lock(page);
	if (page->s.tracked && !flag_load(&page->invalid)) {
		if (page->s.rewritten <= v->vm->params.sync_patience)
			page->s.rewritten += v->vm->params.sync_patience;
		if (!page->s.unsync)
			vmmu_host_trace_page(v->vm, page, VMMU_PAGE_UNSYNC);
		flag_store(&page->s.unsync, true);
		/* Before the first write can happen every root above knows. */
		vmmu_shadow_mark_above(page);
		vmmu_shadow_untrack(page);
		count_vcpu(v, VMMU_C_UNSYNCED);
	}
	page_unlock(page);
}

/* An upper table stays tracked while it is in use. One that is not was a dead process's, and its frame is used anew. */
static bool must_stay_tracked(const struct vmmu_page *page)
{
	return page->role.level > VMMU_LEVEL_4K && !shadow_is_orphan(page);
}

bool vmmu_shadow_try_unsync(struct vmmu_vcpu *v, vmmu_gfn_t gfn)
{
	struct vmmu_flush debt = flush_none(v->vm);

	for (struct vmmu_page *page = vmmu_index_first(v->vm, gfn); page; page = vmmu_index_next(page))
		if (must_stay_tracked(page))
			return false;
	for (struct vmmu_page *page = vmmu_index_first(v->vm, gfn); page; page = vmmu_index_next(page)) {
		if (page->role.level == VMMU_LEVEL_4K) {
			unsync_page(v, page);
			continue;
		}
		/* Linked, or made, since it was looked at. */
		if (must_stay_tracked(page)) {
			vmmu_flush_pay(&debt);
			return false;
		}
		if (vmmu_shadow_zap(page, &debt)) {
			vmmu_host_trace_page(v->vm, page, VMMU_PAGE_FLOODED);
			count_vcpu(v, VMMU_C_SHADOWS_FLOODED);
		}
	}
	vmmu_flush_pay(&debt);
	return true;
}
