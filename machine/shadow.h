/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The part of the host contract that only shadow pages need. */
#ifndef VMMU_MACHINE_SHADOW_H
#define VMMU_MACHINE_SHADOW_H

#include "tables.h"
#include "vm.h"

static inline int vmmu_host_prepare_shadow(struct vmmu_vm *vm) { return machine_prepare_shadow(machine_of(vm)); }

static inline void *vmmu_host_table_alloc_low(struct vmmu_vm *vm)
{
	(void)vm;
	return machine_table_alloc_low();
}

static inline uint64_t *vmmu_host_mirror_alloc(void) { return machine_plain_alloc(VMMU_PAGE_SIZE); }
static inline void vmmu_host_mirror_free(uint64_t *mirror) { machine_plain_free(mirror); }
static inline struct vmmu_entry_node *vmmu_host_node_alloc(void) { return machine_plain_alloc(128); }
static inline void vmmu_host_node_free(struct vmmu_entry_node *node) { machine_plain_free(node); }
static inline void *vmmu_host_array_alloc(size_t bytes) { return machine_plain_alloc(bytes); }
static inline void vmmu_host_array_free(void *array) { machine_plain_free(array); }

static inline bool vmmu_host_bit_lock(uintptr_t *word, int bit)
{
	VMMU_SCHEDULE_POINT();
	return machine_bit_lock(word, bit);
}

static inline void vmmu_host_bit_unlock(uintptr_t *word, int bit) { machine_bit_unlock(word, bit); }

/* A slot's words are looked at for its own frames. */
static inline void machine_check_words(const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	if (gfn < slot->start || gfn >= slot->end)
		machine_bug("the words of gfn %#llx are looked for in a slot that has none", (unsigned long long)gfn);
}

static inline vmmu_entry_set *vmmu_host_slot_rmap(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	vmmu_entry_set *words = __atomic_load_n(&slot->rmap[level - 1], __ATOMIC_RELAXED);

	machine_check_words(slot, gfn);
	return words ? &words[machine_slot_block(slot, gfn, level)] : NULL;
}

static inline uint16_t *vmmu_host_slot_track(struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	machine_check_words(slot, gfn);
	return &slot->records->track[gfn - slot->start];
}

static inline int *vmmu_host_slot_disallow(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	machine_check_words(slot, gfn);
	return &slot->records->huge_disallowed[level - 2][machine_slot_block(slot, gfn, level)];
}

static inline int vmmu_host_gpte_locate_in(struct vmmu_vm *vm, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	return machine_gpte_locate(machine_of(vm), space, gpa, at);
}

static inline int vmmu_host_gpte_read_atomic(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	VMMU_SCHEDULE_POINT();
	return machine_gpte_read(at, bytes, false, value);
}

static inline int vmmu_host_gpte_read_run(const struct vmmu_gpte *at, unsigned int bytes, unsigned int count,
					  uint64_t *values)
{
	struct vmmu_gpte one = *at;

	for (unsigned int i = 0; i < count; i++) {
		if (vmmu_host_gpte_read_atomic(&one, bytes, &values[i]))
			return VMMU_EFAULT;
		one.host = (char *)one.host + bytes;
		one.gpa += bytes;
	}
	return VMMU_OK;
}

static inline void vmmu_host_nx_split_count(struct vmmu_vm *vm, int delta)
{
	__atomic_fetch_add(&machine_of(vm)->nx_splits, delta, __ATOMIC_RELAXED);
}

/* EFLAGS.AC. */
static inline bool vmmu_host_flags_ac(struct vmmu_vcpu *v) { return machine_vcpu_of(v)->ac; }

#endif
