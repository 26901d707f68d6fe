/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of the host contract that only shadow pages need. Guests of this machine have direct tables for now: it
 * refuses to prepare for others, and nothing past that refusal is ever called.
 */
#ifndef VMMU_MACHINE_SHADOW_H
#define VMMU_MACHINE_SHADOW_H

#include "tables.h"
#include "vm.h"

static inline int vmmu_host_prepare_shadow(struct vmmu_vm *vm)
{
	(void)vm;
	return VMMU_EOPNOTSUPP;
}

static inline void *vmmu_host_table_alloc_low(struct vmmu_vm *vm)
{
	(void)vm;
	return machine_table_alloc(true);
}

static inline uint64_t *vmmu_host_mirror_alloc(void) { return machine_plain_alloc(VMMU_PAGE_SIZE); }
static inline void vmmu_host_mirror_free(uint64_t *mirror) { machine_plain_free(mirror); }
static inline struct vmmu_entry_node *vmmu_host_node_alloc(void) { return machine_plain_alloc(128); }
static inline void vmmu_host_node_free(struct vmmu_entry_node *node) { machine_plain_free(node); }
static inline void *vmmu_host_array_alloc(size_t bytes) { return machine_plain_alloc(bytes); }
static inline void vmmu_host_array_free(void *array) { machine_plain_free(array); }

static inline void vmmu_host_bit_lock(uintptr_t *word, int bit)
{
	while (__atomic_fetch_or(word, (uintptr_t)1 << bit, __ATOMIC_ACQUIRE) >> bit & 1)
		;
}

static inline void vmmu_host_bit_unlock(uintptr_t *word, int bit)
{
	__atomic_fetch_and(word, ~((uintptr_t)1 << bit), __ATOMIC_RELEASE);
}

static inline vmmu_entry_set *vmmu_host_slot_rmap(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	(void)slot, (void)gfn, (void)level;
	machine_bug("slots have no reverse maps");
	return NULL;
}

static inline uint16_t *vmmu_host_slot_track(struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	(void)slot, (void)gfn;
	machine_bug("slots have no track words");
	return NULL;
}

static inline int *vmmu_host_slot_disallow(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	(void)slot, (void)gfn, (void)level;
	machine_bug("slots have no counts of large pages");
	return NULL;
}

static inline int vmmu_host_gpte_locate_in(struct vmmu_vm *vm, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	(void)vm, (void)space, (void)gpa, (void)at;
	return VMMU_EFAULT;
}

static inline int vmmu_host_gpte_read_atomic(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	*value = bytes == 8 ? __atomic_load_n((uint64_t *)at->host, __ATOMIC_ACQUIRE) :
			      __atomic_load_n((uint32_t *)at->host, __ATOMIC_ACQUIRE);
	return VMMU_OK;
}

static inline void vmmu_host_nx_split_count(struct vmmu_vm *vm, int delta)
{
	(void)vm, (void)delta;
}

static inline bool vmmu_host_flags_ac(struct vmmu_vcpu *v)
{
	(void)v;
	return false;
}

#endif
