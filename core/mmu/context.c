/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Contexts and their root cache: see context.h. */
#include <vmmu/context.h>
#include <vmmu/host.h>
#include "base/atomic.h"
#include "base/count.h"
#include "mmu/root.h"
#include "page/page.h"

static bool root_fits(const struct vmmu_root *root, union vmmu_role role, uint64_t pgd)
{
	return root->page && vmmu_role_equal(root->page->role, role) && !flag_load(&root->page->invalid) &&
	       (vmmu_role_is_direct(role) || root->pgd == pgd);
}

static void root_drop(struct vmmu_vcpu *v, struct vmmu_root *root)
{
	if (root->page)
		vmmu_root_put(v->vm, root->page);
	*root = (struct vmmu_root){ .page = NULL };
}

/* Put the current root at the head of the cache, in the place of entry @hole, which becomes current. */
static void cache_rotate(struct vmmu_context *c, unsigned int hole)
{
	struct vmmu_root found = c->cache[hole];

	for (unsigned int i = hole; i; i--)
		c->cache[i] = c->cache[i - 1];
	c->cache[0] = c->root;
	c->root = found;
}

/* Take entry @i out of the cache; the others keep their order. */
static struct vmmu_root cache_take(struct vmmu_context *c, unsigned int i)
{
	struct vmmu_root taken = c->cache[i];

	for (c->cached--; i < c->cached; i++)
		c->cache[i] = c->cache[i + 1];
	c->cache[c->cached] = (struct vmmu_root){ .page = NULL };
	return taken;
}

/* Remember the current root, the coldest one giving way if need be. */
static void cache_current(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	if (!c->root.page)
		return;
	if (!v->vm->params.root_cache) {
		root_drop(v, &c->root);
		return;
	}
	if (c->cached < v->vm->params.root_cache)
		c->cached++;
	else
		root_drop(v, &c->cache[c->cached - 1]);
	cache_rotate(c, c->cached - 1u);
}

enum vmmu_switch vmmu_context_switch(struct vmmu_vcpu *v, struct vmmu_context *c, union vmmu_role role, uint64_t pgd)
{
	if (vmmu_role_is_direct(role))
		pgd = 0;
	c->role = role;
	c->pgd = pgd;
	if (root_fits(&c->root, role, pgd))
		return VMMU_SWITCH_SAME;
	for (unsigned int i = 0; i < c->cached; i++) {
		if (!root_fits(&c->cache[i], role, pgd))
			continue;
		if (c->root.page) {
			cache_rotate(c, i);
		} else {
			c->root = cache_take(c, i);
		}
		count_vcpu(v, VMMU_C_ROOTS_HIT);
		return VMMU_SWITCH_HIT;
	}
	cache_current(v, c);
	return VMMU_SWITCH_MISS;
}

static void count_load(struct vmmu_vcpu *v, struct vmmu_context *c, bool built)
{
	if (!built) {
		count_vcpu(v, VMMU_C_ROOTS_SHARED);
		return;
	}
	count_vcpu(v, VMMU_C_ROOTS_BUILT);
	count_vcpu(v, c->dropped_obsolete ? VMMU_C_ROOTS_MISS_OBSOLETE : VMMU_C_ROOTS_MISS_COLD);
	c->dropped_obsolete = false;
}

int vmmu_root_load(struct vmmu_vcpu *v)
{
	struct vmmu_context *c = v->current_context;
	bool built;

	if (c->root.page)
		return VMMU_OK;
	if (!vmmu_role_is_direct(c->role))
		return VMMU_EOPNOTSUPP;
	if (vmmu_pool_fill(v))
		return VMMU_ENOMEM;
	vmmu_host_lock_shared(v->vm);
	c->root.page = vmmu_root_get(v, c->role, &built);
	c->root.pgd = c->pgd;
	vmmu_host_unlock_shared(v->vm);
	count_load(v, c, built);
	return VMMU_OK;
}

vmmu_hpa_t vmmu_root_hpa(const struct vmmu_context *c)
{
	return c->root.page ? vmmu_host_table_hpa(c->root.page->table) : VMMU_HPA_INVALID;
}

bool vmmu_root_is_obsolete(const struct vmmu_context *c)
{
	return !c->root.page || flag_load(&c->root.page->invalid);
}

void vmmu_root_drop_current(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	root_drop(v, &c->root);
}

void vmmu_roots_drop_cached(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	while (c->cached)
		root_drop(v, &c->cache[--c->cached]);
}

void vmmu_root_drop_cached_one(struct vmmu_vcpu *v, struct vmmu_context *c, unsigned int i)
{
	struct vmmu_root root;

	if (i >= c->cached)
		return;
	root = cache_take(c, i);
	root_drop(v, &root);
}

bool vmmu_roots_drop_obsolete(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	bool current_too = c->root.page && vmmu_root_is_obsolete(c);

	for (unsigned int i = c->cached; i--;) {
		struct vmmu_root root;

		if (!flag_load(&c->cache[i].page->invalid))
			continue;
		root = cache_take(c, i);
		root_drop(v, &root);
		c->dropped_obsolete = true;
	}
	if (current_too) {
		root_drop(v, &c->root);
		c->dropped_obsolete = true;
	}
	return current_too;
}
