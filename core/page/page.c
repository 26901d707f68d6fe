/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See page.h. */
#include "page/page.h"
#include <vmmu/host.h>
#include "base/assert.h"
#include "base/count.h"
#include "base/list.h"
#include "page/entry_set.h"

static struct vmmu_page *page_join(struct vmmu_vm *vm, struct vmmu_page *page, void *table)
{
	if (!page || !table) {
		if (page)
			vmmu_host_page_free(page);
		if (table)
			vmmu_host_table_free(vm, table);
		return NULL;
	}
	page->table = table;
	page->vm = vm;
	page->root_refs = 1;
	vmmu_host_spin_init(&page->s.lock);
	dlist_init(&page->s.all);
	dlist_init(&page->link);
	dlist_init(&page->nx_link);
	vmmu_host_table_set_page(table, page);
	return page;
}

struct vmmu_page *vmmu_page_alloc(struct vmmu_vm *vm)
{
	return page_join(vm, vmmu_host_page_alloc(), vmmu_host_table_alloc(vm));
}

struct vmmu_page *vmmu_page_alloc_low(struct vmmu_vm *vm)
{
	return page_join(vm, vmmu_host_page_alloc(), vmmu_host_table_alloc_low(vm));
}

struct vmmu_page *vmmu_page_try_alloc(struct vmmu_vm *vm)
{
	return page_join(vm, vmmu_host_page_try_alloc(), vmmu_host_table_try_alloc(vm));
}

void vmmu_page_free(struct vmmu_page *page)
{
	if (page->s.mirrored)
		vmmu_host_mirror_free(page->s.mirrored);
	vmmu_host_table_set_page(page->table, NULL);
	vmmu_host_table_free(page->vm, page->table);
	vmmu_host_page_free(page);
}

static void page_free_rcu(struct vmmu_rcu *rcu)
{
	vmmu_page_free(CONTAINER_OF(rcu, struct vmmu_page, rcu));
}

void vmmu_page_free_after_grace(struct vmmu_page *page)
{
	count_vm(page->vm, VMMU_C_TABLES_FREED, 1);
	vmmu_host_table_account(page->vm, page->table, -1);
	vmmu_host_rcu_call(&page->rcu, page_free_rcu);
}

void vmmu_page_put(struct vmmu_page *page)
{
	if (refs_put(&page->root_refs))
		vmmu_page_free_after_grace(page);
}

void vmmu_page_name(struct vmmu_page *page, vmmu_gfn_t gfn, union vmmu_role role, uint64_t *parent_entry)
{
	page->gfn = gfn;
	page->role = role;
	page->parent_entry = parent_entry;
}

void vmmu_page_linked(struct vmmu_page *page)
{
	count_vm(page->vm, VMMU_C_TABLES_MADE, 1);
	count_vm(page->vm, VMMU_C_TABLES_NOW, 1);
	vmmu_host_table_account(page->vm, page->table, 1);
	vmmu_host_trace_page(page->vm, page, VMMU_PAGE_MADE);
}

int vmmu_pool_fill(struct vmmu_vcpu *v)
{
	while (v->pool.count < VMMU_POOL_PAGES) {
		struct vmmu_page *page = vmmu_page_alloc(v->vm);

		if (!page)
			return VMMU_ENOMEM;
		v->pool.page[v->pool.count++] = page;
	}
	return VMMU_OK;
}

struct vmmu_page *vmmu_pool_take(struct vmmu_vcpu *v)
{
	CHECK(v->vm, v->pool.count > 0);
	return v->pool.page[--v->pool.count];
}

void vmmu_pool_give_back(struct vmmu_vcpu *v, struct vmmu_page *page)
{
	if (page->s.mirrored) {
		v->pool.mirror[v->pool.mirrors++] = page->s.mirrored;
		page->s.mirrored = NULL;
	}
	CHECK(v->vm, v->pool.count < VMMU_POOL_PAGES);
	v->pool.page[v->pool.count++] = page;
}

int vmmu_pool_fill_shadow(struct vmmu_vcpu *v)
{
	struct vmmu_pool *pool = &v->pool;

	for (; pool->mirrors < VMMU_POOL_PAGES; pool->mirrors++) {
		pool->mirror[pool->mirrors] = vmmu_host_mirror_alloc();
		if (!pool->mirror[pool->mirrors])
			return VMMU_ENOMEM;
	}
	for (; pool->nodes < VMMU_POOL_NODES; pool->nodes++) {
		pool->node[pool->nodes] = vmmu_host_node_alloc();
		if (!pool->node[pool->nodes])
			return VMMU_ENOMEM;
	}
	return vmmu_pool_fill(v);
}

int vmmu_stock_fill(struct vmmu_vm *vm, struct vmmu_stock *stock, unsigned int nodes)
{
	if (!stock->page)
		stock->page = vmmu_page_alloc(vm);
	for (; stock->count < nodes; stock->count++) {
		struct vmmu_entry_node *node = vmmu_host_node_alloc();

		if (!node)
			return VMMU_ENOMEM;
		node->next = stock->nodes;
		stock->nodes = node;
	}
	return stock->page ? VMMU_OK : VMMU_ENOMEM;
}

void vmmu_stock_free(struct vmmu_stock *stock)
{
	struct vmmu_entry_node *node;

	if (stock->page)
		vmmu_page_free(stock->page);
	while ((node = stock->nodes)) {
		stock->nodes = node->next;
		vmmu_host_node_free(node);
	}
	*stock = (struct vmmu_stock){ .page = NULL };
}

uint64_t *vmmu_pool_take_mirror(struct vmmu_vcpu *v)
{
	CHECK(v->vm, v->pool.mirrors > 0);
	return v->pool.mirror[--v->pool.mirrors];
}

bool vmmu_pool_is_low(const struct vmmu_vcpu *v)
{
	return !v->pool.count || !v->pool.mirrors || v->pool.nodes < 2;
}

void vmmu_pool_drain(struct vmmu_vcpu *v)
{
	while (v->pool.count)
		vmmu_page_free(vmmu_pool_take(v));
	while (v->pool.mirrors)
		vmmu_host_mirror_free(vmmu_pool_take_mirror(v));
	while (v->pool.nodes)
		vmmu_host_node_free(v->pool.node[--v->pool.nodes]);
}
