/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Contexts and their root cache: see context.h. */
#include <vmmu/context.h>
#include <vmmu/host.h>
#include "base/atomic.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/root.h"
#include "mmu/root_shadow.h"
#include "page/page.h"

static bool pdptes_equal(const uint64_t *a, const uint64_t *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

/* The role says how many levels the CPU walks; L1's nested tables may have fewer, under the same role. */
static uint8_t guest_levels(const struct vmmu_context *c)
{
	return c->shadow ? c->mode.root_level : 0;
}

/*
 * Is @root what @c needs now? The PDPTEs it was made for are part of a PAE root's identity: there may be others by now.
 */
static bool root_fits(const struct vmmu_context *c, const struct vmmu_root *root)
{
	return root->page && vmmu_role_equal(root->page->role, c->role) && root->page->shadow == c->shadow &&
	       !flag_load(&root->page->invalid) && root->pgd == c->pgd && root->guest_levels == guest_levels(c) &&
	       ((c->role.format != VMMU_FORMAT_PAE && c->role.format != VMMU_FORMAT_NPT_PAE) ||
		pdptes_equal(root->pdpte, c->pdpte));
}

static void root_drop(struct vmmu_vcpu *v, struct vmmu_root *root)
{
	if (root->pins)
		counter_add(&v->vm->shadow_pins, -(uint64_t)root->pins);
	if (root->page && root->page->s.own)
		vmmu_own_root_drop(v, root->page);
	else if (root->page)
		vmmu_root_put(v->vm, root->page);
	*root = (struct vmmu_root){ .page = NULL };
}

/* Put the current root at the head of the cache, in the place of entry @hole, which becomes current. */
static void cache_rotate(struct vmmu_context *c, unsigned int hole, unsigned int seen)
{
	struct vmmu_root found = c->cache[hole];

	for (unsigned int i = hole; i; i--)
		c->cache[i] = c->cache[i - 1];
	c->cache[0] = c->root;
	c->root = found;
	for (unsigned int i = seen; i <= hole; i++)
		c->cache[i].was_unseen = true;
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

/* Roots that are remembered may not take more than half of what the VM may have of shadow pages. */
static bool pins_too_many(const struct vmmu_vm *vm, const struct vmmu_root *root)
{
	return root->pins && counter_read(&vm->shadow_pins) > counter_read(&vm->shadow_quota) / 2;
}

/* Remember the current root, the coldest one giving way if need be. */
static void cache_current(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	bool too_many;

	if (!c->root.page)
		return;
	if (flag_load(&c->root.page->invalid)) {
		root_drop(v, &c->root);
		c->dropped_obsolete = true;
		return;
	}
	/* Asked once: other vCPUs change the answer. */
	too_many = pins_too_many(v->vm, &c->root);
	if (!v->vm->params.root_cache || (too_many && !c->cached)) {
		root_drop(v, &c->root);
		return;
	}
	if (c->cached < v->vm->params.root_cache && !too_many)
		c->cached++;
	else
		root_drop(v, &c->cache[c->cached - 1]);
	cache_rotate(c, c->cached - 1u, v->vm->params.roots_seen);
}

enum vmmu_switch vmmu_context_switch(struct vmmu_vcpu *v, struct vmmu_context *c, union vmmu_role role, uint64_t pgd)
{
	c->role = role;
	/* What maps gpa = hpa, or gva = gpa, does not depend on a table of the guest's. */
	c->pgd = vmmu_role_is_direct(role) ? 0 : pgd;
	if (root_fits(c, &c->root))
		return VMMU_SWITCH_SAME;
	for (unsigned int i = 0; i < c->cached; i++) {
		if (!root_fits(c, &c->cache[i]))
			continue;
		if (c->root.page) {
			cache_rotate(c, i, v->vm->params.roots_seen);
		} else {
			c->root = cache_take(c, i);
		}
		c->hit_unseen = c->root.was_unseen;
		c->root.was_unseen = false;
		count_vcpu(v, VMMU_C_ROOTS_HIT);
		return VMMU_SWITCH_HIT;
	}
	cache_current(v, c);
	return VMMU_SWITCH_MISS;
}

static void count_load(struct vmmu_vcpu *v, struct vmmu_context *c, bool built)
{
	bool obsolete = c->dropped_obsolete;

	c->dropped_obsolete = false;
	if (!built) {
		count_vcpu(v, VMMU_C_ROOTS_SHARED);
		return;
	}
	count_vcpu(v, VMMU_C_ROOTS_BUILT);
	count_vcpu(v, obsolete ? VMMU_C_ROOTS_MISS_OBSOLETE : VMMU_C_ROOTS_MISS_COLD);
}

static int load_direct(struct vmmu_vcpu *v, struct vmmu_context *c, bool *built)
{
	if (vmmu_pool_fill(v))
		return VMMU_ENOMEM;
	vm_lock_shared(v->vm);
	c->root.page = vmmu_root_get(v, c->role, built);
	vm_unlock_shared(v->vm);
	return VMMU_OK;
}

int vmmu_root_load(struct vmmu_vcpu *v)
{
	struct vmmu_context *c = v->current_context;
	bool built = false;
	int err;

	if (c->root.page)
		return VMMU_OK;
	err = c->shadow ? vmmu_root_load_shadow(v, c, &built) : load_direct(v, c, &built);
	if (err)
		return err;
	c->root.pgd = c->pgd;
	c->root.guest_levels = guest_levels(c);
	for (int i = 0; i < 4; i++)
		c->root.pdpte[i] = c->pdpte[i];
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
