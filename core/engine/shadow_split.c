/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * See shadow_split.h. A guest's large page whose leaf is split comes to stand over a direct page, just as if the host had
 * backed it with small pages: that page is named by what a fault would name it, so that the fault finds it.
 *
 * One page's lock at a time: the leaf is looked at under that of its page, its parts are set under that of the direct page,
 * and under the first one again the leaf goes and the link comes, if the leaf is still what it was. Meanwhile the VM's
 * lock keeps the host from taking the memory away. In between a harvest of the dirty log may pass, which would find the
 * leaf without parts first and the parts without leaf then; so parts come into a slot that logs as if it had just passed.
 */
#include "engine/shadow_split.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/shadow.h"
#include "format/spte.h"
#include "page/index.h"

/* Words looked at, and leaves of one word, between two questions whether somebody waits. */
#define YIELD_EVERY 64
/* Leaves of one word that are tried. */
#define LEAVES_MAX 512

enum split_result {
	SPLIT_DONE,
	SPLIT_DECLINED,			/* the leaf stays */
	SPLIT_STARVED,
};

/* The leaf as it was looked at. */
struct split_leaf {
	struct vmmu_page *page;
	unsigned int i;
	uint64_t spte;
	vmmu_gfn_t gfn;
	union vmmu_role role;		/* of the page to come below it */
};

/*
 * The rights a page below @page may be shared with. While D of the guest's entry is clear, and wherever else no fault may
 * set W, they are without W: a page with it could get a writable leaf from elsewhere. Return: false for a leaf that CR0.WP
 * being clear has given W, whose rights change from fault to fault.
 */
static bool find_role(struct split_leaf *leaf)
{
	struct vmmu_page *page = leaf->page;
	bool may_write = spte_is_mmu_writable(page->vm->fmt, leaf->spte);
	unsigned int access = page->role.access;

	if (page->s.mirrored) {
		access = mirror_access(mirror_format(page), page, page->s.mirrored[leaf->i]);
		if (may_write && !(access & VMMU_ACC_W))
			return false;
		if (!may_write)
			access &= ~(unsigned int)VMMU_ACC_W;
	}
	leaf->role = vmmu_role_child_direct(page->role, access);
	return true;
}

static bool look_at(uint64_t *entry, struct split_leaf *leaf)
{
	struct vmmu_page *page = entry_page(entry);
	bool found = false;

	leaf->page = page;
	leaf->i = entry_index(entry);
	page_lock(page);
	leaf->spte = pte_load(entry);
	if (!flag_load(&page->invalid) && spte_is_leaf(leaf->spte, page->role.level)) {
		leaf->gfn = leaf_gfn(page, leaf->i);
		found = find_role(leaf);
	}
	page_unlock(page);
	return found;
}

/* How many nodes setting the parts may take, and linking their page: a guess, since no lock is held. */
static unsigned int nodes_needed(struct vmmu_slot *slot, const struct split_leaf *leaf)
{
	int level = leaf->role.level;
	unsigned int n = 1;

	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		n += __atomic_load_n(vmmu_host_slot_rmap(slot, leaf->gfn + i * vmmu_level_frames(level), level),
				     __ATOMIC_RELAXED) != 0;
	return n;
}

static uint64_t part_of(const struct vmmu_shadow_split *s, const struct split_leaf *leaf, unsigned int i)
{
	const struct vmmu_vm *vm = s->vm;
	int level = leaf->page->role.level;
	uint64_t part = vmmu_spte_split_part(leaf->spte, level, i);

	/* It was not executable for its size only. */
	if (level == VMMU_LEVEL_2M && (leaf->role.access & VMMU_ACC_X) && flag_load(&vm->nx_huge_pages))
		part = vmmu_spte_with_exec(vm->fmt, part);
	if (!vmmu_host_slot_logs_dirty(s->slot))
		return part;
	if (level == VMMU_LEVEL_2M && vm->dirty_by_pml && !leaf->role.guest_view)
		return spte_without_dirty(vm->fmt, part);
	return spte_without_write(part);
}

static void set_parts(struct vmmu_shadow_split *s, const struct split_leaf *leaf, struct vmmu_page *child)
{
	page_lock(child);
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES && !flag_load(&child->invalid); i++)
		vmmu_shadow_set_part(child, i, s->slot, part_of(s, leaf, i), s->stock);
	page_unlock(child);
}

/* The leaf goes, and @child takes its place, if all that @child was made from is as it was. */
static bool replace_leaf(struct vmmu_shadow_split *s, const struct split_leaf *leaf, struct vmmu_page *child)
{
	struct split_leaf now = *leaf;
	struct vmmu_page *page = leaf->page;
	bool done = false;

	page_lock(page);
	now.spte = pte_load(&page->table[leaf->i]);
	if (!flag_load(&page->invalid) && spte_is_leaf(now.spte, page->role.level) && leaf_gfn(page, leaf->i) == leaf->gfn &&
	    find_role(&now) && vmmu_role_equal(now.role, leaf->role)) {
		vmmu_shadow_drop(page, leaf->i, &s->debt);
		done = vmmu_shadow_link_direct(page, leaf->i, child, s->stock);
	}
	page_unlock(page);
	return done;
}

static enum split_result split_one(struct vmmu_shadow_split *s, uint64_t *entry)
{
	struct vmmu_vm *vm = s->vm;
	struct vmmu_page *child;
	struct split_leaf leaf;

	/* What the host takes away just now must not be found in another place where it has looked already. */
	if (vmmu_host_invalidating(vm) || !look_at(entry, &leaf) ||
	    counter_read(&vm->count[VMMU_C_SHADOWS_NOW]) >= counter_read(&vm->shadow_quota))
		return SPLIT_DECLINED;
	s->nodes_wanted = nodes_needed(s->slot, &leaf);
	if (!s->stock->page)
		s->stock->page = vmmu_page_try_alloc(vm);
	if (!s->stock->page || (s->can_wait && s->nodes_wanted > s->stock->count))
		return SPLIT_STARVED;
	child = vmmu_shadow_get_direct(vm, leaf.gfn, leaf.role, &s->stock->page);
	set_parts(s, &leaf, child);
	if (!replace_leaf(s, &leaf, child))
		return SPLIT_DECLINED;
	count_vm(vm, VMMU_C_SPLITS, 1);
	vmmu_host_trace_split(vm, leaf.gfn, leaf.spte, leaf.page->role.level, VMMU_OK);
	return SPLIT_DONE;
}

/* The leaf behind the first @skip ones. It may go as soon as the set's lock is given up; its page stays readable. Context: rcu. */
static uint64_t *leaf_in(struct vmmu_vm *vm, vmmu_entry_set *set, unsigned int skip)
{
	struct entry_set_iter it;
	uint64_t *entry;

	rmap_lock(vm, set);
	for (entry = vmmu_entry_set_first(set, &it); entry && skip; skip--)
		entry = vmmu_entry_set_next(&it);
	rmap_unlock(set);
	return entry;
}

/* Return: false if the walk has to wait for memory. */
static bool split_all_in(struct vmmu_shadow_split *s, vmmu_entry_set *set)
{
	unsigned int stay = 0;

	for (unsigned int n = 0; n < LEAVES_MAX; n++) {
		uint64_t *entry = leaf_in(s->vm, set, stay);
		enum split_result result;

		if (!entry)
			break;
		result = split_one(s, entry);
		if (result == SPLIT_STARVED && s->can_wait)
			return false;
		stay += result != SPLIT_DONE;
		vmmu_shadow_give_way(s->vm, s->yield, &s->debt);
	}
	return true;
}

static void begin_level(struct vmmu_shadow_split *s, int level)
{
	s->at_level = level;
	s->at = vmmu_gfn_round(s->start, level);
}

static void begin(struct vmmu_shadow_split *s)
{
	if (s->start < vmmu_host_slot_start(s->slot))
		s->start = vmmu_host_slot_start(s->slot);
	if (s->end > vmmu_host_slot_end(s->slot))
		s->end = vmmu_host_slot_end(s->slot);
	/* The largest first: parts of theirs may be too large still. */
	begin_level(s, VMMU_LEVEL_HUGE_MAX);
}

bool vmmu_shadow_split(struct vmmu_shadow_split *s)
{
	unsigned int looked = 0;
	bool to_the_end = true;

	if (!s->at_level)
		begin(s);
	vmmu_host_rcu_read_lock();
	for (; to_the_end && s->at_level > s->level; begin_level(s, s->at_level - 1))
		for (; s->at < s->end; s->at += vmmu_level_frames(s->at_level)) {
			vmmu_entry_set *set =
				vmmu_host_slot_rmap(s->slot, s->at > s->start ? s->at : s->start, s->at_level);

			to_the_end = !__atomic_load_n(set, __ATOMIC_ACQUIRE) || split_all_in(s, set);
			if (!to_the_end)
				goto out;
			if (++looked % YIELD_EVERY == 0)
				vmmu_shadow_give_way(s->vm, s->yield, &s->debt);
		}
out:
	vmmu_host_rcu_read_unlock();
	return to_the_end;
}

/* --- The way back ---------------------------------------------------------------------------- */

/* A direct page, not made for code, that maps a frame by one of these leaves; NULL if there is none. Context: rcu. */
static struct vmmu_page *collapsible_in(struct vmmu_vm *vm, vmmu_entry_set *set)
{
	struct vmmu_page *page = NULL;
	struct entry_set_iter it;

	rmap_lock(vm, set);
	for (uint64_t *entry = vmmu_entry_set_first(set, &it); entry && !page; entry = vmmu_entry_set_next(&it)) {
		page = entry_page(entry);
		if (!vmmu_role_is_direct(page->role) || flag_load(&page->nx_split) || flag_load(&page->invalid))
			page = NULL;
	}
	rmap_unlock(set);
	return page;
}

/* Can a page of size @level, which lies in the slot whole, stand at @gfn? */
static bool may_be_large(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return gfn >= vmmu_host_slot_start(slot) && gfn + vmmu_level_frames(level) <= vmmu_host_slot_end(slot) &&
	       level <= vm->huge_level_max && !vmmu_host_slot_huge_disallowed(slot, gfn, level) &&
	       vmmu_host_mapping_level(vm, slot, gfn, level) >= level;
}

/* Zap what maps parts of the page of size @level at @gfn. */
static void collapse_at(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, int level, struct vmmu_flush *debt)
{
	struct vmmu_page *page;
	unsigned int tries = LEAVES_MAX;

	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++) {
		vmmu_entry_set *set = vmmu_host_slot_rmap(slot, gfn + i * vmmu_level_frames(level - 1), level - 1);

		while (__atomic_load_n(set, __ATOMIC_ACQUIRE) && tries && (page = collapsible_in(vm, set))) {
			vmmu_shadow_zap(page, debt);
			count_vm(vm, VMMU_C_COLLAPSES, 1);
			tries--;
		}
	}
}

void vmmu_shadow_collapse(struct vmmu_vm *vm, struct vmmu_slot *slot, void (*yield)(struct vmmu_vm *vm),
			  struct vmmu_flush *debt)
{
	vmmu_gfn_t start = vmmu_host_slot_start(slot), end = vmmu_host_slot_end(slot);

	vmmu_host_rcu_read_lock();
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++)
		for (vmmu_gfn_t gfn = vmmu_gfn_round(start, level); gfn < end; gfn += vmmu_level_frames(level)) {
			if (may_be_large(vm, slot, gfn, level))
				collapse_at(vm, slot, gfn, level, debt);
			vmmu_shadow_give_way(vm, yield, debt);
		}
	vmmu_host_rcu_read_unlock();
}
