/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Table pages: made, kept ready for faults, freed. Knows nothing of what their entries mean. */
#ifndef VMMU_PAGE_PAGE_H
#define VMMU_PAGE_PAGE_H

#include <vmmu/vm.h>

/* A page with a zeroed table, or NULL. Context: may sleep. */
struct vmmu_page *vmmu_page_alloc(struct vmmu_vm *vm);
/* The same with its table below 4 GiB. Context: may sleep. */
struct vmmu_page *vmmu_page_alloc_low(struct vmmu_vm *vm);
/* The same without waiting for memory. Context: atomic. */
struct vmmu_page *vmmu_page_try_alloc(struct vmmu_vm *vm);
/* For a page that was never linked. Context: atomic. */
void vmmu_page_free(struct vmmu_page *page);
/* For a page that no CPU and no entry reaches any more, while walkers may still read it. Context: atomic. */
void vmmu_page_free_after_grace(struct vmmu_page *page);

/* What work without a vCPU uses up: made where memory can be waited for. */
struct vmmu_stock {
	struct vmmu_page *page;			/* NULL: none */
	struct vmmu_entry_node *nodes;		/* chained by next */
	unsigned int count;			/* of nodes */
};

/*
 * Have a page, and @nodes nodes at least. Context: may sleep. Return: VMMU_OK, or VMMU_ENOMEM with what could be had.
 */
VMMU_MUST_CHECK int vmmu_stock_fill(struct vmmu_vm *vm, struct vmmu_stock *stock, unsigned int nodes);
/* Context: atomic. */
void vmmu_stock_free(struct vmmu_stock *stock);

/* Give @page its identity: before it is linked. */
void vmmu_page_name(struct vmmu_page *page, vmmu_gfn_t gfn, union vmmu_role role, uint64_t *parent_entry);

/* Account for @page, which has just been linked. Context: rcu. */
void vmmu_page_linked(struct vmmu_page *page);

/* Fill @v's pool, so that a fault never allocates under a lock. Context: may sleep. Return: VMMU_OK or VMMU_ENOMEM. */
VMMU_MUST_CHECK int vmmu_pool_fill(struct vmmu_vcpu *v);
/* A page from the filled pool. Never fails: a fault takes at most one for each level. */
struct vmmu_page *vmmu_pool_take(struct vmmu_vcpu *v);
void vmmu_pool_give_back(struct vmmu_vcpu *v, struct vmmu_page *page);
void vmmu_pool_drain(struct vmmu_vcpu *v);
/* The same with what shadow pages need beside tables. */
VMMU_MUST_CHECK int vmmu_pool_fill_shadow(struct vmmu_vcpu *v);
uint64_t *vmmu_pool_take_mirror(struct vmmu_vcpu *v);
/* Would one more shadow page and its link find the pool empty? */
bool vmmu_pool_is_low(const struct vmmu_vcpu *v);
/* A reference goes; with the last one @page, which nothing links any more, is freed after a grace period. */
void vmmu_page_put(struct vmmu_page *page);

#endif
