/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Entries of shadow pages: leaves with their reverse map, links with their parents' set.
 *
 * A leaf is in its frame's reverse map exactly while it is present: both change under the map's lock, so that who walks
 * the map needs no page's lock. A link is in its child's parents' set, unless the child is invalid and gives up all of them.
 */
#include "engine/shadow.h"
#include "base/assert.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "format/spte.h"
#include "page/entry_set.h"
#include "page/page.h"

static struct vmmu_place place_of(struct vmmu_page *page, unsigned int i, vmmu_gfn_t gfn)
{
	return (struct vmmu_place){
		.vm = page->vm, .entry = &page->table[i], .gfn = gfn, .level = page->role.level, .space = page->role.space,
	};
}

static void drop_leaf(struct vmmu_page *page, unsigned int i, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = page->vm;
	vmmu_gfn_t gfn = leaf_gfn(page, i);
	struct vmmu_place at = place_of(page, i, gfn);
	struct vmmu_slot *slot = vmmu_host_slot(vm, page->role.space, gfn);
	vmmu_entry_set *set;
	uint64_t old;

	if (IMPOSSIBLE(vm, !slot))
		return;
	set = vmmu_host_slot_rmap(slot, gfn, page->role.level);
	rmap_lock(vm, set);
	old = pte_swap(at.entry, 0);
	/* The host may have dropped it since, by the reverse map. */
	if (spte_is_leaf(old, at.level))
		vmmu_entry_set_remove(set, at.entry);
	rmap_unlock(set);
	vmmu_change_account(&at, old, 0);
	flush_add(debt, gfn, page->role.level);
}

/* Eviction reads the count without the lock. Context: @child's set of parents is locked. */
static void own_parents_add(struct vmmu_page *child, int n)
{
	__atomic_store_n(&child->s.own_parents, (uint16_t)(child->s.own_parents + n), __ATOMIC_RELAXED);
}

static void drop_link(struct vmmu_page *page, unsigned int i, uint64_t old, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = page->vm;
	struct vmmu_page *child = vmmu_host_table_page(vmmu_host_table_at(spte_address(vm->fmt, old)));

	/* Zapping the child clears the entry, too, without our lock. Whoever comes second finds it changed. */
	if (!pte_try_cas(&page->table[i], &old, 0))
		return;
	parents_lock(child);
	if (!child->invalid) {
		vmmu_entry_set_remove(&child->s.parents, &page->table[i]);
		own_parents_add(child, -page->s.own);
	}
	parents_unlock(child);
	flush_add(debt, page->gfn, page->role.level);
}

void vmmu_shadow_drop(struct vmmu_page *page, unsigned int i, struct vmmu_flush *debt)
{
	uint64_t old = pte_load(&page->table[i]);

	if (spte_is_leaf(old, page->role.level))
		drop_leaf(page, i, debt);
	else if (spte_is_present(old))
		drop_link(page, i, old, debt);
	else if (old)
		pte_swap(&page->table[i], 0);
}

bool vmmu_shadow_narrow(struct vmmu_page *page, unsigned int i, unsigned int access, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = page->vm;
	struct vmmu_place at = place_of(page, i, leaf_gfn(page, i));
	unsigned int lost = mirror_access(mirror_format(page), page, page->s.mirrored[i]) & ~access;
	uint64_t old = pte_load(at.entry), value;

	/* While CR0.WP is clear a leaf may have other rights than the guest's entry gives. */
	if ((lost & VMMU_ACC_R) || (!page->role.wp && !vmmu_format_is_nested_tdp((enum vmmu_format)page->role.format)))
		return false;
	do {
		if (!spte_is_leaf(old, at.level) || spte_is_access_tracked(vm->fmt, old))
			return false;
		value = vmmu_spte_narrowed(vm->fmt, old, access);
	} while (value != old && !pte_try_cas(at.entry, &old, value));
	if (value == old)
		return true;
	vmmu_change_account(&at, old, value);
	if (vmmu_change_loses_right(vm->fmt, old, value, at.level))
		flush_add(debt, at.gfn, at.level);
	return true;
}

static uint64_t leaf_value(struct vmmu_vcpu *v, const struct vmmu_page *page, const struct vmmu_shadow_leaf *leaf,
			   bool tracked)
{
	struct vmmu_vm *vm = v->vm;
	bool device = vmmu_host_pfn_is_mmio(leaf->pfn), logs = vmmu_host_slot_logs_dirty(leaf->slot);
	bool by_fault = !vm->dirty_by_pml || page->role.guest_view;
	struct vmmu_leaf value = {
		.pfn = leaf->pfn,
		.level = page->role.level,
		.access = (uint8_t)leaf->access,
		.host_writable = leaf->host_writable,
		.write_now = leaf->write || (leaf->may_write && !(logs && by_fault)),
		.tracked = tracked || !(leaf->write || leaf->may_write),
		.accessed = !leaf->prefetch,
		.dirty = leaf->write || (vm->dirty_by_pml && !logs),
		.ad_off = page->role.ad_off,
		.wrprot_log = vm->dirty_by_pml && page->role.guest_view,
		.plain_memory = !device,
		.memtype = vmmu_host_memtype(v, leaf->gfn, device),
	};

	if (page->role.level > VMMU_LEVEL_4K && flag_load(&vm->nx_huge_pages))
		value.access &= (uint8_t)~VMMU_ACC_X;
	return vmmu_spte_make_leaf(vm->fmt, &value);
}

/* Is the write-track word of @gfn set in any address space? Context: the reverse map's lock of the slot to be mapped in. */
static bool is_tracked(struct vmmu_vm *vm, vmmu_gfn_t gfn)
{
	for (int space = 0; space < VMMU_SPACES; space++) {
		struct vmmu_slot *slot = vmmu_host_slot(vm, space, gfn);

		if (slot && __atomic_load_n(vmmu_host_slot_track(slot, gfn), __ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

static enum vmmu_leaf_result leaf_result(const struct vmmu_shadow_leaf *leaf, uint64_t old, uint64_t value)
{
	if (leaf->write && !spte_is_writable(value))
		return VMMU_LEAF_READ_ONLY;
	return old == value ? VMMU_LEAF_SAME : VMMU_LEAF_SET;
}

/*
 * A frame that so many leaves map as it may loses one of them, any one, before it gets another: who works on a frame holds its
 * map's lock for as long as all of them take. Nodes are counted only when one is full. Context: the map's lock.
 */
static void limit_leaves(struct vmmu_vm *vm, vmmu_entry_set *set, const struct vmmu_place *at, struct vmmu_flush *debt)
{
	unsigned int most = vm->params.frame_leaves;
	struct vmmu_place victim = *at;
	uint64_t old;

	if (!vmmu_entry_set_needs_node(set) || vmmu_entry_set_count(set) < most)
		return;
	victim.entry = vmmu_entry_set_take(set, (unsigned int)counter_read(&leaf_count_of(vm, at->entry)->set) % most);
	/* As where the host drops it: without its page's lock. */
	old = pte_swap(victim.entry, 0);
	vmmu_change_account(&victim, old, 0);
	flush_add(debt, victim.gfn, victim.level);
}

enum vmmu_leaf_result vmmu_shadow_set_leaf(struct vmmu_vcpu *v, struct vmmu_page *page, unsigned int i,
					   const struct vmmu_shadow_leaf *leaf, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = v->vm;
	const struct vmmu_spte_format *fmt = vm->fmt;
	int level = page->role.level;
	struct vmmu_place at = place_of(page, i, leaf->gfn);
	vmmu_entry_set *set = vmmu_host_slot_rmap(leaf->slot, leaf->gfn, level);
	uint64_t old = pte_load(at.entry), value;
	bool keeps;

	keeps = spte_is_leaf(old, level) && leaf_gfn(page, i) == leaf->gfn && spte_pfn(fmt, old) == leaf->pfn;
	if (old && !keeps) {
		vmmu_shadow_drop(page, i, debt);
		/* No CPU may hold the old translation, of another size perhaps, beside the new one. */
		vmmu_flush_pay(debt);
	}

	rmap_lock(vm, set);
	if (level > VMMU_LEVEL_4K && huge_disallowed_anywhere(vm, leaf->gfn, level)) {
		rmap_unlock(set);
		return VMMU_LEAF_TOO_LARGE;
	}
	value = leaf_value(v, page, leaf, level == VMMU_LEVEL_4K && is_tracked(vm, leaf->gfn));
	old = pte_load(at.entry);
	/* The host may have dropped it since, by the reverse map. */
	keeps = spte_is_leaf(old, level);
	if (keeps)
		value |= old & (fmt->accessed | fmt->dirty);
	CHECK(vm, !vmmu_spte_reserved(fmt, value, level));
	if (!keeps)
		limit_leaves(vm, set, &at, debt);
	old = pte_swap(at.entry, value);
	if (!keeps)
		vmmu_entry_set_add(set, at.entry, &v->pool.node[v->pool.nodes - 1]);
	rmap_unlock(set);

	if (!v->pool.node[v->pool.nodes - 1])
		v->pool.nodes--;
	if (page->s.mirrored)
		page->s.mirrored[i] = mirror_word(mirror_format(page), leaf->gfn, leaf->gpte);
	vmmu_change_account(&at, old, value);
	if (vmmu_change_loses_right(fmt, old, value, level))
		flush_add(debt, leaf->gfn, level);
	if (leaf->write && spte_is_writable(value))
		vmmu_host_mark_dirty(vm, v, leaf->slot, leaf->gfn);
	return leaf_result(leaf, old, value);
}

/* One node of @stock, in *@spare; NULL if it has none. */
static void stock_take(struct vmmu_stock *stock, struct vmmu_entry_node **spare)
{
	*spare = stock->nodes;
	if (!*spare)
		return;
	stock->nodes = stock->nodes->next;
	stock->count--;
}

static void stock_give_back(struct vmmu_stock *stock, struct vmmu_entry_node *spare)
{
	if (!spare)
		return;
	spare->next = stock->nodes;
	stock->nodes = spare;
	stock->count++;
}

bool vmmu_shadow_set_part(struct vmmu_page *page, unsigned int i, struct vmmu_slot *slot, uint64_t value,
			  struct vmmu_stock *stock)
{
	struct vmmu_vm *vm = page->vm;
	int level = page->role.level;
	vmmu_gfn_t gfn = leaf_gfn(page, i);
	struct vmmu_place at = place_of(page, i, gfn);
	vmmu_entry_set *set = vmmu_host_slot_rmap(slot, gfn, level);
	struct vmmu_entry_node *spare;
	bool fits;

	stock_take(stock, &spare);
	rmap_lock(vm, set);
	fits = !pte_load(at.entry) && (spare || !vmmu_entry_set_needs_node(set)) &&
	       (level == VMMU_LEVEL_4K || !huge_disallowed_anywhere(vm, gfn, level));
	if (fits) {
		if (level == VMMU_LEVEL_4K && is_tracked(vm, gfn))
			value = spte_without_write_for_good(vm->fmt, value);
		CHECK(vm, !vmmu_spte_reserved(vm->fmt, value, level));
		pte_swap(at.entry, value);
		vmmu_entry_set_add(set, at.entry, &spare);
	}
	rmap_unlock(set);
	stock_give_back(stock, spare);
	if (fits)
		vmmu_change_account(&at, 0, value);
	return fits;
}

/* See vmmu_shadow_link(). May take a node from *@spare. */
static bool link_entry(struct vmmu_page *page, unsigned int i, struct vmmu_page *child, uint64_t flushes,
		       struct vmmu_entry_node **spare)
{
	struct vmmu_vm *vm = page->vm;
	uint64_t *entry = &page->table[i];
	uint64_t spte = page->s.low ? vmmu_spte_make_pdpte(vm->fmt, vmmu_host_table_hpa(child->table)) :
		vmmu_spte_make_table(vm->fmt, vmmu_host_table_hpa(child->table), page->role.ad_off);
	bool valid;

	parents_lock(child);
	valid = !child->invalid;
	if (valid && child->s.known_above) {
		/*
		 * The marks that lead here stand before the flushes are counted: a vCPU that flushes after that finds them, and
		 * waits for the page's lock where it finds no entry yet.
		 */
		__atomic_fetch_or(&page->s.unsync_below[i / 64], 1ull << (i % 64), __ATOMIC_SEQ_CST);
		vmmu_shadow_mark_above(page);
		valid = flushes == shadow_flushes(vm);
	}
	valid = valid && (*spare || !vmmu_entry_set_needs_node(&child->s.parents));
	/* Before the child's lock goes: who makes something below unsync stops at a page that is known above. */
	if (valid) {
		vmmu_entry_set_add(&child->s.parents, entry, spare);
		own_parents_add(child, page->s.own);
		pte_swap(entry, spte);
	}
	parents_unlock(child);
	return valid;
}

bool vmmu_shadow_link(struct vmmu_vcpu *v, struct vmmu_page *page, unsigned int i, struct vmmu_page *child,
		      uint64_t flushes)
{
	bool linked = link_entry(page, i, child, flushes, &v->pool.node[v->pool.nodes - 1]);

	if (!v->pool.node[v->pool.nodes - 1])
		v->pool.nodes--;
	return linked;
}

bool vmmu_shadow_link_direct(struct vmmu_page *page, unsigned int i, struct vmmu_page *child, struct vmmu_stock *stock)
{
	struct vmmu_entry_node *spare;
	bool linked;

	stock_take(stock, &spare);
	/* Nothing below a direct page goes unsync. */
	linked = link_entry(page, i, child, shadow_flushes(page->vm), &spare);
	stock_give_back(stock, spare);
	return linked;
}
