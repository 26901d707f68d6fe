/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The shadow engine's side of a fault: pages for the tables the walk went through, and the leaf.
 *
 * One page's lock is held at a time. Under it the guest's entry is read again: a write that is reported waits for the same
 * lock, so that one of the two sees the other; a write to an unsync table need not be seen before the guest's next flush.
 */
#include "engine/shadow.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "engine/nx.h"
#include "format/spte.h"
#include "page/index.h"
#include "page/page.h"

/* A lost race is looked at anew this often before the guest is let run into the fault again. */
#define MAP_TRIES 8

struct shadow_fault {
	struct vmmu_vcpu *v;
	struct vmmu_context *c;
	struct vmmu_fault *f;
	const struct vmmu_gwalk *w;
	unsigned int access;		/* rights of the leaf, CR0.WP's way out included */
	struct vmmu_flush debt;
};

static unsigned int index_of(const struct vmmu_page *page, vmmu_gva_t va)
{
	unsigned int i = (unsigned int)(va >> (VMMU_PAGE_SHIFT + vmmu_level_frames_lg2(page->role.level))) & (VMMU_TABLE_ENTRIES - 1);

	return i;
}

/* Which quarter or half of a 1024-entry guest table a page below @page at @va mirrors. */
static unsigned int child_quadrant(const struct vmmu_page *page, vmmu_gva_t va)
{
	if (page->role.format != VMMU_FORMAT_PT32 && page->role.format != VMMU_FORMAT_NPT32)
		return 0;
	return page->role.level == 3 ? (va >> 30) & 3 : (va >> 21) & 1;
}

/* Is the guest's entry the walk used at @page's level still the same, but for A and D? */
static bool entry_is_current(const struct shadow_fault *s, const struct vmmu_page *page)
{
	int level = page->role.level;

	if (!shadow_mirrors(page) || level > s->w->root_level)
		return true;
	return !vmmu_gwalk_step_changed(&s->c->mode, s->w, level);
}

/* Key of the table below @page on the way to the fault. */
static vmmu_gfn_t child_key(const struct shadow_fault *s, const struct vmmu_page *page, union vmmu_role *role)
{
	int level = page->role.level;

	if (level > s->w->level && shadow_mirrors(page)) {
		*role = vmmu_role_child(page->role, s->w->step[level].access, child_quadrant(page, s->f->addr));
		return s->w->step[level - 1].table_gfn;
	}
	/* While D of the guest's large page is clear no leaf may have W, also none that another such page has brought here. */
	*role = vmmu_role_child_direct(page->role, s->w->clean ? s->access & ~VMMU_ACC_W : s->access);
	return vmmu_gfn_round(s->f->gfn, level);
}

/*
 * The entries of a context's own table were made with it. PDPTEs of L1's that lie in memory may be others by now than they
 * were then, which the walk has seen: the root goes, and whoever runs on it makes it anew.
 */
static struct vmmu_page *own_child(struct shadow_fault *s, struct vmmu_page *page, unsigned int i)
{
	struct vmmu_page *child = entry_child(page, pte_load(&page->table[i]));

	if (page->role.level != VMMU_LEVEL_1G || s->c->mode.format != VMMU_FORMAT_NPT_PAE ||
	    (child && child->gfn == s->w->step[VMMU_LEVEL_2M].table_gfn))
		return child;
	vmmu_shadow_zap(page, &s->debt);
	vmmu_flush_pay(&s->debt);
	return NULL;
}

/* The page below @page with this key, linked; NULL after a lost race. */
static struct vmmu_page *go_down(struct shadow_fault *s, struct vmmu_page *page)
{
	unsigned int i = index_of(page, s->f->addr);
	struct vmmu_page *child;
	union vmmu_role role;
	uint64_t flushes;
	vmmu_gfn_t gfn;
	bool linked = false;

	if (page->s.own)
		return own_child(s, page, i);
	gfn = child_key(s, page, &role);
	shadow_is_in_use(page);
	page_lock(page);
	if (flag_load(&page->invalid) || !entry_is_current(s, page)) {
		page_unlock(page);
		return NULL;
	}
	child = entry_child(page, pte_load(&page->table[i]));
	if (child && child->gfn == gfn && vmmu_role_equal(child->role, role)) {
		page_unlock(page);
		return child;
	}
	if (pte_load(&page->table[i]))
		vmmu_shadow_drop(page, i, &s->debt);
	page_unlock(page);
	vmmu_flush_pay(&s->debt);

	child = vmmu_shadow_get(s->v, gfn, role);
	/* A new way to a page must not show translations that other ways may show until the next flush. */
	flushes = shadow_flushes(s->v->vm);
	vmmu_shadow_sync_page(s->v->vm, &s->c->mode, child);

	page_lock(page);
	if (!flag_load(&page->invalid) && entry_is_current(s, page) && !pte_load(&page->table[i]))
		linked = vmmu_shadow_link(s->v, page, i, child, flushes);
	page_unlock(page);
	if (linked && s->f->huge_disallowed && vmmu_role_is_direct(role) && s->f->req_level >= page->role.level)
		vmmu_nx_split_remember(child);
	return linked ? child : NULL;
}

static enum vmmu_fault_result set_mmio(struct shadow_fault *s, struct vmmu_page *page, unsigned int i)
{
	struct vmmu_vm *vm = s->v->vm;
	uint64_t spte = vmmu_spte_make_mmio(vm->fmt, s->f->gfn, s->f->access, s->f->generation);
	uint64_t old = pte_load(&page->table[i]);

	if (old != spte) {
		if (old)
			vmmu_shadow_drop(page, i, &s->debt);
		pte_swap(&page->table[i], spte);
		vmmu_host_trace_fault(s->v, s->f, VMMU_FAULT_EV_MMIO_SET, &page->table[i], spte, page->role.level);
		s->f->mmio_made = true;
		count_vcpu(s->v, VMMU_C_MMIO_SET);
	}
	return VMMU_FAULT_EMULATE;
}

static enum vmmu_fault_result set_leaf(struct shadow_fault *s, struct vmmu_page *page, unsigned int i)
{
	struct vmmu_fault *f = s->f;
	uint64_t inside = vmmu_level_frames(page->role.level) - 1;
	bool large = page->role.level > VMMU_LEVEL_4K;
	struct vmmu_shadow_leaf leaf = {
		.slot = f->slot,
		.gfn = f->gfn & ~inside,
		.pfn = f->pfn & ~inside,
		.gpte = page->s.mirrored ? s->w->step[s->w->level].entry : 0,
		.access = s->access,
		.host_writable = f->writable,
		.write = vmmu_fault_is_write(f),
		.may_write = !s->w->clean,
		.prefetch = f->prefetch && !f->ahead,
	};

	/* Small pages made for code stay: fetches and other accesses would replace each other's entries for ever. */
	if (large && spte_is_table(pte_load(&page->table[i]), page->role.level) && flag_load(&s->v->vm->nx_huge_pages)) {
		f->goal_level = page->role.level - 1;
		return VMMU_FAULT_RETRY;
	}
	switch (vmmu_shadow_set_leaf(s->v, page, i, &leaf, &s->debt)) {
	case VMMU_LEAF_TOO_LARGE:
		f->goal_level = page->role.level - 1;
		return VMMU_FAULT_RETRY;
	case VMMU_LEAF_READ_ONLY:
		return VMMU_FAULT_EMULATE;
	case VMMU_LEAF_SAME:
		return VMMU_FAULT_SPURIOUS;
	default:
		vmmu_host_trace_fault(s->v, f, VMMU_FAULT_EV_INSTALLED, &page->table[i], pte_load(&page->table[i]),
				      page->role.level);
		return VMMU_FAULT_FIXED;
	}
}

static enum vmmu_fault_result install(struct shadow_fault *s, struct vmmu_page *page)
{
	unsigned int i = index_of(page, s->f->addr);
	enum vmmu_fault_result result = VMMU_FAULT_RETRY;

	page_lock(page);
	if (!flag_load(&page->invalid) && entry_is_current(s, page))
		result = s->f->slot ? set_leaf(s, page, i) : set_mmio(s, page, i);
	if (result == VMMU_FAULT_FIXED && (!s->f->prefetch || s->f->ahead))
		vmmu_shadow_prefetch(s->v, &s->c->mode, page, i, &s->debt);
	page_unlock(page);
	shadow_is_in_use(page);
	vmmu_flush_pay(&s->debt);
	return result;
}

static enum vmmu_fault_result map_once(struct shadow_fault *s)
{
	struct vmmu_page *page = s->c->root.page;

	while (page && page->role.level > s->f->goal_level) {
		if (vmmu_pool_is_low(s->v))
			return VMMU_FAULT_RETRY;
		page = go_down(s, page);
	}
	return page ? install(s, page) : VMMU_FAULT_RETRY;
}

/*
 * With CR0.WP clear a supervisor may write what its entry makes read-only. The leaf is writable then and not the user's,
 * whose accesses fault and get the real rights; under SMEP it must not be executable either, being no user page any more.
 */
static unsigned int real_access(const struct vmmu_context *c, const struct vmmu_fault *f, const struct vmmu_gwalk *w)
{
	unsigned int access = w->access;

	if (!vmmu_fault_is_write(f) || (access & VMMU_ACC_W) || (f->error_code & VMMU_PF_U) || c->mode.wp || !f->slot ||
	    c->mode.format == VMMU_FORMAT_NONE || vmmu_format_is_nested_tdp((enum vmmu_format)c->mode.format))
		return access;
	access = (access | VMMU_ACC_W) & ~VMMU_ACC_U;
	return c->mode.smep ? access & ~VMMU_ACC_X : access;
}

enum vmmu_fault_result vmmu_shadow_map(struct vmmu_vcpu *v, struct vmmu_context *c, struct vmmu_fault *f,
				       const struct vmmu_gwalk *w)
{
	struct shadow_fault s = {
		.v = v, .c = c, .f = f, .w = w, .access = real_access(c, f, w), .debt = flush_none(v->vm),
	};
	enum vmmu_fault_result result = VMMU_FAULT_RETRY;

	/* Under SMAP what becomes a supervisor's page for this write would be open to accesses that have not set EFLAGS.AC. */
	if (s.access != w->access && c->mode.smap && (w->access & VMMU_ACC_U))
		return VMMU_FAULT_EMULATE;
	vmmu_host_trace_fault(v, f, VMMU_FAULT_EV_REQUESTED, NULL, 0, 0);
	vmmu_host_rcu_read_lock();
	for (int tries = MAP_TRIES; tries && result == VMMU_FAULT_RETRY; tries--) {
		if (flag_load(&c->root.page->invalid))
			break;
		result = map_once(&s);
	}
	vmmu_host_rcu_read_unlock();
	return result;
}
