/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See change.h. */
#include "engine/change.h"
#include <vmmu/host.h>
#include "base/assert.h"
#include "base/count.h"
#include "engine/nx.h"
#include "format/spte.h"
#include "page/page.h"

static void account_leaves(const struct vmmu_place *place, uint64_t old, uint64_t value)
{
	struct vmmu_vm *vm = place->vm;
	bool was = spte_is_leaf(old, place->level), is = spte_is_leaf(value, place->level);
	struct vmmu_leaf_count *count = leaf_count_of(vm, place->entry);

	if (was != is) {
		vmmu_host_leaf_count(vm, place->level, is ? 1 : -1);
		counter_add(is ? &count->set : &count->zapped, 1);
	}
	if (!was)
		return;
	/* A leaf that is aged and stays has been reported young already. */
	if (spte_is_accessed(vm->fmt, old) && !is)
		vmmu_host_pfn_accessed(spte_pfn(vm->fmt, old));
	if (spte_is_dirty(vm->fmt, old) && (!is || !spte_is_dirty(vm->fmt, value)))
		vmmu_host_pfn_dirty(spte_pfn(vm->fmt, old));
}

/*
 * Can a CPU still hold a right, or an A or D bit it need not write again, that @value takes away?
 * MMU-writable counts as writable: the CPU may hold W from before the dirty log took it, its flush being due still.
 */
static bool loses_right(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t value, int level)
{
	if (!spte_is_present(old))
		return false;
	if (!spte_is_leaf(old, level) || !spte_is_leaf(value, level))
		return old != value;
	return spte_address(fmt, old) != spte_address(fmt, value) ||
	       (spte_is_writable(old) && !spte_is_writable(value)) ||
	       (spte_is_mmu_writable(fmt, old) && !spte_is_mmu_writable(fmt, value)) ||
	       (spte_is_executable(fmt, old) && !spte_is_executable(fmt, value)) ||
	       (old & ~value & fmt->user) ||
	       (spte_has_dirty(fmt, old) && (old & ~value & fmt->dirty)) ||
	       (!spte_is_access_tracked(fmt, old) && spte_is_access_tracked(fmt, value));
}

/* Turns that no code asks for: a leaf that changes its frame without having been absent, a table for another table. */
static bool turn_is_legal(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t value, int level)
{
	if (!spte_is_present(old) || !spte_is_present(value))
		return true;
	if (spte_is_leaf(old, level) && spte_is_leaf(value, level))
		return spte_address(fmt, old) == spte_address(fmt, value);
	return spte_is_leaf(old, level);
}

/* An entry that a fault has frozen comes back as a leaf in a moment, and has to be undone like any other. */
static uint64_t freeze_for_good(uint64_t *entry)
{
	uint64_t old;

	do
		old = pte_swap(entry, SPTE_FROZEN);
	while (spte_is_frozen(old));
	return old;
}

/*
 * @page went out of its parent: freeze its entries, so that no fault that is still in it installs anything, and
 * undo what they held. Tables below come along, level by level; the chain in @debt is the work list.
 */
static void take_apart(const struct vmmu_place *place, struct vmmu_page *page, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = place->vm;
	struct vmmu_page *todo = page, *next;

	page->next_dead = NULL;
	for (; todo; todo = next) {
		int level = todo->role.level;

		page = todo;
		next = page->next_dead;
		for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++) {
			uint64_t old = freeze_for_good(&page->table[i]);
			struct vmmu_place at = *place;

			if (!old)
				continue;
			at.entry = &page->table[i];
			at.level = (uint8_t)level;
			at.gfn = page->gfn + i * vmmu_level_frames(level);
			vmmu_host_trace_spte(vm, at.space, at.gfn, level, old, SPTE_FROZEN);
			account_leaves(&at, old, 0);
			if (spte_is_table(old, level)) {
				struct vmmu_page *child =
					vmmu_host_table_page(vmmu_host_table_at(spte_address(vm->fmt, old)));

				child->next_dead = next;
				next = child;
			}
		}
		vmmu_nx_split_forget(page);
		count_vm(vm, VMMU_C_TABLES_NOW, -1ull);
		vmmu_host_trace_page(vm, page, VMMU_PAGE_ZAPPED);
		flush_add_dead(debt, page);
	}
}

static void change_done(const struct vmmu_place *place, uint64_t old, uint64_t value, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = place->vm;

	vmmu_host_trace_spte(vm, place->space, place->gfn, place->level, old, value);
	account_leaves(place, old, value);
	if (loses_right(vm->fmt, old, value, place->level))
		flush_add(debt, place->gfn, place->level);
	if (spte_is_table(old, place->level) && !spte_is_table(value, place->level))
		take_apart(place, vmmu_host_table_page(vmmu_host_table_at(spte_address(vm->fmt, old))), debt);
}

bool vmmu_change_try(const struct vmmu_place *place, uint64_t *old, uint64_t value, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = place->vm;
	uint64_t expected = *old;

	if (spte_is_frozen(expected))
		return false;
	if (IMPOSSIBLE(vm, !turn_is_legal(vm->fmt, expected, value, place->level))) {
		/* The caller must not try for ever. */
		*old = SPTE_FROZEN;
		return false;
	}
	CHECK(vm, !spte_is_present(value) || !vmmu_spte_reserved(vm->fmt, value, place->level));
	if (!pte_try_cas(place->entry, old, value)) {
		count_vm(vm, VMMU_C_RACES_LOST, 1);
		return false;
	}
	change_done(place, expected, value, debt);
	return true;
}

bool vmmu_change_try_split(const struct vmmu_place *place, uint64_t *old, uint64_t value)
{
	struct vmmu_vm *vm = place->vm;
	uint64_t expected = *old;

	if (IMPOSSIBLE(vm, !spte_is_leaf(expected, place->level) || !spte_is_table(value, place->level))) {
		*old = SPTE_FROZEN;
		return false;
	}
	if (!pte_try_cas(place->entry, old, value)) {
		count_vm(vm, VMMU_C_RACES_LOST, 1);
		return false;
	}
	vmmu_host_trace_spte(vm, place->space, place->gfn, place->level, expected, value);
	vmmu_host_leaf_count(vm, place->level, -1);
	vmmu_host_leaf_count(vm, place->level - 1, (int)VMMU_TABLE_ENTRIES);
	counter_add(&leaf_count_of(vm, place->entry)->zapped, 1);
	counter_add(&leaf_count_of(vm, place->entry)->set, VMMU_TABLE_ENTRIES);
	return true;
}

void vmmu_change_thaw(const struct vmmu_place *place, uint64_t value)
{
	uint64_t old = pte_swap(place->entry, value);

	if (IMPOSSIBLE(place->vm, !spte_is_frozen(old)))
		return;
	vmmu_host_trace_spte(place->vm, place->space, place->gfn, place->level, old, value);
	account_leaves(place, 0, value);
}

void vmmu_change_account(const struct vmmu_place *place, uint64_t old, uint64_t value)
{
	vmmu_host_trace_spte(place->vm, place->space, place->gfn, place->level, old, value);
	account_leaves(place, old, value);
}

bool vmmu_change_loses_right(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t value, int level)
{
	return loses_right(fmt, old, value, level);
}
