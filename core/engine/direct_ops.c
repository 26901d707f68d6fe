/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The direct engine's walks over ranges of frames: what a host does to memory that is mapped already. */
#include "engine/direct.h"
#include <vmmu/host.h>
#include "base/count.h"
#include "engine/change.h"
#include "engine/nx.h"
#include "engine/root.h"
#include "engine/split.h"
#include "page/page.h"
#include "walk/iter.h"

static struct vmmu_place place_of(const struct vmmu_op *op, const struct vmmu_iter *it)
{
	return (struct vmmu_place){
		.vm = op->vm, .entry = it->entry, .gfn = it->gfn, .level = (uint8_t)it->level,
		.space = it->root->role.space,
	};
}

static void op_begin(struct vmmu_op *op, struct vmmu_iter *it, int min_level)
{
	vmmu_host_assert_locked(op->vm);
	vmmu_host_rcu_read_lock();
	iter_start(it, op->vm->fmt, op->root, op->start, op->end, min_level);
}

static void op_end(void)
{
	vmmu_host_rcu_read_unlock();
}

/*
 * Let others in, before the current entry is looked at. @since: the frame the walk was at when it last yielded;
 * each turn gets past at least one entry. Return: true if the walk begins again at the current entry.
 */
static bool op_yields(struct vmmu_op *op, struct vmmu_iter *it, vmmu_gfn_t *since)
{
	if (!op->yield || it->gfn == *since || it->gfn < it->start || !vmmu_host_should_yield(op->vm))
		return false;
	*since = it->gfn;
	if (!op->flush_later || op->debt.dead)
		vmmu_flush_pay(&op->debt);
	vmmu_host_rcu_read_unlock();
	op->yield(op->vm);
	vmmu_host_rcu_read_lock();
	iter_restart(it);
	return true;
}

/* Change the current entry, or find it changed: then it->old is what it is now. */
static bool op_change(struct vmmu_op *op, struct vmmu_iter *it, uint64_t value)
{
	struct vmmu_place at = place_of(op, it);

	if (!vmmu_change_try(&at, &it->old, value, &op->debt))
		return false;
	it->old = value;
	op->changed = true;
	return true;
}

/* What a visit wants done with an entry. */
typedef uint64_t (*entry_fn)(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t argument);

/*
 * Walk the range and replace each entry by what @fn makes of it, which is the entry itself where nothing is to be
 * done. @fn is asked again after a lost race. Always inlined, so that @fn is no call.
 */
static inline __attribute__((always_inline)) void op_for_each(struct vmmu_op *op, int min_level, entry_fn fn,
							      uint64_t argument)
{
	struct vmmu_iter it;
	vmmu_gfn_t since = ~0ull;

	op_begin(op, &it, min_level);
	while (it.valid) {
		uint64_t value;

		if (op_yields(op, &it, &since))
			continue;
		do
			value = fn(op, &it, argument);
		while (value != it.old && !op_change(op, &it, value));
		iter_next(&it);
	}
	op_end();
}

/* Leaves go; so does a table of 4K leaves that lies inside the range, as the largest step without a yield. */
static uint64_t unmapped(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t argument)
{
	(void)argument;
	if (spte_is_leaf(it->old, it->level))
		return 0;
	if (spte_is_table(it->old, it->level) && it->level == VMMU_LEVEL_2M && it->gfn >= op->start &&
	    it->gfn + vmmu_level_frames(VMMU_LEVEL_2M) <= op->end)
		return 0;
	return it->old;
}

void vmmu_direct_unmap(struct vmmu_op *op)
{
	op_for_each(op, VMMU_LEVEL_4K, unmapped, 0);
}

static uint64_t zapped(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t argument)
{
	if (it->old && !spte_is_present(it->old) && !spte_is_frozen(it->old))
		return 0;
	return unmapped(op, it, argument);
}

void vmmu_direct_zap(struct vmmu_op *op)
{
	op_for_each(op, VMMU_LEVEL_4K, zapped, 0);
}

static uint64_t without_table_at(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t level)
{
	(void)op;
	return it->level == (int)level && !spte_is_frozen(it->old) ? 0 : it->old;
}

void vmmu_direct_zap_tables(struct vmmu_op *op)
{
	for (int level = VMMU_LEVEL_2M; level <= (int)op->root->role.level; level++)
		op_for_each(op, level, without_table_at, (uint64_t)level);
}

static uint64_t wrprotected(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t min_level)
{
	(void)op;
	return spte_is_leaf(it->old, it->level) && it->level >= (int)min_level ? spte_without_write(it->old) : it->old;
}

void vmmu_direct_wrprot(struct vmmu_op *op, int min_level)
{
	op_for_each(op, min_level, wrprotected, (uint64_t)min_level);
}

static uint64_t wrprotected_for_good(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t argument)
{
	(void)argument;
	return spte_is_leaf(it->old, it->level) ? spte_without_write_for_good(op->vm->fmt, it->old) : it->old;
}

void vmmu_direct_wrprot_frame(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, struct vmmu_flush *debt)
{
	struct vmmu_page *root = NULL;

	while ((root = vmmu_root_next(vm, root, vmmu_host_slot_space(slot), VMMU_ROOTS_ALL))) {
		struct vmmu_op op = vmmu_op_start(root, gfn, gfn + 1, NULL);

		op.debt = *debt;
		op_for_each(&op, VMMU_LEVEL_4K, wrprotected_for_good, 0);
		*debt = op.debt;
	}
}

/* The next write to the small leaf is logged. */
static uint64_t clean(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte_has_dirty(fmt, spte) ? spte_without_dirty(fmt, spte) : spte_without_write(spte);
}

static uint64_t cleaned(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t argument)
{
	(void)argument;
	return spte_is_leaf(it->old, it->level) && it->level == VMMU_LEVEL_4K ? clean(op->vm->fmt, it->old) : it->old;
}

void vmmu_direct_clean(struct vmmu_op *op)
{
	op_for_each(op, VMMU_LEVEL_4K, cleaned, 0);
}

static uint64_t logged_again(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t mask)
{
	if (!spte_is_leaf(it->old, it->level))
		return it->old;
	if (it->level > VMMU_LEVEL_4K)
		return spte_without_write(it->old);
	if (!((mask >> (it->gfn - op->start)) & 1))
		return it->old;
	return op->vm->dirty_by_pml ? clean(op->vm->fmt, it->old) : spte_without_write(it->old);
}

void vmmu_direct_log_again(struct vmmu_op *op, uint64_t mask)
{
	op_for_each(op, VMMU_LEVEL_4K, logged_again, mask);
}

static uint64_t aged(const struct vmmu_op *op, const struct vmmu_iter *it, uint64_t argument)
{
	(void)argument;
	return spte_is_leaf(it->old, it->level) && spte_is_accessed(op->vm->fmt, it->old) ?
		vmmu_spte_without_accessed(op->vm->fmt, it->old) : it->old;
}

static bool any_young(struct vmmu_op *op)
{
	struct vmmu_iter it;
	bool young = false;

	op_begin(op, &it, VMMU_LEVEL_4K);
	for (; it.valid && !young; iter_next(&it))
		young = spte_is_leaf(it.old, it.level) && spte_is_accessed(op->vm->fmt, it.old);
	op_end();
	return young;
}

bool vmmu_direct_young(struct vmmu_op *op, bool age)
{
	if (!age)
		return any_young(op);
	op_for_each(op, VMMU_LEVEL_4K, aged, 0);
	/*
	 * A stale translation hides accesses from the next round, no more: the caller decides whether to flush. That
	 * aging without A bits takes W, too, is safe: mmu_writable counts as writable for every later flush.
	 */
	op->debt = flush_none(op->vm);
	return op->changed;
}

void vmmu_direct_set_frame(struct vmmu_op *op, vmmu_pfn_t pfn)
{
	struct vmmu_iter it;

	op_begin(op, &it, VMMU_LEVEL_4K);
	for (; it.valid; iter_next(&it)) {
		uint64_t spte = it.old;

		if (!spte_is_leaf(spte, it.level))
			continue;
		/* The leaf has to be seen absent before it names another frame. */
		while (spte_is_leaf(it.old, it.level) && !op_change(op, &it, 0))
			spte = it.old;
		if (it.level != VMMU_LEVEL_4K || it.old)
			continue;
		vmmu_flush_pay(&op->debt);
		spte &= ~(op->vm->fmt->address | op->vm->fmt->host_writable |
			  op->vm->fmt->dirty | op->vm->fmt->accessed);
		spte = spte_without_write_for_good(op->vm->fmt, spte) | pfn << VMMU_PAGE_SHIFT;
		op_change(op, &it, spte);
	}
	op_end();
}

bool vmmu_direct_split(struct vmmu_op *op, int level, struct vmmu_page **spare)
{
	struct vmmu_iter it;
	vmmu_gfn_t since = ~0ull;
	bool to_the_end = true;

	op_begin(op, &it, level + 1);
	while (it.valid) {
		struct vmmu_place at = place_of(op, &it);

		if (op_yields(op, &it, &since))
			continue;
		if (spte_is_leaf(it.old, it.level)) {
			if (!*spare)
				*spare = vmmu_page_try_alloc(op->vm);
			if (!*spare) {
				to_the_end = false;
				break;
			}
			if (!vmmu_split_leaf(&at, op->root, &it.old, *spare))
				continue;
			*spare = NULL;
			op->changed = true;
		}
		iter_next(&it);
	}
	/* Where the walk stopped, so that it can go on from there with a page in hand. */
	if (!to_the_end)
		op->start = it.gfn > op->start ? it.gfn : op->start;
	op_end();
	return to_the_end;
}

/* A table whose frames slot and host allow to be one large page goes. Not one that was made since code runs there. */
static bool is_collapsible(const struct vmmu_op *op, const struct vmmu_iter *it, const struct vmmu_slot *slot)
{
	vmmu_gfn_t end = it->gfn + vmmu_level_frames(it->level);
	const struct vmmu_page *page;

	if (!spte_is_table(it->old, it->level) || it->level > op->vm->huge_level_max || it->gfn < op->start || end > op->end)
		return false;
	page = vmmu_host_table_page(vmmu_host_table_at(spte_address(op->vm->fmt, it->old)));
	return !flag_load(&page->nx_split) && !vmmu_host_slot_huge_disallowed(slot, it->gfn, it->level) &&
	       vmmu_host_mapping_level(op->vm, slot, it->gfn, it->level) >= it->level;
}

void vmmu_direct_collapse(struct vmmu_op *op, const struct vmmu_slot *slot)
{
	struct vmmu_iter it;
	vmmu_gfn_t since = ~0ull;

	op_begin(op, &it, VMMU_LEVEL_2M);
	while (it.valid) {
		if (op_yields(op, &it, &since))
			continue;
		while (is_collapsible(op, &it, slot))
			if (op_change(op, &it, 0)) {
				count_vm(op->vm, VMMU_C_COLLAPSES, 1);
				break;
			}
		iter_next(&it);
	}
	op_end();
}
