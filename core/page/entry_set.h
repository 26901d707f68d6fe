/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A set of table entries in one word: the reverse map of a frame, the parents of a table.
 *
 * Most sets have one member, so that one costs no memory: the word is the entry's address. More live in nodes of
 * 14, the head node being the only one that is not full. Bit 1 of the word is the set's lock: whoever looks at
 * or changes a set holds it. What may be taken inside: core/base/lock.h.
 */
#ifndef VMMU_PAGE_ENTRY_SET_H
#define VMMU_PAGE_ENTRY_SET_H

#include <vmmu/host.h>

#define ENTRY_NODE_ENTRIES 14u

struct vmmu_entry_node {
	struct vmmu_entry_node *next;
	uint64_t used;				/* entries of this node */
	uint64_t *entry[ENTRY_NODE_ENTRIES];
};

static inline bool entry_set_is_empty(const vmmu_entry_set *set)
{
	return !(__atomic_load_n(set, __ATOMIC_RELAXED) & ~(uintptr_t)3);
}

/* Add @entry, which is not a member. May take a node from *@spare, which is then NULL. Context: the set's lock. */
void vmmu_entry_set_add(vmmu_entry_set *set, uint64_t *entry, struct vmmu_entry_node **spare);
/* Take @entry out. Return: was it a member? Context: the set's lock. */
bool vmmu_entry_set_remove(vmmu_entry_set *set, uint64_t *entry);
/* Take the @n-th member out, from 0; there are more, and more than one. Return: the entry. Context: the set's lock. */
uint64_t *vmmu_entry_set_take(vmmu_entry_set *set, unsigned int n);
/* Take any member out. Return: the entry, NULL from an empty set. Context: the set's lock. */
uint64_t *vmmu_entry_set_pop(vmmu_entry_set *set);
unsigned int vmmu_entry_set_count(const vmmu_entry_set *set);
/* Would one more member take a node? Context: the set's lock; without it the answer may be old at once. */
bool vmmu_entry_set_needs_node(const vmmu_entry_set *set);

/* A walk over the members; the set does not change meanwhile. Context: the set's lock. */
struct entry_set_iter {
	const struct vmmu_entry_node *node;
	unsigned int next;
};
uint64_t *vmmu_entry_set_first(const vmmu_entry_set *set, struct entry_set_iter *it);
uint64_t *vmmu_entry_set_next(struct entry_set_iter *it);

#endif
