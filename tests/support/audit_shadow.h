/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What must be true of shadow pages at rest, found out the slow way: every page on the VM's list is read, and compared
 * with the reverse maps, the sets of parents, the index, the write-track words and the counts. docs/invariants.md, I-28
 * and on. Whether entries are what the guest's tables give is the oracle's business, where CPUs use them.
 */
#ifndef TESTS_SUPPORT_AUDIT_SHADOW_H
#define TESTS_SUPPORT_AUDIT_SHADOW_H

#include "engine/shadow.h"
#include "page/index.h"

static inline bool audit_set_has(vmmu_entry_set *set, const uint64_t *entry)
{
	struct entry_set_iter it;

	for (uint64_t *e = vmmu_entry_set_first(set, &it); e; e = vmmu_entry_set_next(&it))
		if (e == entry)
			return true;
	return false;
}

#define AUDIT_PAGE(page, condition) \
	((condition) ? (void)0 : \
	 machine_bug("audit: %s, shadow page of gfn %#llx, %s, level %d, role %#x", #condition, \
		     (unsigned long long)(page)->gfn, vmmu_format_name((enum vmmu_format)(page)->role.format), \
		     (int)(page)->role.level, (page)->role.word))

/*
 * Is anything in the large page at @gfn tracked? In @slot nothing large may be writable then, whatever it is disallowed for. A
 * slot of the other space has edges of its own, which may move there later: of that one only what it tracks counts.
 */
static inline bool audit_tracks_in(struct audit *a, const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	if (!huge_disallowed_anywhere(&a->m->vm, gfn, level))
		return false;
	if (machine_slot_huge_disallowed(slot, gfn, level))
		return true;
	for (uint64_t n = 0; n < vmmu_level_frames(level); n++)
		if (machine_is_tracked(a->m, gfn + n))
			return true;
	return false;
}

/* A leaf: in its frame's reverse map, and with no right that the host or a tracked frame forbids. */
static inline void audit_shadow_leaf(struct audit *a, struct vmmu_page *page, unsigned int i)
{
	const struct vmmu_spte_format *fmt = &a->m->fmt;
	int level = page->role.level;
	uint64_t spte = page->table[i], frames = vmmu_level_frames(level);
	vmmu_gfn_t gfn = leaf_gfn(page, i);
	struct vmmu_slot *slot = machine_slot_at(a->m, page->role.space, gfn);
	vmmu_pfn_t pfn = spte_pfn(fmt, spte);

	a->leaves[level]++;
	a->shadow_leaves++;
	AUDIT(a, gfn, level, spte, !vmmu_spte_reserved(fmt, spte, level));
	AUDIT(a, gfn, level, spte, !(spte & SPTE_W) || spte_is_mmu_writable(fmt, spte));
	audit_frame(a, page, gfn, pfn, spte, level);
	if (!slot)
		return;
	AUDIT(a, gfn, level, spte, audit_set_has(vmmu_host_slot_rmap(slot, gfn, level), &page->table[i]));
	if (level == VMMU_LEVEL_4K)
		return;
	audit_frame(a, page, gfn + frames - 1, pfn + frames - 1, spte, level);
	AUDIT(a, gfn, level, spte, !(spte & SPTE_W) || !audit_tracks_in(a, slot, gfn, level));
	AUDIT(a, gfn, level, spte, machine_ram_level(&a->m->ram, machine_slot_page(slot, gfn)) >= level);
	AUDIT(a, gfn, level, spte, !a->m->vm.nx_huge_pages || !spte_is_executable(fmt, spte));
}

/* A link: to a valid page with the name that the entry calls for, in its parents, and marked if something below is unsync. */
static inline void audit_shadow_link(struct audit *a, struct vmmu_page *page, unsigned int i)
{
	const struct vmmu_spte_format *fmt = &a->m->fmt;
	uint64_t spte = page->table[i];
	struct vmmu_page *child = machine_table_page(machine_table_at(spte_address(fmt, spte)));
	bool marked = page->s.unsync_below[i / 64] >> (i % 64) & 1, below = child->s.unsync;

	a->links++;
	AUDIT_PAGE(child, child->shadow && !child->invalid);
	AUDIT_PAGE(child, audit_set_has(&child->s.parents, &page->table[i]));
	AUDIT_PAGE(child, child->role.level == page->role.level - 1 && child->role.space == page->role.space);
	AUDIT_PAGE(child, child->role.guest_view == page->role.guest_view && child->role.ad_off == page->role.ad_off);
	AUDIT_PAGE(child, vmmu_role_is_direct(child->role) || child->role.format == page->role.format);
	AUDIT_PAGE(child, page->s.own || !vmmu_role_is_direct(page->role) || vmmu_role_is_direct(child->role));
	/* With CR0.WP clear a leaf may have W without U, and direct pages stand in the place of leaves. */
	if (!vmmu_role_is_direct(child->role) && (child->role.access & ~page->role.access))
		machine_bug("audit: page of gfn %#llx level %d access %#x hangs below gfn %#llx level %d access %#x, entry %u, own %d",
			    (unsigned long long)child->gfn, child->role.level, child->role.access,
			    (unsigned long long)page->gfn, page->role.level, page->role.access, i, page->s.own);
	for (unsigned int n = 0; n < VMMU_TABLE_ENTRIES / 64; n++)
		below |= child->s.unsync_below[n] != 0;
	AUDIT_PAGE(child, marked || !below);
	if (page->s.low)
		AUDIT_PAGE(child, i < 4);
	else
		AUDIT(a, child->gfn, page->role.level, spte, !vmmu_spte_reserved(fmt, spte, page->role.level));
}

static inline void audit_shadow_entries(struct audit *a, struct vmmu_page *page)
{
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++) {
		uint64_t spte = page->table[i];

		if (!spte)
			continue;
		if (spte_is_leaf(spte, page->role.level)) {
			audit_shadow_leaf(a, page, i);
		} else if (spte_is_table(spte, page->role.level)) {
			audit_shadow_link(a, page, i);
		} else {
			a->mmio++;
			AUDIT_PAGE(page, spte_is_mmio(&a->m->fmt, spte));
		}
	}
}

static inline long audit_shadow_refs(const struct machine_vm *m, const struct vmmu_page *page)
{
	long refs = 1 + page->s.parked;

	for (unsigned int i = 0; i < m->vcpus; i++)
		refs += audit_refs_in(&m->vcpu[i]->v.l1, page) + audit_refs_in(&m->vcpu[i]->v.nested, page);
	return refs;
}

static inline void audit_shadow_page(struct audit *a, struct vmmu_page *page)
{
	struct machine_vm *m = a->m;
	struct vmmu_slot *slot;
	struct entry_set_iter it;

	a->shadows++;
	a->tables++;
	a->nx_splits += page->nx_split;
	AUDIT_PAGE(page, page->shadow && !page->invalid);
	AUDIT_PAGE(page, (long)page->root_refs == audit_shadow_refs(m, page));
	for (uint64_t *e = vmmu_entry_set_first(&page->s.parents, &it); e; e = vmmu_entry_set_next(&it)) {
		a->parents++;
		AUDIT_PAGE(page, machine_table_is_live(machine_table_hpa((void *)((uintptr_t)e & ~0xfffull))));
		AUDIT_PAGE(page, spte_address(&m->fmt, *e) == machine_table_hpa(page->table));
	}
	if (!page->s.own) {
		AUDIT_PAGE(page, vmmu_index_find(&m->vm, page->gfn, page->role) == page);
	}
	AUDIT_PAGE(page, shadow_mirrors(page) == (page->s.mirrored != NULL));
	if (shadow_mirrors(page)) {
		slot = machine_slot_at(m, page->role.space, page->gfn);
		AUDIT_PAGE(page, slot && !slot->invalid);
		AUDIT_PAGE(page, page->s.tracked != page->s.unsync);
		AUDIT_PAGE(page, page->role.level == VMMU_LEVEL_4K || page->s.tracked);
		AUDIT_PAGE(page, !page->s.tracked || *vmmu_host_slot_track(slot, page->gfn));
		for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++)
			AUDIT_PAGE(page, machine_slot_huge_disallowed(slot, page->gfn, level));
		a->tracked += page->s.tracked;
	} else {
		AUDIT_PAGE(page, !page->s.tracked && !page->s.unsync);
	}
	audit_shadow_entries(a, page);
}

/* The words of all slots: nothing is in them but what was found. */
static inline void audit_words(struct audit *a)
{
	long mapped = 0, tracked = 0;

	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++) {
			struct vmmu_slot *slot = machine_slot(a->m, space, id);

			if (!slot)
				continue;
			for (int level = 1; level <= VMMU_LEVEL_HUGE_MAX; level++)
				for (uint64_t n = 0; slot->rmap[0] && n <= machine_slot_block(slot, slot->end - 1, level); n++)
					if (slot->rmap[level - 1][n])
						mapped += vmmu_entry_set_count(&slot->rmap[level - 1][n]);
			for (uint64_t n = 0; n < slot->records->frames; n++)
				tracked += slot->records->track[n] - slot->records->tracked[n];
		}
	AUDIT(a, 0, 0, mapped, mapped == a->shadow_leaves);
	AUDIT(a, 0, 0, tracked, tracked == a->tracked);
}

/* Roots that were zapped while contexts had them: no entry is left in them, and they are accounted until they are freed. */
static inline void audit_dead_root(struct audit *a, struct vmmu_page *page)
{
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		AUDIT_PAGE(page, !page->table[i]);
	for (long n = 0; n < a->dead_roots; n++)
		if (a->dead_root[n] == page)
			return;
	AUDIT_PAGE(page, a->dead_roots < (long)(sizeof(a->dead_root) / sizeof(a->dead_root[0])));
	a->dead_root[a->dead_roots++] = page;
}

static inline void audit_dead_in(struct audit *a, struct vmmu_context *c)
{
	if (c->root.page && c->root.page->shadow && c->root.page->invalid)
		audit_dead_root(a, c->root.page);
	for (unsigned int i = 0; i < c->cached; i++)
		if (c->cache[i].page->shadow && c->cache[i].page->invalid)
			audit_dead_root(a, c->cache[i].page);
}

static inline void audit_shadow(struct audit *a)
{
	struct machine_vm *m = a->m;

	if (!machine_shadow_ready(m) || !m->vm.index)
		return;
	for (struct vmmu_list *node = m->vm.shadows.next; node != &m->vm.shadows; node = node->next)
		audit_shadow_page(a, CONTAINER_OF(node, struct vmmu_page, s.all));
	for (unsigned int i = 0; i < m->vcpus; i++) {
		audit_dead_in(a, &m->vcpu[i]->v.l1);
		audit_dead_in(a, &m->vcpu[i]->v.nested);
	}
	AUDIT(a, 0, 0, a->parents, a->parents == a->links);
	AUDIT(a, 0, 0, a->shadows, vmmu_counter_read(&m->vm, VMMU_C_SHADOWS_NOW) == (uint64_t)a->shadows);
	if (a->words)
		audit_words(a);
}

#endif
