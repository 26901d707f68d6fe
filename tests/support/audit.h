/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What must be true of a VM at rest, found out the slow way: every table of every root is read, and compared with the
 * memslots and the host's memory; of shadow pages see audit_shadow.h. Broken rules end in machine_bug().
 */
#ifndef TESTS_SUPPORT_AUDIT_H
#define TESTS_SUPPORT_AUDIT_H

#include <string.h>
#include <vmmu/host.h>
#include "format/spte.h"

struct audit {
	struct machine_vm *m;
	long leaves[VMMU_LEVEL_MAX + 1];
	long tables, nx_splits, mmio;
	long shadows, shadow_leaves, links, parents, tracked, dead_roots;
	struct vmmu_page *dead_root[256];
	bool words;			/* look at each word of each slot as well, which takes long */
	/* Looks at each leaf as well; may be NULL. */
	void (*leaf)(struct audit *a, const struct vmmu_page *root, vmmu_gfn_t gfn, int level, uint64_t spte);
	vmmu_gfn_t start, end;		/* for the visitor */
	int space, min_level;
	long found;
};

#define AUDIT(a, gfn, level, spte, condition) \
	((condition) ? (void)0 : machine_bug("audit: %s, at gfn %#llx level %d, entry %#llx", #condition, \
					     (unsigned long long)(gfn), (int)(level), (unsigned long long)(spte)))

static inline void audit_frame(struct audit *a, const struct vmmu_page *root, vmmu_gfn_t gfn, vmmu_pfn_t pfn,
			       uint64_t spte, int level)
{
	struct machine_vm *m = a->m;
	struct vmmu_slot *slot = machine_slot_at(m, root->role.space, gfn);
	uint64_t page;
	bool writable;

	AUDIT(a, gfn, level, spte, slot && !slot->invalid);
	if (!slot)
		return;
	page = machine_slot_page(slot, gfn);
	AUDIT(a, gfn, level, spte, !(ram_flags(&m->ram, page) & RAM_ABSENT));
	AUDIT(a, gfn, level, spte, machine_ram_pfn(&m->ram, page) == pfn);
	writable = !slot->read_only && !(ram_flags(&m->ram, page) & RAM_COPY_ON_WRITE);
	AUDIT(a, gfn, level, spte, writable || !(spte & (m->fmt.host_writable | m->fmt.mmu_writable | SPTE_W)));
	AUDIT(a, gfn, level, spte, !machine_is_tracked(m, gfn) || !(spte & (m->fmt.mmu_writable | SPTE_W)));
}

static inline void audit_leaf(struct audit *a, const struct vmmu_page *root, vmmu_gfn_t gfn, int level, uint64_t spte)
{
	const struct vmmu_spte_format *fmt = &a->m->fmt;
	vmmu_pfn_t pfn = spte_pfn(fmt, spte);
	uint64_t frames = vmmu_level_frames(level);
	struct vmmu_slot *slot = machine_slot_at(a->m, root->role.space, gfn);

	a->leaves[level]++;
	AUDIT(a, gfn, level, spte, !vmmu_spte_reserved(fmt, spte, level));
	AUDIT(a, gfn, level, spte, !(spte & SPTE_W) || spte_is_mmu_writable(fmt, spte));
	AUDIT(a, gfn, level, spte, !spte_is_mmu_writable(fmt, spte) || (spte & fmt->host_writable));
	audit_frame(a, root, gfn, pfn, spte, level);
	if (level > VMMU_LEVEL_4K) {
		audit_frame(a, root, gfn + frames - 1, pfn + frames - 1, spte, level);
		audit_frame(a, root, gfn + frames / 2 + 1, pfn + frames / 2 + 1, spte, level);
		AUDIT(a, gfn, level, spte, machine_ram_level(&a->m->ram, machine_slot_page(slot, gfn)) >= level);
		AUDIT(a, gfn, level, spte, !a->m->vm.nx_huge_pages || !spte_is_executable(fmt, spte));
	}
	if (a->leaf)
		a->leaf(a, root, gfn, level, spte);
}

static inline void audit_table(struct audit *a, const struct vmmu_page *root, const struct vmmu_page *page);

static inline void audit_entry(struct audit *a, const struct vmmu_page *root, const struct vmmu_page *page,
			       unsigned int i)
{
	const struct vmmu_spte_format *fmt = &a->m->fmt;
	int level = page->role.level;
	uint64_t spte = page->table[i];
	vmmu_gfn_t gfn = page->gfn + i * vmmu_level_frames(level);
	struct vmmu_page *child;

	if (!spte)
		return;
	AUDIT(a, gfn, level, spte, !spte_is_frozen(spte));
	AUDIT(a, gfn, level, spte, gfn < 1ull << (9 * root->role.level));
	if (spte_is_leaf(spte, level)) {
		audit_leaf(a, root, gfn, level, spte);
	} else if (spte_is_table(spte, level)) {
		AUDIT(a, gfn, level, spte, !vmmu_spte_reserved(fmt, spte, level));
		child = machine_table_page(machine_table_at(spte_address(fmt, spte)));
		AUDIT(a, gfn, level, spte, child->parent_entry == &page->table[i]);
		AUDIT(a, gfn, level, spte, child->gfn == gfn);
		AUDIT(a, gfn, level, spte, child->role.level == level - 1 && child->role.space == root->role.space);
		AUDIT(a, gfn, level, spte, child->role.guest_view == root->role.guest_view);
		audit_table(a, root, child);
	} else {
		a->mmio++;
		AUDIT(a, gfn, level, spte, spte_is_mmio(fmt, spte) && level == VMMU_LEVEL_4K);
		AUDIT(a, gfn, level, spte, vmmu_spte_mmio_gfn(fmt, spte) == gfn);
	}
}

static inline void audit_table(struct audit *a, const struct vmmu_page *root, const struct vmmu_page *page)
{
	a->tables++;
	a->nx_splits += page->nx_split;
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		if (page->table[i])
			audit_entry(a, root, page, i);
}

static inline long audit_refs_in(const struct vmmu_context *c, const struct vmmu_page *root)
{
	long n = c->root.page == root;

	for (unsigned int i = 0; i < c->cached; i++)
		n += c->cache[i].page == root;
	return n;
}

static inline void audit_root(struct audit *a, const struct vmmu_page *root)
{
	long refs = root->held_by_vm;

	for (unsigned int i = 0; i < a->m->vcpus; i++)
		refs += audit_refs_in(&a->m->vcpu[i]->v.l1, root) + audit_refs_in(&a->m->vcpu[i]->v.nested, root);
	AUDIT(a, 0, root->role.level, root->root_refs, (long)root->root_refs == refs);
	AUDIT(a, 0, root->role.level, 0, root->invalid != root->held_by_vm);
	AUDIT(a, 0, root->role.level, 0, root->gfn == 0 && !root->parent_entry && !root->nx_split);
	audit_table(a, root, root);
	for (const struct vmmu_list *node = root->link.next; node != &a->m->vm.roots; node = node->next) {
		const struct vmmu_page *other = CONTAINER_OF(node, struct vmmu_page, link);

		AUDIT(a, 0, root->role.level, 0,
		      root->invalid || other->invalid || !vmmu_role_equal(root->role, other->role));
	}
}

#include "audit_shadow.h"

/* Context: slots; nothing else runs. */
static inline void audit_walk(struct audit *a)
{
	void (*hook)(enum machine_point point) = machine_hook;
	struct machine_vm *m = a->m;
	long listed = 0;

	machine_hook = NULL;
	for (const struct vmmu_list *node = m->vm.roots.next; node != &m->vm.roots; node = node->next)
		audit_root(a, CONTAINER_OF(node, struct vmmu_page, link));
	audit_shadow(a);
	for (const struct vmmu_list *node = m->vm.nx_splits.next; node != &m->vm.nx_splits; node = node->next) {
		const struct vmmu_page *page = CONTAINER_OF(node, struct vmmu_page, nx_link);

		AUDIT(a, page->gfn, page->role.level, 0, page->nx_split && machine_table_page(page->table) == page);
		listed++;
	}
	AUDIT(a, 0, 0, listed, a->nx_splits == listed);
	AUDIT(a, 0, 0, listed, vmmu_counter_read(&m->vm, VMMU_C_NX_SPLITS_NOW) == (uint64_t)listed);
	for (int level = 1; level <= VMMU_LEVEL_MAX; level++)
		AUDIT(a, 0, level, m->leaves[level], m->leaves[level] == a->leaves[level]);
	AUDIT(a, 0, 0, a->tables, vmmu_counter_read(&m->vm, VMMU_C_TABLES_NOW) == (uint64_t)a->tables);
	AUDIT(a, 0, 0, a->tables, machine_usage().accounted == a->tables + a->dead_roots);
	AUDIT(a, 0, 0, m->ram.taken, m->ram.taken == 0);
	AUDIT(a, 0, 0, 0, machine_rcu_waiting() == 0);
	for (unsigned int i = 0; i < m->vcpus; i++)
		machine_cpu_check(m->vcpu[i]);
	machine_hook = hook;
}

/* Everything. */
static inline struct audit audit(struct machine_vm *m)
{
	struct audit a = { .m = m };

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	audit_walk(&a);
	machine_mutex_unlock(&m->slots_lock);
	return a;
}

/* Everything, and how many leaves of @min_level and larger touch [start, end) of @space (-1: any) and fit @mask. */
static inline void audit_count_leaf(struct audit *a, const struct vmmu_page *root, vmmu_gfn_t gfn, int level,
				    uint64_t spte)
{
	(void)spte;
	/* An empty range touches nothing, also in the middle of a large leaf. */
	if ((a->space < 0 || (int)root->role.space == a->space) && level >= a->min_level && a->start < a->end &&
	    gfn < a->end && gfn + vmmu_level_frames(level) > a->start)
		a->found++;
}

static inline long audit_leaves(struct machine_vm *m, int space, vmmu_gfn_t start, vmmu_gfn_t end, int min_level)
{
	struct audit a = {
		.m = m, .leaf = audit_count_leaf, .space = space, .start = start, .end = end, .min_level = min_level,
	};

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	audit_walk(&a);
	machine_mutex_unlock(&m->slots_lock);
	return a.found;
}

#endif
