/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Large leaves into tables of smaller ones. */
#ifndef VMMU_ENGINE_SPLIT_H
#define VMMU_ENGINE_SPLIT_H

#include <vmmu/vm.h>
#include "engine/change.h"

/*
 * Replace the large leaf *@old at @place by @page, whose entries map the same frames with the same rights and the
 * same A and D. No flush is owed: every translation a CPU holds stays true. On success *@old is the new entry.
 * Context: rcu, vm any. Return: false if the entry changed meanwhile; @page is still the caller's.
 */
VMMU_MUST_CHECK bool vmmu_split_leaf(const struct vmmu_place *place, const struct vmmu_page *root, uint64_t *old,
				     struct vmmu_page *page);

#endif
