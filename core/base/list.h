/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Intrusive doubly linked list; struct vmmu_list is in vm.h. Whoever changes one holds its lock. */
#ifndef VMMU_BASE_LIST_H
#define VMMU_BASE_LIST_H

#include <vmmu/vm.h>
#include "base/bits.h"

static inline void dlist_init(struct vmmu_list *node)
{
	node->next = node->prev = node;
}

static inline bool dlist_is_empty(const struct vmmu_list *head)
{
	return head->next == head;
}

static inline void dlist_add_tail(struct vmmu_list *head, struct vmmu_list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* All nodes of @from go to the end of @head. */
static inline void dlist_move_all(struct vmmu_list *head, struct vmmu_list *from)
{
	if (dlist_is_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	dlist_init(from);
}

/* Unlinks @node; does nothing if it is not linked. */
static inline void dlist_del(struct vmmu_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	dlist_init(node);
}

#endif
