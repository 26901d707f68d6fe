/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Large leaves of shadow pages into direct pages of smaller ones. */
#ifndef VMMU_ENGINE_SHADOW_SPLIT_H
#define VMMU_ENGINE_SHADOW_SPLIT_H

#include <vmmu/vm.h>
#include "engine/flush.h"
#include "page/page.h"

/* A walk over the large leaves that map frames [start, end) of a slot, by reverse map. */
struct vmmu_shadow_split {
	struct vmmu_vm *vm;
	struct vmmu_slot *slot;
	vmmu_gfn_t start, end;
	int level;			/* leaves larger than this are split */
	struct vmmu_stock *stock;
	unsigned int nodes_wanted;	/* the walk ended for want of so many nodes, or of a page */
	void (*yield)(struct vmmu_vm *vm);	/* as in struct vmmu_op */
	bool can_wait;			/* the caller fetches memory and goes on;
					 * else what there is none for stays as it is */
	struct vmmu_flush debt;		/* paid before a yield */
	/* Where the walk is. */
	int at_level;			/* 0: not begun */
	vmmu_gfn_t at;
};

/*
 * Split on, until the end of the range or of the stock. Parts of a slot that logs writes come without W, or, where the
 * CPU logs by D, without D. Context: vm any, not rcu. Return: true if it came to the end; the debt is the caller's.
 */
bool vmmu_shadow_split(struct vmmu_shadow_split *s);

/*
 * Zap the direct pages of @slot in whose place a large leaf can stand now, but for those that were made since code runs
 * there.
 * @yield: as in struct vmmu_op. Context: vm any, not rcu.
 */
void vmmu_shadow_collapse(struct vmmu_vm *vm, struct vmmu_slot *slot, void (*yield)(struct vmmu_vm *vm),
			  struct vmmu_flush *debt);

#endif
