/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a host does to the memory of a slot, in shadow pages: by reverse map, under each map's own lock. A leaf is in the map
 * exactly while it is present, so no page's lock is needed.
 */
#include "engine/shadow.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "format/spte.h"

/* Words looked at between two questions whether somebody waits. */
#define YIELD_EVERY 64

struct slot_walk {
	struct vmmu_vm *vm;
	struct vmmu_slot *slot;
	vmmu_leaf_fn fn;
	struct vmmu_flush *debt;
	bool changed;
};

/* Change one leaf. Return: false if it was dropped. Context: its map's lock. */
static bool change_leaf(struct slot_walk *walk, uint64_t *entry, vmmu_gfn_t gfn, int level)
{
	struct vmmu_place at = {
		.vm = walk->vm, .entry = entry, .gfn = gfn, .level = (uint8_t)level,
		.space = (uint8_t)vmmu_host_slot_space(walk->slot),
	};
	uint64_t old = pte_load(entry), value;

	do
		value = walk->fn(walk->vm, entry, old, level);
	while (value != old && !pte_try_cas(entry, &old, value));
	if (value == old)
		return true;
	walk->changed = true;
	vmmu_change_account(&at, old, value);
	if (vmmu_change_loses_right(walk->vm->fmt, old, value, level))
		flush_add(walk->debt, gfn, level);
	return value != 0;
}

static void change_leaves(struct slot_walk *walk, vmmu_entry_set *set, vmmu_gfn_t gfn, int level)
{
	struct entry_set_iter it;
	uint64_t *entry;

	rmap_lock(walk->vm, set);
	entry = vmmu_entry_set_first(set, &it);
	while (entry) {
		if (change_leaf(walk, entry, gfn, level)) {
			entry = vmmu_entry_set_next(&it);
			continue;
		}
		/* The set has another order now. Leaves that were kept are asked about again, which changes nothing. */
		vmmu_entry_set_remove(set, entry);
		entry = vmmu_entry_set_first(set, &it);
	}
	rmap_unlock(set);
}

static void maybe_yield(struct slot_walk *walk, void (*yield)(struct vmmu_vm *vm), bool flush_later)
{
	if (!yield || !vmmu_host_should_yield(walk->vm))
		return;
	if (!flush_later)
		vmmu_flush_pay(walk->debt);
	yield(walk->vm);
}

static void clip_to_slot(struct vmmu_slot *slot, vmmu_gfn_t *start, vmmu_gfn_t *end)
{
	if (*start < vmmu_host_slot_start(slot))
		*start = vmmu_host_slot_start(slot);
	if (*end > vmmu_host_slot_end(slot))
		*end = vmmu_host_slot_end(slot);
}

bool vmmu_shadow_for_leaves(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int min_level,
			    vmmu_leaf_fn fn, void (*yield)(struct vmmu_vm *vm), bool flush_later, struct vmmu_flush *debt)
{
	struct slot_walk walk = { .vm = vm, .slot = slot, .fn = fn, .debt = debt };
	vmmu_gfn_t gfn;

	clip_to_slot(slot, &start, &end);
	for (int level = min_level; level <= VMMU_LEVEL_HUGE_MAX && start < end; level++) {
		unsigned int looked = 0;

		for (gfn = vmmu_gfn_round(start, level); gfn < end; gfn += vmmu_level_frames(level)) {
			vmmu_entry_set *set = vmmu_host_slot_rmap(slot, gfn > start ? gfn : start, level);

			if (set && __atomic_load_n(set, __ATOMIC_ACQUIRE))
				change_leaves(&walk, set, gfn, level);
			if (++looked % YIELD_EVERY == 0)
				maybe_yield(&walk, yield, flush_later);
		}
	}
	return walk.changed;
}

uint64_t vmmu_leaf_dropped(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level)
{
	(void)vm, (void)entry, (void)spte, (void)level;
	return 0;
}

uint64_t vmmu_leaf_wrprotected(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level)
{
	(void)vm, (void)entry, (void)level;
	return spte_without_write(spte);
}

uint64_t vmmu_leaf_wrprotected_for_good(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level)
{
	(void)entry, (void)level;
	return spte_without_write_for_good(vm->fmt, spte);
}

uint64_t vmmu_leaf_cleaned(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level)
{
	(void)entry;
	if (level > VMMU_LEVEL_4K)
		return spte;
	return spte_has_dirty(vm->fmt, spte) ? spte_without_dirty(vm->fmt, spte) : spte_without_write(spte);
}

uint64_t vmmu_leaf_logged_again(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level)
{
	if (level > VMMU_LEVEL_4K || !vm->dirty_by_pml)
		return spte_without_write(spte);
	return vmmu_leaf_cleaned(vm, entry, spte, level);
}

uint64_t vmmu_leaf_aged(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level)
{
	(void)entry, (void)level;
	return spte_is_accessed(vm->fmt, spte) ? vmmu_spte_without_accessed(vm->fmt, spte) : spte;
}

bool vmmu_shadow_young(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end)
{
	bool young = false;

	clip_to_slot(slot, &start, &end);
	for (int level = VMMU_LEVEL_4K; level <= VMMU_LEVEL_HUGE_MAX; level++)
		for (vmmu_gfn_t gfn = start; gfn < end && !young; gfn = vmmu_gfn_round(gfn, level) + vmmu_level_frames(level)) {
			vmmu_entry_set *set = vmmu_host_slot_rmap(slot, gfn, level);
			struct entry_set_iter it;

			if (!set)
				return false;
			rmap_lock(vm, set);
			for (uint64_t *e = vmmu_entry_set_first(set, &it); e && !young; e = vmmu_entry_set_next(&it))
				young = spte_is_accessed(vm->fmt, pte_load(e));
			rmap_unlock(set);
		}
	return young;
}
