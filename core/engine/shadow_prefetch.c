/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Neighbours of a page that was just mapped: guest entries around the one that faulted, which the guest has used before
 * (their A is set) and whose memory the host has at hand, get their leaves along with it. After a table was zapped, or on
 * the way through a working set that was mapped in another mode, that saves most of the faults.
 *
 * And links of a new root: processes share the tables of their kernel, so what the root before it had at hand is at hand.
 */
#include "engine/shadow.h"
#include "base/count.h"
#include "base/lock.h"
#include "format/spte.h"
#include "page/index.h"
#include "page/page.h"

#define WINDOW_MAX 16u

/* Has the guest used what @gpte maps, and, as far as it says so, written it? */
static bool used_before(const struct vmmu_page *page, const struct vmmu_mode *mode, uint64_t gpte, bool *dirty)
{
	const struct vmmu_gfmt *f = mirror_format(page);
	uint64_t a = gfmt_accessed(f, mode, VMMU_LEVEL_4K), d = gfmt_dirty(f, mode);

	*dirty = !d || (gpte & d);
	return !a || (gpte & a);
}

/* Return: false if the memory is not at hand, where that of the next neighbour will hardly be either. */
static bool prefetch_one(struct vmmu_vcpu *v, const struct vmmu_mode *mode, struct vmmu_page *page, unsigned int i,
			 uint64_t gpte, struct vmmu_flush *debt)
{
	struct vmmu_shadow_leaf leaf = { .gpte = gpte, .prefetch = true };
	uint64_t word;
	vmmu_pfn_t pfn;

	word = vmmu_mirror_word(mode, page, gpte);
	if (!word || !used_before(page, mode, gpte, &leaf.may_write))
		return true;
	leaf.gfn = mirror_gfn(word);
	leaf.access = mirror_access(mirror_format(page), page, word);
	leaf.slot = vmmu_host_vcpu_slot(v, leaf.gfn);
	if (!leaf.slot || vmmu_host_slot_logs_dirty(leaf.slot))
		return true;
	leaf.host_writable = leaf.access & VMMU_ACC_W;
	if (vmmu_host_pfns_atomic(v->vm, leaf.slot, leaf.gfn, leaf.host_writable, &pfn, 1) != 1)
		return false;
	leaf.pfn = pfn;
	vmmu_shadow_set_leaf(v, page, i, &leaf, debt);
	vmmu_host_pfn_release(pfn);
	count_vcpu(v, VMMU_C_PREFETCHED);
	return true;
}

void vmmu_shadow_prefetch(struct vmmu_vcpu *v, const struct vmmu_mode *mode, struct vmmu_page *page, unsigned int i,
			  struct vmmu_flush *debt)
{
	unsigned int size = v->vm->params.prefetch < WINDOW_MAX ? v->vm->params.prefetch : WINDOW_MAX;
	unsigned int start = i & ~(size - 1u);
	VMMU_UNINITIALIZED uint64_t gpte[WINDOW_MAX];

	/* No mark was taken for the neighbours: an invalidation under way may be theirs. */
	if (!size || page->role.level != VMMU_LEVEL_4K || !shadow_mirrors(page) || vmmu_host_invalidating(v->vm))
		return;
	if (!vmmu_mirror_read_run(page, start, size, gpte))
		return;
	for (unsigned int n = 0; n < size; n++) {
		if (!gpte[n] || pte_load(&page->table[start + n]))
			continue;
		if (vmmu_pool_is_low(v) || !prefetch_one(v, mode, page, start + n, gpte[n], debt))
			return;
	}
}

static void link_one(struct vmmu_vcpu *v, const struct vmmu_mode *mode, struct vmmu_page *page, unsigned int i)
{
	uint64_t gpte, again, flushes;
	struct vmmu_page *child;
	union vmmu_role role;
	vmmu_gfn_t gfn;

	if (!vmmu_mirror_read(page, i, &gpte) || !vmmu_mirror_child(mode, page, gpte, &gfn, &role))
		return;
	child = vmmu_index_find(v->vm, gfn, role);
	if (!child)
		return;
	/* As on the way of a fault: a new way to a page must not show what others may show until the next flush. */
	flushes = shadow_flushes(v->vm);
	vmmu_shadow_sync_page(v->vm, mode, child);
	page_lock(page);
	if (!flag_load(&page->invalid) && !pte_load(&page->table[i]) && vmmu_mirror_read(page, i, &again) && again == gpte &&
	    vmmu_shadow_link(v, page, i, child, flushes))
		count_vcpu(v, VMMU_C_PREFETCHED);
	page_unlock(page);
}

void vmmu_shadow_prefetch_links(struct vmmu_vcpu *v, const struct vmmu_mode *mode, struct vmmu_page *page,
				const struct vmmu_page *like)
{
	if (!v->vm->params.prefetch || !vmmu_role_equal(page->role, like->role) || !shadow_mirrors(like))
		return;
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES && !vmmu_pool_is_low(v); i++)
		if (spte_is_table(pte_load(&like->table[i]), like->role.level) && !pte_load(&page->table[i]))
			link_one(v, mode, page, i);
}
