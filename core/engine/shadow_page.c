/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Life of shadow pages.
 *
 * Made: put into the index, then tracked and flushed, then usable: an entry made from here on comes from a guest entry
 * that no untracked write can change.
 * Zapped: marked invalid under its parents' lock, so that no link is added; the links are cleared; its entries are dropped; it
 * leaves the index, in which writes to the table found it until now, for as long as a CPU could use it; it is freed, after the
 * flush and a grace period, with the last reference of a context.
 */
#include "engine/shadow.h"
#include "base/count.h"
#include "base/list.h"
#include "base/lock.h"
#include "engine/change.h"
#include "engine/nx.h"
#include "format/spte.h"
#include "page/index.h"
#include "page/page.h"

static void list_page(struct vmmu_vm *vm, struct vmmu_page *page)
{
	lists_lock(vm);
	/* Zapped already, by somebody who found it in the index: what is not listed is not unlisted again. */
	if (!flag_load(&page->invalid))
		dlist_add_tail(&vm->shadows, &page->s.all);
	lists_unlock(vm);
}

/* Nobody knows @page yet but by the index: what it mirrors is protected before its lock is given up for the first time. */
static void protect(struct vmmu_page *page)
{
	struct vmmu_flush debt = flush_none(page->vm);

	vmmu_shadow_count_huge(page, 1);
	vmmu_shadow_track(page, &debt);
	/* That no writable leaf was found does not say that no CPU has one: another's flush may be due. */
	flush_add(&debt, page->gfn, VMMU_LEVEL_4K);
	vmmu_flush_pay(&debt);
}

/* Make @page known as (@gfn, @role). Return: @page, or the one that is known so already, and @page is the caller's still. */
static struct vmmu_page *make_known(struct vmmu_vm *vm, struct vmmu_page *page, vmmu_gfn_t gfn, union vmmu_role role)
{
	struct vmmu_page *there;

	vmmu_page_name(page, gfn, role, NULL);
	page->shadow = true;
	/* Whoever finds it may zap it at once, and counts it out then. */
	count_vm(vm, VMMU_C_SHADOWS_NOW, 1);
	page_lock(page);
	there = vmmu_index_insert(vm, page);
	if (there != page) {
		page_unlock(page);
		count_vm(vm, VMMU_C_SHADOWS_NOW, -1ull);
		page->shadow = false;
		return there;
	}
	if (shadow_mirrors(page))
		protect(page);
	/* Whoever finds it may zap it, but frees it only once its lock was free. */
	vmmu_page_linked(page);
	page_unlock(page);
	list_page(vm, page);
	return page;
}

static struct vmmu_page *shadow_make(struct vmmu_vcpu *v, vmmu_gfn_t gfn, union vmmu_role role)
{
	struct vmmu_page *page = vmmu_pool_take(v), *there;

	if (!vmmu_role_is_direct(role))
		page->s.mirrored = vmmu_pool_take_mirror(v);
	there = make_known(v->vm, page, gfn, role);
	if (there != page)
		vmmu_pool_give_back(v, page);
	return there;
}

struct vmmu_page *vmmu_shadow_get_direct(struct vmmu_vm *vm, vmmu_gfn_t gfn, union vmmu_role role, struct vmmu_page **spare)
{
	struct vmmu_page *page = vmmu_index_find(vm, gfn, role);

	if (page || !*spare)
		return page;
	page = make_known(vm, *spare, gfn, role);
	if (page == *spare)
		*spare = NULL;
	return page;
}

struct vmmu_page *vmmu_shadow_get(struct vmmu_vcpu *v, vmmu_gfn_t gfn, union vmmu_role role)
{
	struct vmmu_page *page = vmmu_index_find(v->vm, gfn, role);

	if (!page)
		return shadow_make(v, gfn, role);
	if (!flag_load(&page->s.used))
		flag_store(&page->s.used, true);
	shadow_is_in_use(page);
	vmmu_host_trace_page(v->vm, page, VMMU_PAGE_FOUND);
	return page;
}

/* Clear the links to @page, which is invalid. A context's own table goes with it: nothing fills its entry again. */
static void unlink_parents(struct vmmu_page *page, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = page->vm;
	uint64_t *entry;

	for (;;) {
		struct vmmu_page *parent;
		uint64_t old;

		parents_lock(page);
		entry = vmmu_entry_set_pop(&page->s.parents);
		parents_unlock(page);
		if (!entry)
			return;
		old = pte_load(entry);
		while (old && !spte_is_frozen(old) && spte_address(vm->fmt, old) == vmmu_host_table_hpa(page->table))
			if (pte_try_cas(entry, &old, 0))
				break;
		parent = entry_page(entry);
		flush_add(debt, parent->gfn, parent->role.level);
		if (parent->s.own)
			vmmu_shadow_zap(parent, debt);
	}
}

static void drop_entries(struct vmmu_page *page, struct vmmu_flush *debt)
{
	page_lock(page);
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		if (pte_load(&page->table[i]))
			vmmu_shadow_drop(page, i, debt);
	if (page->s.tracked)
		vmmu_shadow_untrack(page);
	page_unlock(page);
}

bool vmmu_shadow_zap(struct vmmu_page *page, struct vmmu_flush *debt)
{
	struct vmmu_vm *vm = page->vm;
	bool first;

	parents_lock(page);
	first = !flag_load(&page->invalid);
	flag_store(&page->invalid, true);
	parents_unlock(page);
	if (!first)
		return false;
	lists_lock(vm);
	dlist_del(&page->s.all);
	lists_unlock(vm);
	if (page->s.own)
		vmmu_own_forget(page);
	vmmu_nx_split_forget(page);
	unlink_parents(page, debt);
	drop_entries(page, debt);
	if (!page->s.own)
		vmmu_index_remove(vm, page);
	if (shadow_mirrors(page))
		vmmu_shadow_count_huge(page, -1);
	count_vm(vm, VMMU_C_SHADOWS_NOW, -1ull);
	count_vm(vm, VMMU_C_TABLES_NOW, -1ull);
	vmmu_host_trace_page(vm, page, VMMU_PAGE_ZAPPED);
	/* Contexts that have it as a root must let go before the guest runs on it again. */
	if (__atomic_load_n(&page->root_refs, __ATOMIC_ACQUIRE) > 1)
		vmmu_host_kick_obsolete_roots(vm);
	flush_add(debt, page->gfn, page->role.level);
	flush_add_dead(debt, page);
	return true;
}

/* Does a context need @page to run at all? */
static bool is_pinned(const struct vmmu_page *page)
{
	return __atomic_load_n(&page->root_refs, __ATOMIC_RELAXED) > 1 || page->s.own ||
	       __atomic_load_n(&page->s.own_parents, __ATOMIC_RELAXED);
}

/* The coldest of the next @looks pages that may go; pages found since the hand last passed get another round. Context: rcu. */
static struct vmmu_page *coldest_of_next(struct vmmu_vm *vm, uint64_t looks)
{
	struct vmmu_page *page = NULL;
	struct vmmu_list *node, *next;

	lists_lock(vm);
	for (node = vm->shadows.next; node != &vm->shadows && looks; node = next, looks--) {
		page = CONTAINER_OF(node, struct vmmu_page, s.all);
		next = node->next;
		/* One that another thread is zapping is as good as gone, and zapping it again would not bring it off the list. */
		if (!flag_load(&page->invalid) && !is_pinned(page) && !flag_load(&page->s.used))
			break;
		flag_store(&page->s.used, false);
		dlist_del(node);
		dlist_add_tail(&vm->shadows, node);
		page = NULL;
	}
	lists_unlock(vm);
	return page;
}

/* The coldest page of all, whatever it takes to find it; NULL if none may go. Context: rcu. */
static struct vmmu_page *coldest(struct vmmu_vm *vm)
{
	/* The hand goes round twice at most: the first time it takes the marks away. */
	uint64_t left = 2 * counter_read(&vm->count[VMMU_C_SHADOWS_NOW]);
	struct vmmu_page *page = NULL;

	while (!page && left) {
		uint64_t looks = left < VMMU_TABLE_ENTRIES ? left : VMMU_TABLE_ENTRIES;

		page = coldest_of_next(vm, looks);
		left -= looks;
	}
	return page;
}

/* Return: was there a page that may go? *@gone counts it, unless another thread was at it first. Context: rcu. */
static bool evict_coldest(struct vmmu_vm *vm, struct vmmu_flush *debt, uint64_t *gone)
{
	struct vmmu_page *page = coldest(vm);

	if (!page)
		return false;
	if (vmmu_shadow_zap(page, debt)) {
		vmmu_host_trace_page(vm, page, VMMU_PAGE_EVICTED);
		++*gone;
	}
	return true;
}

static bool evict_one(struct vmmu_vm *vm, struct vmmu_flush *debt, uint64_t *gone)
{
	unsigned int parked;
	bool found;

	vmmu_host_rcu_read_lock();
	parked = vmmu_own_drop_parked(vm, debt);
	*gone += parked;
	found = parked || evict_coldest(vm, debt, gone);
	vmmu_host_rcu_read_unlock();
	return found;
}

uint64_t vmmu_shadow_evict(struct vmmu_vm *vm, uint64_t most)
{
	struct vmmu_flush debt = flush_none(vm);
	uint64_t now = counter_read(&vm->count[VMMU_C_SHADOWS_NOW]), gone = 0, paid = 0;
	/* Who makes pages meanwhile makes room for them: to wait for it could last for ever. */
	uint64_t excess = now > most ? now - most : 0;

	while (gone < excess && counter_read(&vm->count[VMMU_C_SHADOWS_NOW]) > most && evict_one(vm, &debt, &gone)) {
		bool yields = vmmu_host_should_yield(vm);

		/* What is evicted is free only once the flush is paid. */
		if (gone - paid >= VMMU_TABLE_ENTRIES || yields) {
			vmmu_flush_pay(&debt);
			paid = gone;
		}
		if (yields)
			vmmu_host_yield_shared(vm);
	}
	vmmu_flush_pay(&debt);
	count_vm(vm, VMMU_C_SHADOWS_EVICTED, gone);
	return gone;
}

void vmmu_shadow_condemn_all(struct vmmu_vm *vm)
{
	lists_lock(vm);
	dlist_move_all(&vm->condemned, &vm->shadows);
	lists_unlock(vm);
}

struct vmmu_page *vmmu_shadow_condemned(struct vmmu_vm *vm)
{
	struct vmmu_page *page = NULL;

	lists_lock(vm);
	if (!dlist_is_empty(&vm->condemned))
		page = CONTAINER_OF(vm->condemned.next, struct vmmu_page, s.all);
	lists_unlock(vm);
	return page;
}
