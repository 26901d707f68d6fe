/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Neighbours of a page that was just mapped: those the host has in memory anyway are mapped along, with A clear.
 *
 * That saves their faults after the tables were zapped (a memslot moved, a large page was split) and is in vain
 * while a guest touches its memory for the first time. So each try that finds nothing makes the vCPU wait
 * for more faults before the next one.
 */
#include "engine/direct.h"
#include <vmmu/host.h>
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "engine/leaf.h"
#include "engine/shadow.h"
#include "walk/iter.h"

#define BACKOFF_MAX	63

/* Map @count frames from @gfn on, whose entries were absent a moment ago. Return: how many were at hand. */
static int prefetch_run(struct vmmu_vcpu *v, struct vmmu_page *root, const struct vmmu_fault *f, uint64_t *entry,
			vmmu_gfn_t gfn, int count)
{
	struct vmmu_flush debt = flush_none(v->vm);
	vmmu_pfn_t pfns[VMMU_PREFETCH_MAX];
	int got = vmmu_host_pfns_atomic(v->vm, f->slot, gfn, true, pfns, count);

	for (int i = 0; i < got; i++) {
		struct vmmu_fault neighbour = {
			.gfn = gfn + (vmmu_gfn_t)i, .slot = f->slot, .pfn = pfns[i], .writable = true, .prefetch = true,
		};
		struct vmmu_place at = {
			.vm = v->vm, .entry = entry + i, .gfn = neighbour.gfn, .level = VMMU_LEVEL_4K,
			.space = root->role.space,
		};
		bool guarded = shadow_in_use(v->vm);
		vmmu_entry_set *guard = guarded ? vmmu_host_slot_rmap(f->slot, neighbour.gfn, VMMU_LEVEL_4K) : NULL;
		uint64_t old = 0;

		if (guard)
			rmap_lock(v->vm, guard);
		/* As in direct_fault.c: a slot without reverse maps has been replaced. */
		if (guarded == !!guard &&
		    vmmu_change_try(&at, &old, vmmu_leaf_for(v, root, &neighbour, VMMU_LEVEL_4K), &debt))
			count_vcpu(v, VMMU_C_PREFETCHED);
		if (guard)
			rmap_unlock(guard);
		vmmu_host_pfn_release(pfns[i]);
	}
	vmmu_flush_pay(&debt);
	return got > 0 ? got : 0;
}

static int prefetch_window(struct vmmu_vcpu *v, struct vmmu_page *root, const struct vmmu_fault *f, uint64_t *table)
{
	unsigned int size = v->vm->params.prefetch < VMMU_PREFETCH_MAX ? v->vm->params.prefetch : VMMU_PREFETCH_MAX;
	vmmu_gfn_t start = f->gfn & ~(vmmu_gfn_t)(size - 1), end = start + size, gfn, run;
	int got = 0;

	if (start < vmmu_host_slot_start(f->slot))
		start = vmmu_host_slot_start(f->slot);
	if (end > vmmu_host_slot_end(f->slot))
		end = vmmu_host_slot_end(f->slot);
	for (gfn = start; gfn < end; gfn = run + 1) {
		for (run = gfn; run < end && !pte_load(&table[iter_index(run, VMMU_LEVEL_4K)]); run++)
			;
		if (run > gfn)
			got += prefetch_run(v, root, f, &table[iter_index(gfn, VMMU_LEVEL_4K)], gfn, (int)(run - gfn));
	}
	return got;
}

void vmmu_direct_prefetch(struct vmmu_vcpu *v, struct vmmu_page *root, const struct vmmu_fault *f)
{
	struct vmmu_iter it;
	int got = 0;

	if (!v->vm->params.prefetch || f->prefetch || f->goal_level != VMMU_LEVEL_4K || !f->slot ||
	    vmmu_host_slot_logs_dirty(f->slot))
		return;
	if (v->prefetch_wait) {
		v->prefetch_wait--;
		return;
	}
	/* No mark was taken for the neighbours: an invalidation under way may be theirs. */
	if (vmmu_host_invalidating(v->vm))
		return;
	vmmu_host_rcu_read_lock();
	iter_start(&it, v->vm->fmt, root, f->gfn, f->gfn + 1, VMMU_LEVEL_4K);
	while (it.valid && it.level > VMMU_LEVEL_4K)
		iter_next(&it);
	if (it.valid)
		got = prefetch_window(v, root, f, it.table[VMMU_LEVEL_4K]);
	vmmu_host_rcu_read_unlock();
	v->prefetch_backoff = got ? 0 :
		(uint8_t)(v->prefetch_backoff < BACKOFF_MAX ? 2 * v->prefetch_backoff + 1 : BACKOFF_MAX);
	v->prefetch_wait = v->prefetch_backoff;
}
