/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See index.h. */
#include "page/index.h"
#include <vmmu/host.h>
#include "base/atomic.h"
#include "base/lock.h"

/* A chain's head; bit 0 is its lock. */
struct vmmu_index {
	uintptr_t bucket[VMMU_INDEX_BUCKETS];
};

static uintptr_t *bucket_of(struct vmmu_index *index, vmmu_gfn_t gfn)
{
	/* Fibonacci hashing: neighbouring frames spread over the buckets. */
	return &index->bucket[(gfn * 0x9e3779b97f4a7c15ull) >> (64 - VMMU_INDEX_BUCKETS_LG2)];
}

static struct vmmu_page *bucket_head(const uintptr_t *bucket)
{
	return (struct vmmu_page *)(__atomic_load_n(bucket, __ATOMIC_ACQUIRE) & ~(uintptr_t)1);
}

static struct vmmu_page *chain_next(const struct vmmu_page *page)
{
	return __atomic_load_n(&page->s.hash_next, __ATOMIC_ACQUIRE);
}

int vmmu_index_prepare(struct vmmu_vm *vm)
{
	struct vmmu_index *index = __atomic_load_n(&vm->index, __ATOMIC_ACQUIRE), *fresh;

	if (index)
		return VMMU_OK;
	fresh = vmmu_host_array_alloc(sizeof(*fresh));
	if (!fresh)
		return VMMU_ENOMEM;
	if (!__atomic_compare_exchange_n(&vm->index, &index, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		vmmu_host_array_free(fresh);
	return VMMU_OK;
}

void vmmu_index_destroy(struct vmmu_vm *vm)
{
	if (vm->index)
		vmmu_host_array_free(vm->index);
	vm->index = NULL;
}

/*
 * The first page from @page on that mirrors @gfn; direct pages are found by their first frame, too, but mirror nothing.
 */
static struct vmmu_page *chain_mirror(struct vmmu_page *page, vmmu_gfn_t gfn)
{
	while (page && (page->gfn != gfn || vmmu_role_is_direct(page->role)))
		page = chain_next(page);
	return page;
}

struct vmmu_page *vmmu_index_first(struct vmmu_vm *vm, vmmu_gfn_t gfn)
{
	struct vmmu_index *index = __atomic_load_n(&vm->index, __ATOMIC_ACQUIRE);

	return index ? chain_mirror(bucket_head(bucket_of(index, gfn)), gfn) : NULL;
}

struct vmmu_page *vmmu_index_next(struct vmmu_page *page)
{
	return chain_mirror(chain_next(page), page->gfn);
}

static struct vmmu_page *chain_find(struct vmmu_page *page, vmmu_gfn_t gfn, union vmmu_role role)
{
	while (page && (page->gfn != gfn || !vmmu_role_equal(page->role, role) || flag_load(&page->invalid)))
		page = chain_next(page);
	return page;
}

struct vmmu_page *vmmu_index_find(struct vmmu_vm *vm, vmmu_gfn_t gfn, union vmmu_role role)
{
	return chain_find(bucket_head(bucket_of(vm->index, gfn)), gfn, role);
}

struct vmmu_page *vmmu_index_insert(struct vmmu_vm *vm, struct vmmu_page *page)
{
	uintptr_t *bucket = bucket_of(vm->index, page->gfn);
	struct vmmu_page *there;

	bucket_lock(vm, bucket);
	there = chain_find(bucket_head(bucket), page->gfn, page->role);
	if (!there) {
		page->s.hash_next = bucket_head(bucket);
		__atomic_store_n(bucket, (uintptr_t)page | 1, __ATOMIC_RELEASE);
	}
	bucket_unlock(bucket);
	return there ? there : page;
}

void vmmu_index_remove(struct vmmu_vm *vm, struct vmmu_page *page)
{
	uintptr_t *bucket = bucket_of(vm->index, page->gfn);
	struct vmmu_page *at;

	bucket_lock(vm, bucket);
	at = bucket_head(bucket);
	if (at == page) {
		__atomic_store_n(bucket, (uintptr_t)chain_next(page) | 1, __ATOMIC_RELEASE);
	} else {
		while (at && chain_next(at) != page)
			at = chain_next(at);
		if (at)
			__atomic_store_n(&at->s.hash_next, chain_next(page), __ATOMIC_RELEASE);
	}
	bucket_unlock(bucket);
}

static struct vmmu_page *any_valid(struct vmmu_page *page)
{
	while (page && flag_load(&page->invalid))
		page = chain_next(page);
	return page;
}

struct vmmu_page *vmmu_index_bucket_first(struct vmmu_vm *vm, unsigned int n)
{
	return any_valid(bucket_head(&vm->index->bucket[n]));
}

struct vmmu_page *vmmu_index_bucket_next(struct vmmu_page *page)
{
	return any_valid(chain_next(page));
}
