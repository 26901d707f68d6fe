/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Roots of the shadow engine. Where the CPU walks as many levels as the guest's tables have, four or five, the root is a
 * shadow page like any other, found by (gfn, role) and kept by a reference. Else tables of the context's own stand on top,
 * which mirror nothing: one of four entries for guests in 32-bit modes or without paging, below 4 GiB and with all
 * entries made at once where the CPU reads them into registers; and, under NPT, those that make up the levels.
 */
#include "mmu/root_shadow.h"
#include <vmmu/context.h>
#include <vmmu/host.h>
#include "base/count.h"
#include "base/list.h"
#include "base/lock.h"
#include "engine/shadow.h"
#include "format/spte.h"
#include "page/index.h"
#include "page/page.h"

#define PDPTE_P 1ull
/* Code, stack, descriptors, source and destination, each across a page's border: 8 addresses, 4 tables below a root each. */
#define INSTRUCTION_PAGES 32

/* A slot that is on its way out is none. */
static bool is_memory(struct vmmu_vcpu *v, vmmu_gfn_t gfn)
{
	struct vmmu_gpte at;

	return !vmmu_host_gpte_locate(v, gfn << VMMU_PAGE_SHIFT, &at);
}

static vmmu_gfn_t gfn_of(uint64_t entry)
{
	return (entry & BITS64(51, 12)) >> VMMU_PAGE_SHIFT;
}

/* @page is the context's root from now on, and @pins pages with it cannot be evicted. root_drop() gives both back. */
static void take_root(struct vmmu_context *c, struct vmmu_page *page, unsigned int pins)
{
	c->root.page = page;
	c->root.pins = (uint8_t)pins;
	counter_add(&page->vm->shadow_pins, pins);
}

static int load_long(struct vmmu_vcpu *v, struct vmmu_context *c, bool *built)
{
	struct vmmu_page *page;

	if (!is_memory(v, gfn_of(c->pgd)))
		return VMMU_EFAULT;
	vm_lock_shared(v->vm);
	vmmu_host_rcu_read_lock();
	*built = !vmmu_index_find(v->vm, gfn_of(c->pgd), c->role);
	page = vmmu_shadow_get(v, gfn_of(c->pgd), c->role);
	if (refs_get_unless_zero(&page->root_refs)) {
		/* Who zaps it from now on sees the reference, and has every vCPU look. */
		if (flag_load(&page->invalid))
			vmmu_page_put(page);
		else
			take_root(c, page, 1);
	}
	if (*built && c->root.page && c->cached)
		vmmu_shadow_prefetch_links(v, &c->mode, page, c->cache[0].page);
	vmmu_host_rcu_read_unlock();
	vm_unlock_shared(v->vm);
	/* Zapped and freed under our eyes: the caller tries again. */
	return c->root.page ? VMMU_OK : VMMU_EAGAIN;
}

/* What entry @i of a root in PAE form points at. Return: false if the guest has none there, or none that is legal. */
static bool pae_child(const struct vmmu_context *c, unsigned int i, vmmu_gfn_t *gfn, union vmmu_role *role)
{
	switch (c->role.format) {
	case VMMU_FORMAT_NONE:
		*gfn = (vmmu_gfn_t)i << vmmu_level_frames_lg2(VMMU_LEVEL_1G);
		*role = vmmu_role_child_direct(c->role, VMMU_ACC_ALL);
		return true;
	case VMMU_FORMAT_PT32:
	case VMMU_FORMAT_NPT32:
		*gfn = gfn_of(c->pgd);
		*role = vmmu_role_child(c->role, VMMU_ACC_ALL, i);
		return true;
	default:
		*gfn = gfn_of(c->pdpte[i]);
		*role = vmmu_role_child(c->role, VMMU_ACC_ALL, 0);
		return (c->pdpte[i] & PDPTE_P) && !vmmu_mode_reserved(&c->mode, VMMU_LEVEL_1G, c->pdpte[i]);
	}
}

/* What the context's own tables have to be. A guest in 32-bit modes, or without paging, has its four parts below level 3. */
static struct vmmu_own_tree wanted_tree(const struct vmmu_context *c)
{
	struct vmmu_own_tree t = { .role = c->role, .gfn = gfn_of(c->pgd), .lowest = VMMU_LEVEL_1G };

	if (c->mode.root_level < VMMU_LEVEL_512G) {
		for (unsigned int i = 0; i < 4; i++)
			t.present |= (unsigned int)pae_child(c, i, &t.child_gfn[i], &t.child_role[i]) << i;
	} else {
		/* A 4-level table of L1's under a CPU that walks five. */
		t.lowest = c->mode.root_level + 1;
		t.present = 1;
		t.child_gfn[0] = t.gfn;
		t.child_role[0] = c->role;
	}
	/* The level of a child is that of the lowest table less one, however many levels stand above. */
	for (unsigned int i = 0; i < 4; i++)
		t.child_role[i].level = ((unsigned int)t.lowest - 1) & 7;
	return t;
}

static int link_child(struct vmmu_vcpu *v, struct vmmu_page *page, unsigned int i, struct vmmu_page *child)
{
	bool linked;

	page_lock(page);
	/* Stale entries below do no harm yet: the root is synced before a vCPU runs on it. */
	linked = !flag_load(&page->invalid) && vmmu_shadow_link(v, page, i, child, shadow_flushes(v->vm));
	page_unlock(page);
	return linked ? VMMU_OK : VMMU_EAGAIN;
}

/* What the lowest of the context's own tables, @page, points at. */
static int fill_lowest(struct vmmu_vcpu *v, const struct vmmu_own_tree *t, struct vmmu_page *page)
{
	int err = VMMU_OK;

	for (unsigned int i = 0; i < 4 && !err; i++) {
		if (!(t->present & 1u << i))
			continue;
		if (!vmmu_role_is_direct(t->child_role[i]) && !is_memory(v, t->child_gfn[i]))
			return VMMU_EFAULT;
		err = link_child(v, page, i, vmmu_shadow_get(v, t->child_gfn[i], t->child_role[i]));
	}
	return err;
}

/* A table of the context's own. */
static struct vmmu_page *own_table(struct vmmu_vcpu *v, struct vmmu_context *c, int level)
{
	/* The CPU's register has 32 bits where the root is in PAE form. */
	bool low = c->role.level == VMMU_LEVEL_1G;
	struct vmmu_page *page = low ? vmmu_page_alloc_low(v->vm) : vmmu_page_alloc(v->vm);
	union vmmu_role role = c->role;

	if (!page)
		return NULL;
	role.level = (uint32_t)level & 7;
	vmmu_page_name(page, gfn_of(c->pgd), role, NULL);
	page->shadow = true;
	page->s.own = true;
	page->s.low = low;
	return page;
}

static void list_own(struct vmmu_page *page)
{
	struct vmmu_vm *vm = page->vm;

	vmmu_page_linked(page);
	count_vm(vm, VMMU_C_SHADOWS_NOW, 1);
	lists_lock(vm);
	dlist_add_tail(&vm->shadows, &page->s.all);
	lists_unlock(vm);
}

/* The tables of the context's own and those below the lowest: they cannot be evicted while it remembers them. */
static unsigned int tree_pins(const struct vmmu_own_tree *t)
{
	return t->role.level - (unsigned int)t->lowest + 1 + 4;
}

static int join_own(struct vmmu_vcpu *v, struct vmmu_context *c, const struct vmmu_own_tree *t, struct vmmu_page **own,
		    unsigned int count)
{
	struct vmmu_flush debt = flush_none(v->vm);
	int err = VMMU_OK;

	vm_lock_shared(v->vm);
	vmmu_host_rcu_read_lock();
	/* One reference for being listed, and one for the context. */
	own[0]->root_refs = 2;
	for (unsigned int n = 0; n < count; n++)
		list_own(own[n]);
	for (unsigned int n = 0; n + 1 < count && !err; n++)
		err = link_child(v, own[n], 0, own[n + 1]);
	if (!err)
		err = fill_lowest(v, t, own[count - 1]);
	if (err) {
		for (unsigned int n = 0; n < count; n++)
			vmmu_shadow_zap(own[n], &debt);
		vmmu_flush_pay(&debt);
		vmmu_page_put(own[0]);
	} else {
		take_root(c, own[0], tree_pins(t));
	}
	vmmu_host_rcu_read_unlock();
	vm_unlock_shared(v->vm);
	return err;
}

static bool take_parked(struct vmmu_vcpu *v, struct vmmu_context *c, const struct vmmu_own_tree *t)
{
	struct vmmu_page *root;

	vm_lock_shared(v->vm);
	vmmu_host_rcu_read_lock();
	root = vmmu_own_unpark(v->vm, t);
	if (root)
		take_root(c, root, tree_pins(t));
	vmmu_host_rcu_read_unlock();
	vm_unlock_shared(v->vm);
	return root;
}

/* The CPU walks more levels than the guest's tables have, or needs PAE form: tables of the context's own come on top. */
static int load_own(struct vmmu_vcpu *v, struct vmmu_context *c, bool *built)
{
	struct vmmu_own_tree t = wanted_tree(c);
	struct vmmu_page *own[VMMU_LEVEL_MAX] = { NULL };
	unsigned int count = 0;

	*built = false;
	if (take_parked(v, c, &t))
		return VMMU_OK;
	for (int level = c->role.level; level >= t.lowest; level--) {
		own[count] = own_table(v, c, level);
		if (!own[count])
			goto out_of_memory;
		count++;
	}
	*built = true;
	return join_own(v, c, &t, own, count);

out_of_memory:
	while (count)
		vmmu_page_free(own[--count]);
	return VMMU_ENOMEM;
}

/*
 * Make room first, so that no page a fault has in hand is evicted under it. Beside the roots so many pages stay that one
 * instruction finds all its translations at once, however small the quota: else its faults would evict each other's pages
 * for ever.
 */
void vmmu_make_room(struct vmmu_vm *vm)
{
	uint64_t quota = counter_read(&vm->shadow_quota), least = counter_read(&vm->shadow_pins) + INSTRUCTION_PAGES;
	uint64_t most = quota > VMMU_POOL_PAGES ? quota - VMMU_POOL_PAGES : 0;

	if (most < least)
		most = least;
	if (counter_read(&vm->count[VMMU_C_SHADOWS_NOW]) <= most)
		return;
	vm_lock_shared(vm);
	vmmu_shadow_evict(vm, most);
	vm_unlock_shared(vm);
}

void vmmu_own_root_drop(struct vmmu_vcpu *v, struct vmmu_page *root)
{
	struct vmmu_flush debt = flush_none(v->vm);

	vm_lock_shared(v->vm);
	vmmu_host_rcu_read_lock();
	vmmu_own_park(root, &debt);
	vmmu_flush_pay(&debt);
	vmmu_host_rcu_read_unlock();
	vm_unlock_shared(v->vm);
}

int vmmu_root_load_shadow(struct vmmu_vcpu *v, struct vmmu_context *c, bool *built)
{
	int err;

	if (!flag_load(&v->vm->index_seen)) {
		err = vmmu_host_prepare_shadow(v->vm);
		if (!err)
			err = vmmu_index_prepare(v->vm);
		if (err)
			return err;
		/*
		 * Faults that began before install without a look at reverse maps and track words: let them end. So does whoever
		 * finds the index made by another that still waits for them.
		 */
		vm_lock_excl(v->vm);
		vm_unlock_excl(v->vm);
		flag_store(&v->vm->index_seen, true);
	}
	do {
		vmmu_make_room(v->vm);
		if (vmmu_pool_fill_shadow(v))
			return VMMU_ENOMEM;
		err = c->mode.root_level < (int)c->role.level || c->mode.root_level < VMMU_LEVEL_512G ?
			load_own(v, c, built) : load_long(v, c, built);
	} while (err == VMMU_EAGAIN);
	return err;
}
