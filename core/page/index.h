/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* (gfn, role) -> shadow page. Found without a lock, under RCU; no two valid pages have the same key. */
#ifndef VMMU_PAGE_INDEX_H
#define VMMU_PAGE_INDEX_H

#include <vmmu/vm.h>

#define VMMU_INDEX_BUCKETS_LG2	12
#define VMMU_INDEX_BUCKETS	(1u << VMMU_INDEX_BUCKETS_LG2)

/* Make the index of @vm if there is none. Context: may sleep. Return: VMMU_OK or VMMU_ENOMEM. */
VMMU_MUST_CHECK int vmmu_index_prepare(struct vmmu_vm *vm);
void vmmu_index_destroy(struct vmmu_vm *vm);

/* The valid page with this key, or NULL. Context: rcu. */
struct vmmu_page *vmmu_index_find(struct vmmu_vm *vm, vmmu_gfn_t gfn, union vmmu_role role);
/* Add the named @page. Return: @page, or the valid page that has its key already. Context: rcu. */
struct vmmu_page *vmmu_index_insert(struct vmmu_vm *vm, struct vmmu_page *page);
/* Take @page out, which is invalid already; a walker that stands on it still gets on. Context: any. */
void vmmu_index_remove(struct vmmu_vm *vm, struct vmmu_page *page);

/*
 * The pages that mirror @gfn, one after the other: also those on their way out, by whose entries a CPU may still get to
 * what the guest's table gave. Context: rcu.
 */
struct vmmu_page *vmmu_index_first(struct vmmu_vm *vm, vmmu_gfn_t gfn);
struct vmmu_page *vmmu_index_next(struct vmmu_page *page);

/*
 * The valid pages of bucket @n, below VMMU_INDEX_BUCKETS, direct ones too, one after the other.
 * Context: rcu; there is an index.
 */
struct vmmu_page *vmmu_index_bucket_first(struct vmmu_vm *vm, unsigned int n);
struct vmmu_page *vmmu_index_bucket_next(struct vmmu_page *page);

#endif
