/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The host contract of <vmmu/host.h>, bound to user space. What a service promises is said there. */
#ifndef VMMU_MACHINE_HOST_H
#define VMMU_MACHINE_HOST_H

#include "rcu.h"
#include "tables.h"
#include "vcpu.h"
#include "vm.h"

/* --- Memory of the core's own ------------------------------------------------------------- */

static inline void *vmmu_host_table_alloc(struct vmmu_vm *vm) { (void)vm; return machine_table_alloc(true); }
static inline void *vmmu_host_table_try_alloc(struct vmmu_vm *vm) { (void)vm; return machine_table_alloc(false); }
static inline void vmmu_host_table_free(struct vmmu_vm *vm, void *table) { (void)vm; machine_table_free(table); }
static inline vmmu_hpa_t vmmu_host_table_hpa(const void *table) { return machine_table_hpa(table); }
static inline void *vmmu_host_table_at(vmmu_hpa_t hpa) { return machine_table_at(hpa); }
static inline void vmmu_host_table_set_page(void *table, struct vmmu_page *page)
{
	machine_table_set_page(table, page);
}
static inline struct vmmu_page *vmmu_host_table_page(const void *table) { return machine_table_page(table); }
static inline struct vmmu_page *vmmu_host_page_alloc(void) { return machine_page_alloc(true); }
static inline struct vmmu_page *vmmu_host_page_try_alloc(void) { return machine_page_alloc(false); }
static inline void vmmu_host_page_free(struct vmmu_page *page) { machine_page_free(page); }

static inline void vmmu_host_table_account(struct vmmu_vm *vm, const void *table, int delta)
{
	(void)vm;
	machine_table_account(table, delta);
}

/* --- Locks, RCU, time to yield ------------------------------------------------------------ */

static inline void vmmu_host_spin_init(vmmu_spinlock_t *lock) { machine_spin_init(lock); }
static inline void vmmu_host_spin_unlock(vmmu_spinlock_t *lock) { machine_mutex_unlock(&lock->mutex); }

static inline bool vmmu_host_spin_lock(vmmu_spinlock_t *lock)
{
	VMMU_SCHEDULE_POINT();
	return machine_spin_lock(lock);
}

/* Who waits for the VM's lock is not counted here. */
static inline bool vmmu_host_lock_shared(struct vmmu_vm *vm)
{
	VMMU_SCHEDULE_POINT();
	machine_lock_shared(machine_of(vm));
	return false;
}

static inline void vmmu_host_unlock_shared(struct vmmu_vm *vm) { machine_unlock_shared(machine_of(vm)); }
static inline bool vmmu_host_lock_excl(struct vmmu_vm *vm) { machine_lock_excl(machine_of(vm)); return false; }
static inline void vmmu_host_unlock_excl(struct vmmu_vm *vm) { machine_unlock_excl(machine_of(vm)); }

/* See thread.h. */
static inline uint8_t *vmmu_host_locks_held(void) { return NULL; }

static inline void vmmu_host_assert_locked(struct vmmu_vm *vm)
{
	if (machine_lock_held(&machine_of(vm)->lock) == MACHINE_NOT_HELD)
		machine_bug("the VM's lock is not held");
}

static inline void vmmu_host_assert_locked_excl(struct vmmu_vm *vm)
{
	if (!machine_is_alone(machine_of(vm)))
		machine_bug("the VM's lock is not held exclusively");
}

static inline bool vmmu_host_should_yield(struct vmmu_vm *vm) { return machine_should_yield(machine_of(vm)); }

static inline void vmmu_host_yield_shared(struct vmmu_vm *vm) { machine_yield_shared(machine_of(vm)); }
static inline void vmmu_host_yield_excl(struct vmmu_vm *vm) { machine_yield_excl(machine_of(vm)); }

static inline void vmmu_host_rcu_read_lock(void) { machine_rcu_read_lock(); }
static inline void vmmu_host_rcu_read_unlock(void) { machine_rcu_read_unlock(); }
static inline void vmmu_host_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu))
{
	machine_rcu_call(rcu, fn);
}
static inline void vmmu_host_rcu_barrier(void) { machine_rcu_barrier(); }

/* --- TLBs --------------------------------------------------------------------------------- */

static inline void vmmu_host_flush_range(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end)
{
	machine_flush(machine_of(vm), start, end);
}

static inline void vmmu_host_kick_obsolete_roots(struct vmmu_vm *vm) { machine_kick_obsolete_roots(machine_of(vm)); }

/* --- Memslots ----------------------------------------------------------------------------- */

static inline struct vmmu_slot *vmmu_host_slot(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn)
{
	return machine_slot_at(machine_of(vm), space, gfn);
}

static inline struct vmmu_slot *vmmu_host_vcpu_slot(struct vmmu_vcpu *v, vmmu_gfn_t gfn)
{
	return machine_slot_at(machine_of(v->vm), machine_vcpu_of(v)->space, gfn);
}

static inline uint64_t vmmu_host_generation(struct vmmu_vcpu *v)
{
	return __atomic_load_n(&machine_of(v->vm)->generation[machine_vcpu_of(v)->space], __ATOMIC_ACQUIRE);
}

static inline vmmu_gfn_t vmmu_host_slot_start(const struct vmmu_slot *slot) { return slot->start; }
static inline vmmu_gfn_t vmmu_host_slot_end(const struct vmmu_slot *slot) { return slot->end; }
static inline int vmmu_host_slot_space(const struct vmmu_slot *slot) { return slot->space; }
static inline bool vmmu_host_slot_logs_dirty(const struct vmmu_slot *slot) { return slot->logs; }

static inline bool vmmu_host_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return machine_slot_huge_disallowed(slot, gfn, level);
}

static inline bool vmmu_host_write_tracked(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	(void)slot;
	return machine_is_tracked(machine_of(vm), gfn);
}

static inline void vmmu_host_mark_dirty(struct vmmu_vm *vm, struct vmmu_vcpu *v, struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	(void)v;
	machine_mark_dirty(machine_of(vm), slot, gfn);
}

static inline int vmmu_host_mapping_level(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn,
					  int max_level)
{
	int level = machine_ram_level(&machine_of(vm)->ram, machine_slot_page(slot, gfn));

	vmmu_host_assert_locked(vm);
	return level < max_level ? level : max_level;
}

/* --- Host frames -------------------------------------------------------------------------- */

static inline int vmmu_host_fault_in(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	/* Of what is mirrored the frame says nothing of the address, and may lie beyond what the tables reach. */
	return machine_fault_in(v, f);
}

static inline bool vmmu_host_invalidating_at(struct vmmu_vcpu *v, const struct vmmu_fault *f)
{
	return machine_is_invalidating_at(machine_of(v->vm), f);
}

static inline void vmmu_host_invalidation_wait(struct vmmu_vcpu *v)
{
	(void)v;
	machine_assert_may_sleep("invalidation_wait");
}

static inline bool vmmu_host_invalidating(struct vmmu_vm *vm)
{
	return __atomic_load_n(&machine_of(vm)->invalidating, __ATOMIC_SEQ_CST);
}

static inline void vmmu_host_fault_release(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	machine_fault_release(machine_of(v->vm), f);
}

static inline int vmmu_host_pfns_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool write,
					vmmu_pfn_t *pfns, int count)
{
	return machine_pfns_atomic(machine_of(vm), slot, gfn, write, pfns, count);
}

static inline void vmmu_host_pfn_release(vmmu_pfn_t pfn)
{
	(void)pfn;
	__atomic_fetch_sub(&machine_ram_now->taken, 1, __ATOMIC_RELAXED);
}

static inline void vmmu_host_pfn_accessed(vmmu_pfn_t pfn) { (void)pfn; }

static inline void vmmu_host_pfn_dirty(vmmu_pfn_t pfn)
{
	bool current;
	uint64_t page = machine_ram_page_of(machine_ram_now, pfn, &current);

	if (!current)
		machine_bug("frame %#llx is said to be dirty, which nothing may map", (unsigned long long)pfn);
	machine_ram_told(machine_ram_now, page);
}

static inline bool vmmu_host_pfn_is_mmio(vmmu_pfn_t pfn)
{
	return ram_flags(machine_ram_now, pfn & (RAM_PAGES - 1)) & RAM_DEVICE;
}

/* EPT: write-back, with "ignore PAT", or uncached. */
static inline uint64_t vmmu_host_memtype(struct vmmu_vcpu *v, vmmu_gfn_t gfn, bool is_mmio)
{
	(void)gfn;
	return machine_of(v->vm)->config.ept && !is_mmio ? 6u << 3 | 1u << 6 : 0;
}

/* --- Guest memory that holds guest tables -------------------------------------------------- */

static inline int vmmu_host_gpte_locate(struct vmmu_vcpu *v, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	return machine_gpte_locate(machine_of(v->vm), machine_vcpu_of(v)->space, gpa, at);
}

static inline int vmmu_host_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	if (machine_hook)
		machine_hook(MACHINE_AT_WORD);
	return machine_gpte_read(at, bytes, true, value);
}

static inline int vmmu_host_gpte_cmpxchg(struct vmmu_vcpu *v, const struct vmmu_gpte *at, unsigned int bytes,
					 uint64_t old, uint64_t new_value)
{
	int status;

	machine_guest_entry_changes(machine_vcpu_of(v), old, new_value);
	status = machine_gpte_cmpxchg(machine_of(v->vm), machine_vcpu_of(v)->space, at, bytes, old, new_value);
	if (!status)
		vmmu_guest_flags_set(v, at->gpa, bytes, old ^ new_value);
	return status;
}

static inline vmmu_gpa_t vmmu_host_translate_nested(struct vmmu_vcpu *v, vmmu_gpa_t gpa, uint64_t pf,
						    struct vmmu_guest_fault *why)
{
	return machine_translate_nested(machine_vcpu_of(v), gpa, pf, why);
}

static inline int vmmu_host_log_nested_write(struct vmmu_vcpu *v, vmmu_gpa_t gpa)
{
	return machine_log_nested_write(machine_vcpu_of(v), gpa);
}

/* --- Observation -------------------------------------------------------------------------- */

static inline void vmmu_host_leaf_count(struct vmmu_vm *vm, int level, int delta)
{
	__atomic_fetch_add(&machine_of(vm)->leaves[level], delta, __ATOMIC_RELAXED);
}

static inline void vmmu_host_trace_spte(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn, int level, uint64_t old_spte,
					uint64_t new_spte)
{
	(void)vm, (void)space, (void)gfn, (void)level, (void)old_spte, (void)new_spte;
}

static inline void vmmu_host_trace_split(struct vmmu_vm *vm, vmmu_gfn_t gfn, uint64_t spte, int level, int status)
{
	(void)vm, (void)gfn, (void)spte, (void)level, (void)status;
}

static inline void vmmu_host_trace_page(struct vmmu_vm *vm, const struct vmmu_page *page, enum vmmu_page_event event)
{
	(void)vm;
	machine_say_page(page, event);
}

static inline void vmmu_host_trace_walk(enum vmmu_walk_event event, uint64_t a, uint64_t b, uint64_t c)
{
	(void)event, (void)a, (void)b, (void)c;
}

static inline void vmmu_host_trace_fault(struct vmmu_vcpu *v, const struct vmmu_fault *f, enum vmmu_fault_event event,
					 uint64_t *sptep, uint64_t spte, int detail)
{
	(void)v, (void)sptep, (void)detail;
	if (event != VMMU_FAULT_EV_REQUESTED)
		MACHINE_SAY("  the core: entry %#llx for frame %#llx", (unsigned long long)spte,
			    (unsigned long long)f->gfn);
}

static inline void vmmu_host_bug(struct vmmu_vm *vm, const char *what)
{
	(void)vm;
	machine_bug("impossible: %s", what);
}

#endif
