/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Walk over the entries of one tree of our own, parents before their children, lower frames first.
 * One body for every host format: software's own present bit stands at one place.
 *
 *	for (iter_start(&it, fmt, root, start, end, VMMU_LEVEL_4K); it.valid; iter_next(&it))
 *		... it.entry, it.old, it.level, it.gfn ...
 *
 * The loop body sees each entry as it was when the walk came to it. A body that changes it stores the new
 * value in it.old, which decides whether the walk goes down. Entries of tables that were removed meanwhile
 * are frozen. Context: rcu. A body that leaves the read section calls iter_restart() once it is back in one.
 */
#ifndef VMMU_WALK_ITER_H
#define VMMU_WALK_ITER_H

#include <vmmu/host.h>
#include "base/atomic.h"
#include "format/spte.h"

struct vmmu_iter {
	const struct vmmu_spte_format *fmt;
	const struct vmmu_page *root;
	vmmu_gfn_t start, end;		/* what is left to walk */
	vmmu_gfn_t gfn;			/* first frame of the current entry, which may lie before start */
	uint64_t *entry;
	uint64_t old;
	int level;			/* of the table the entry is in */
	int min_level;
	bool valid;
	uint64_t *table[VMMU_LEVEL_MAX + 1];
};

static inline unsigned int iter_index(vmmu_gfn_t gfn, int level)
{
	return (gfn >> vmmu_level_frames_lg2(level)) & (VMMU_TABLE_ENTRIES - 1);
}

/* First frame beyond what a tree of @level levels maps. */
static inline vmmu_gfn_t iter_tree_end(int level)
{
	return 1ull << vmmu_level_frames_lg2(level + 1);
}

static inline void iter_load(struct vmmu_iter *it)
{
	it->entry = &it->table[it->level][iter_index(it->gfn, it->level)];
	it->old = pte_load(it->entry);
}

/* Begin again at the current entry, from the root down. */
static inline void iter_restart(struct vmmu_iter *it)
{
	if (it->gfn > it->start)
		it->start = it->gfn;
	it->level = it->root->role.level;
	it->valid = it->start < it->end;
	if (!it->valid)
		return;
	it->gfn = vmmu_gfn_round(it->start, it->level);
	it->table[it->level] = it->root->table;
	iter_load(it);
}

static inline void iter_start(struct vmmu_iter *it, const struct vmmu_spte_format *fmt, const struct vmmu_page *root,
			      vmmu_gfn_t start, vmmu_gfn_t end, int min_level)
{
	vmmu_gfn_t tree_end = iter_tree_end(root->role.level);

	it->fmt = fmt;
	it->root = root;
	it->start = start;
	it->end = end < tree_end ? end : tree_end;
	it->gfn = 0;
	it->old = 0;
	it->min_level = min_level;
	iter_restart(it);
}

static inline bool iter_try_down(struct vmmu_iter *it)
{
	if (it->level <= it->min_level || !spte_is_table(it->old, it->level))
		return false;
	it->table[it->level - 1] = vmmu_host_table_at(spte_address(it->fmt, it->old));
	it->level--;
	it->gfn = vmmu_gfn_round(it->gfn > it->start ? it->gfn : it->start, it->level);
	iter_load(it);
	return true;
}

static inline void iter_next(struct vmmu_iter *it)
{
	if (iter_try_down(it))
		return;
	while (iter_index(it->gfn, it->level) == VMMU_TABLE_ENTRIES - 1) {
		if (it->level == (int)it->root->role.level) {
			it->valid = false;
			return;
		}
		it->level++;
		it->gfn = vmmu_gfn_round(it->gfn, it->level);
	}
	it->gfn += vmmu_level_frames(it->level);
	it->valid = it->gfn < it->end;
	if (it->valid)
		iter_load(it);
}

#endif
