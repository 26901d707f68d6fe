/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The one place where an entry of a live table changes, and where all that follows from the change is done:
 * leaf counts, A and D handed to the frame's owner, tables below taken apart, the flush that is owed.
 *
 * An entry changes by compare-and-exchange only, since other threads and the CPU's A and D bits change it at
 * the same time. The value that was replaced, not the one that was expected, is what is accounted.
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

#endif
