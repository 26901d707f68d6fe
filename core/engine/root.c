/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See root.h. */
#include "engine/root.h"
#include <vmmu/host.h>
#include "base/assert.h"
#include "base/count.h"
#include "base/list.h"
#include "base/lock.h"
#include "page/page.h"

static struct vmmu_page *root_of(struct vmmu_list *node)
{
	return CONTAINER_OF(node, struct vmmu_page, link);
}

/* Context: lists. */
static struct vmmu_page *root_find(struct vmmu_vm *vm, union vmmu_role role)
{
	for (struct vmmu_list *node = vm->roots.next; node != &vm->roots; node = node->next) {
		struct vmmu_page *root = root_of(node);

		if (vmmu_role_equal(root->role, role) && !flag_load(&root->invalid) && refs_get_unless_zero(&root->root_refs))
			return root;
	}
	return NULL;
}

struct vmmu_page *vmmu_root_get(struct vmmu_vcpu *v, union vmmu_role role, bool *built)
{
	struct vmmu_vm *vm = v->vm;
	struct vmmu_page *root;

	vmmu_host_assert_locked(vm);
	vmmu_host_rcu_read_lock();
	lists_lock(vm);
	root = root_find(vm, role);
	*built = !root;
	if (!root) {
		root = vmmu_pool_take(v);
		vmmu_page_name(root, 0, role, NULL);
		root->held_by_vm = true;
		root->root_refs = 2;
		dlist_add_tail(&vm->roots, &root->link);
	}
	lists_unlock(vm);
	if (*built)
		vmmu_page_linked(root);
	else
		vmmu_host_trace_page(vm, root, VMMU_PAGE_FOUND);
	vmmu_host_rcu_read_unlock();
	return root;
}

void vmmu_root_put(struct vmmu_vm *vm, struct vmmu_page *root)
{
	if (root->shadow) {
		vmmu_page_put(root);
		return;
	}
	if (!refs_put(&root->root_refs))
		return;
	/* Who marked it invalid took its tables apart while holding a reference, so nothing hangs below any more. */
	lists_lock(vm);
	dlist_del(&root->link);
	lists_unlock(vm);
	count_vm(vm, VMMU_C_TABLES_NOW, -1ull);
	vmmu_host_trace_page(vm, root, VMMU_PAGE_ZAPPED);
	vmmu_page_free_after_grace(root);
}

static bool root_matches(const struct vmmu_page *root, int space, enum vmmu_root_kind kind)
{
	if (space >= 0 && (int)root->role.space != space)
		return false;
	return kind == VMMU_ROOTS_ALL || (kind == VMMU_ROOTS_INVALID) == flag_load(&root->invalid);
}

struct vmmu_page *vmmu_root_next(struct vmmu_vm *vm, struct vmmu_page *last, int space, enum vmmu_root_kind kind)
{
	struct vmmu_page *root = NULL;
	struct vmmu_list *node;

	lists_lock(vm);
	for (node = last ? last->link.next : vm->roots.next; node != &vm->roots; node = node->next)
		if (root_matches(root_of(node), space, kind) && refs_get_unless_zero(&root_of(node)->root_refs)) {
			root = root_of(node);
			break;
		}
	lists_unlock(vm);
	if (last)
		vmmu_root_put(vm, last);
	return root;
}

void vmmu_roots_invalidate(struct vmmu_vm *vm)
{
	struct vmmu_page *root = NULL;

	vmmu_host_assert_locked_excl(vm);
	while ((root = vmmu_root_next(vm, root, -1, VMMU_ROOTS_VALID)))
		flag_store(&root->invalid, true);
}

void vmmu_root_release(struct vmmu_vm *vm, struct vmmu_page *root)
{
	bool held;

	lists_lock(vm);
	held = root->held_by_vm;
	root->held_by_vm = false;
	lists_unlock(vm);
	if (held)
		vmmu_root_put(vm, root);
}
