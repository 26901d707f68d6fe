/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See entry_set.h. */
#include "page/entry_set.h"
#include "base/bits.h"

#define SET_CHAIN	((uintptr_t)1)
#define SET_LOCK	((uintptr_t)2)

/* The word's lock bit is tried for by others while the set is locked. */
static uintptr_t set_word(const vmmu_entry_set *set)
{
	return __atomic_load_n(set, __ATOMIC_RELAXED) & ~SET_LOCK;
}

static struct vmmu_entry_node *set_nodes(const vmmu_entry_set *set)
{
	uintptr_t word = set_word(set);

	return word & SET_CHAIN ? (struct vmmu_entry_node *)(word & ~SET_CHAIN) : NULL;
}

static uint64_t *set_single(const vmmu_entry_set *set)
{
	uintptr_t word = set_word(set);

	return word & SET_CHAIN ? NULL : (uint64_t *)word;
}

/* The lock bit stays set: the caller holds it. */
static void set_write(vmmu_entry_set *set, const void *what, uintptr_t chain)
{
	__atomic_store_n(set, (uintptr_t)what | chain | SET_LOCK, __ATOMIC_RELAXED);
}

static struct vmmu_entry_node *take_spare(struct vmmu_entry_node **spare)
{
	struct vmmu_entry_node *node = *spare;

	*spare = NULL;
	node->next = NULL;
	node->used = 0;
	return node;
}

void vmmu_entry_set_add(vmmu_entry_set *set, uint64_t *entry, struct vmmu_entry_node **spare)
{
	struct vmmu_entry_node *head = set_nodes(set), *node;
	uint64_t *single = set_single(set);

	if (!head && !single) {
		set_write(set, entry, 0);
		return;
	}
	if (!head || head->used == ENTRY_NODE_ENTRIES) {
		node = take_spare(spare);
		node->next = head;
		if (single)
			node->entry[node->used++] = single;
		head = node;
		set_write(set, head, SET_CHAIN);
	}
	head->entry[head->used++] = entry;
}

/* The hole is filled with the head's last entry, so that only the head is ever not full. */
static void fill_hole(vmmu_entry_set *set, struct vmmu_entry_node *node, unsigned int hole)
{
	struct vmmu_entry_node *head = set_nodes(set);

	node->entry[hole] = head->entry[--head->used];
	if (head->used > 1 || (head->used == 1 && head->next))
		return;
	if (head->used == 1)
		set_write(set, head->entry[0], 0);
	else
		set_write(set, head->next, head->next ? SET_CHAIN : 0);
	vmmu_host_node_free(head);
}

bool vmmu_entry_set_remove(vmmu_entry_set *set, uint64_t *entry)
{
	if (set_single(set) == entry) {
		set_write(set, NULL, 0);
		return true;
	}
	for (struct vmmu_entry_node *node = set_nodes(set); node; node = node->next)
		for (unsigned int i = 0; i < node->used; i++)
			if (node->entry[i] == entry) {
				fill_hole(set, node, i);
				return true;
			}
	return false;
}

uint64_t *vmmu_entry_set_take(vmmu_entry_set *set, unsigned int n)
{
	struct vmmu_entry_node *node = set_nodes(set);
	uint64_t *entry;

	while (n >= node->used) {
		n -= (unsigned int)node->used;
		node = node->next;
	}
	entry = node->entry[n];
	fill_hole(set, node, n);
	return entry;
}

uint64_t *vmmu_entry_set_pop(vmmu_entry_set *set)
{
	struct vmmu_entry_node *head = set_nodes(set);
	uint64_t *entry = head ? head->entry[head->used - 1] : set_single(set);

	if (entry)
		vmmu_entry_set_remove(set, entry);
	return entry;
}

unsigned int vmmu_entry_set_count(const vmmu_entry_set *set)
{
	unsigned int n = set_single(set) ? 1 : 0;

	for (const struct vmmu_entry_node *node = set_nodes(set); node; node = node->next)
		n += (unsigned int)node->used;
	return n;
}

bool vmmu_entry_set_needs_node(const vmmu_entry_set *set)
{
	const struct vmmu_entry_node *head = set_nodes(set);

	return head ? head->used == ENTRY_NODE_ENTRIES : set_single(set) != NULL;
}

uint64_t *vmmu_entry_set_first(const vmmu_entry_set *set, struct entry_set_iter *it)
{
	it->node = set_nodes(set);
	it->next = 0;
	return it->node ? vmmu_entry_set_next(it) : set_single(set);
}

uint64_t *vmmu_entry_set_next(struct entry_set_iter *it)
{
	if (it->node && it->next == it->node->used) {
		it->node = it->node->next;
		it->next = 0;
	}
	return it->node ? it->node->entry[it->next++] : NULL;
}
