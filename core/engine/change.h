/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The one place where an entry of a live direct table loses anything, and where all that follows is done: leaf counts,
 * A and D handed to the frame's owner, tables below taken apart, the flush that is owed. (Elsewhere, in direct_fast.c,
 * an entry only gets back what it had.)
 *
 * An entry changes by compare-and-exchange, since other threads and the CPU's A and D bits change it at the same time;
 * who has frozen an entry, or is about to freeze it for good, may swap it. The value that was replaced is what is
 * accounted.
 */
#ifndef VMMU_ENGINE_CHANGE_H
#define VMMU_ENGINE_CHANGE_H

#include <vmmu/vm.h>
#include "engine/flush.h"

/* Where an entry sits. */
struct vmmu_place {
	struct vmmu_vm *vm;
	uint64_t *entry;
	vmmu_gfn_t gfn;		/* first frame it covers */
	uint8_t level;		/* of its table */
	uint8_t space;		/* of its tree */
};

/*
 * Replace *@old by @value. @debt takes what is owed: a flush where a right was lost or a table went, and the
 * tables that went. Refuses frozen entries. Context: rcu, vm any.
 * Return: true if done; false if the entry is frozen or changed meanwhile: nothing changed, *@old is the entry now.
 */
VMMU_MUST_CHECK bool vmmu_change_try(const struct vmmu_place *place, uint64_t *old, uint64_t value,
				     struct vmmu_flush *debt);

/*
 * Replace the large leaf *@old by @value, a table whose entries map the same with the same rights, A and D: nothing is
 * owed and nothing is handed to the frames' owner. Context and return as above.
 */
VMMU_MUST_CHECK bool vmmu_change_try_split(const struct vmmu_place *place, uint64_t *old, uint64_t value);

/* An entry that the caller froze itself: from SPTE_FROZEN to @value, which is absent or a leaf. */
void vmmu_change_thaw(const struct vmmu_place *place, uint64_t value);

/* For the shadow engine, which changes its entries under locks of its own. */

/* Count leaves, and hand A and D that @value no longer shows to the frame's owner. Context: atomic. */
void vmmu_change_account(const struct vmmu_place *place, uint64_t old, uint64_t value);
/* Can a CPU still hold a right, or an A or D bit it need not write again, that @value takes away? */
bool vmmu_change_loses_right(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t value, int level);

#endif
