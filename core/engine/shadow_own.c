/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Tables of a context's own, which stand on top of what mirrors the guest's (core/mmu/root_shadow.c makes them). They are
 * not in the index, so a context that has more of them than it remembers would make them anew at each switch. Those it
 * forgets are parked: linked still, so that marks and zaps reach them as before, and the first to go when pages are short.
 */
#include "engine/shadow.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "format/spte.h"
#include "page/page.h"

/* As many as a context can remember, so that a search stays short. */
#define PARKED_MAX VMMU_ROOT_CACHE_MAX

/* Does the tree of @page have the shape and the children of @t? Its entries come all at once and go only when it is zapped. */
static bool is_tree(const struct vmmu_page *page, const struct vmmu_own_tree *t)
{
	if (page->gfn != t->gfn || !vmmu_role_equal(page->role, t->role))
		return false;
	while (page->role.level > t->lowest) {
		page = entry_child(page, pte_load(&page->table[0]));
		if (!page || !page->s.own)
			return false;
	}
	for (unsigned int i = 0; i < 4; i++) {
		const struct vmmu_page *child = entry_child(page, pte_load(&page->table[i]));

		if (!child != !(t->present & 1u << i))
			return false;
		if (child && (child->s.own || child->gfn != t->child_gfn[i] || !vmmu_role_equal(child->role, t->child_role[i])))
			return false;
	}
	return true;
}

/* Context: vm->lists. */
static void take_out(struct vmmu_page *page)
{
	dlist_del(&page->link);
	page->s.parked = false;
	page->vm->parked_count--;
}

unsigned int vmmu_own_zap(struct vmmu_page *root, struct vmmu_flush *debt)
{
	struct vmmu_page *page = root, *next;
	unsigned int gone = 0;

	for (; page && page->s.own; page = next) {
		next = entry_child(page, pte_load(&page->table[0]));
		gone += vmmu_shadow_zap(page, debt);
	}
	return gone;
}

void vmmu_own_forget(struct vmmu_page *page)
{
	bool parked;

	lists_lock(page->vm);
	parked = page->s.parked;
	if (parked)
		take_out(page);
	lists_unlock(page->vm);
	if (parked)
		vmmu_page_put(page);
}

unsigned int vmmu_own_drop_parked(struct vmmu_vm *vm, struct vmmu_flush *debt)
{
	struct vmmu_page *root = NULL;
	unsigned int gone;

	lists_lock(vm);
	if (vm->parked_count) {
		root = CONTAINER_OF(vm->parked.next, struct vmmu_page, link);
		take_out(root);
	}
	lists_unlock(vm);
	if (!root)
		return 0;
	gone = vmmu_own_zap(root, debt);
	vmmu_page_put(root);
	return gone;
}

void vmmu_own_park(struct vmmu_page *root, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = root->vm;
	bool parked, too_many;

	lists_lock(vm);
	/* Who zaps it looks for it in the list afterwards, under this lock. */
	parked = !flag_load(&root->invalid);
	if (parked) {
		dlist_add_tail(&vm->parked, &root->link);
		root->s.parked = true;
		vm->parked_count++;
	}
	too_many = vm->parked_count > PARKED_MAX;
	lists_unlock(vm);
	if (!parked)
		vmmu_page_put(root);
	if (too_many)
		vmmu_own_drop_parked(vm, debt);
}

struct vmmu_page *vmmu_own_unpark(struct vmmu_vm *vm, const struct vmmu_own_tree *t)
{
	struct vmmu_page *found = NULL;

	lists_lock(vm);
	/* The latest first: what was parked last is likely to come back first, or else all are looked at anyway. */
	for (struct vmmu_list *node = vm->parked.prev; node != &vm->parked && !found; node = node->prev) {
		struct vmmu_page *page = CONTAINER_OF(node, struct vmmu_page, link);

		if (!flag_load(&page->invalid) && is_tree(page, t))
			found = page;
	}
	if (found)
		take_out(found);
	lists_unlock(vm);
	return found;
}
