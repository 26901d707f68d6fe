/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The host contract of <vmmu/host.h>, bound to the benchmark's machine. What a service promises is said there. */
#ifndef VMMU_BENCH_HOST_H
#define VMMU_BENCH_HOST_H

#include <stdlib.h>
#include <string.h>
#include <vmmu/fault.h>
#include "../machine.h"

/* --- Memory of the core's own ------------------------------------------------------------- */

static inline void *vmmu_host_table_alloc(struct vmmu_vm *vm)
{
	(void)vm;
	return memset(bench_take(POOL_TABLE), 0, VMMU_PAGE_SIZE);
}

static inline void *vmmu_host_table_try_alloc(struct vmmu_vm *vm) { return vmmu_host_table_alloc(vm); }
static inline void *vmmu_host_table_alloc_low(struct vmmu_vm *vm) { (void)vm; return NULL; }
static inline void vmmu_host_table_free(struct vmmu_vm *vm, void *table) { (void)vm; bench_give(POOL_TABLE, table); }

static inline vmmu_hpa_t vmmu_host_table_hpa(const void *table)
{
	return BENCH_TABLES_AT + (vmmu_hpa_t)((const char *)table - bench_tables);
}

static inline void *vmmu_host_table_at(vmmu_hpa_t hpa) { return bench_tables + (hpa - BENCH_TABLES_AT); }

static inline void vmmu_host_table_set_page(void *table, struct vmmu_page *page)
{
	__atomic_store_n(&bench_descriptor(table)->page, page, __ATOMIC_RELEASE);
}

static inline struct vmmu_page *vmmu_host_table_page(const void *table)
{
	return __atomic_load_n(&bench_descriptor(table)->page, __ATOMIC_ACQUIRE);
}

static inline struct vmmu_page *vmmu_host_page_alloc(void)
{
	return memset(bench_take(POOL_PAGE), 0, sizeof(struct vmmu_page));
}

static inline struct vmmu_page *vmmu_host_page_try_alloc(void) { return vmmu_host_page_alloc(); }
static inline void vmmu_host_page_free(struct vmmu_page *page) { bench_give(POOL_PAGE, page); }
static inline uint64_t *vmmu_host_mirror_alloc(void) { return bench_take(POOL_MIRROR); }
static inline void vmmu_host_mirror_free(uint64_t *mirror) { bench_give(POOL_MIRROR, mirror); }
static inline struct vmmu_entry_node *vmmu_host_node_alloc(void) { return bench_take(POOL_NODE); }
static inline void vmmu_host_node_free(struct vmmu_entry_node *node) { bench_give(POOL_NODE, node); }
static inline void *vmmu_host_array_alloc(size_t bytes) { return calloc(1, bytes); }
static inline void vmmu_host_array_free(void *array) { free(array); }

/* Linux counts them by CPU. */
static inline void vmmu_host_table_account(struct vmmu_vm *vm, const void *table, int delta)
{
	(void)vm, (void)table, (void)delta;
}

/* --- Locks, RCU, time to yield ------------------------------------------------------------ */

static inline void vmmu_host_spin_init(vmmu_spinlock_t *lock) { lock->held = 0; }
static inline bool vmmu_host_spin_lock(vmmu_spinlock_t *lock) { return bench_spin_lock(&lock->held); }
static inline void vmmu_host_spin_unlock(vmmu_spinlock_t *lock) { bench_spin_unlock(&lock->held); }

static inline bool vmmu_host_bit_lock(uintptr_t *word, int bit)
{
	uintptr_t mask = (uintptr_t)1 << bit;
	unsigned int spins = 0;

	while (__atomic_fetch_or(word, mask, __ATOMIC_ACQUIRE) & mask)
		while (__atomic_load_n(word, __ATOMIC_RELAXED) & mask)
			bench_pause(&spins);
	return spins;
}

static inline void vmmu_host_bit_unlock(uintptr_t *word, int bit)
{
	__atomic_fetch_and(word, ~((uintptr_t)1 << bit), __ATOMIC_RELEASE);
}

static inline bool vmmu_host_lock_excl(struct vmmu_vm *vm)
{
	struct bench_vm *m = bench_vm_of(vm);
	bool waited = bench_write_lock(&m->lock);

	return bench_close_shares(&m->shares) || waited;
}

static inline void vmmu_host_unlock_excl(struct vmmu_vm *vm) { bench_write_unlock(&bench_vm_of(vm)->lock); }

static inline bool vmmu_host_lock_shared(struct vmmu_vm *vm)
{
	struct bench_vm *m = bench_vm_of(vm);
	bool waited;

	if (m->locking == BENCH_SINGLE_LOCK)
		return bench_write_lock(&m->lock);
	if (share_try_take(&m->shares, &bench_me->share))
		return false;
	waited = bench_read_lock(&m->lock);
	shares_open(&m->shares);
	return waited;
}

static inline void vmmu_host_unlock_shared(struct vmmu_vm *vm)
{
	struct bench_vm *m = bench_vm_of(vm);

	if (m->locking == BENCH_SINGLE_LOCK)
		bench_write_unlock(&m->lock);
	else if (share_is_held(&m->shares, &bench_me->share))
		share_give(&bench_me->share);
	else
		bench_read_unlock(&m->lock);
}

static inline uint8_t *vmmu_host_locks_held(void) { return NULL; }
static inline void vmmu_host_assert_locked(struct vmmu_vm *vm) { (void)vm; }
static inline void vmmu_host_assert_locked_excl(struct vmmu_vm *vm) { (void)vm; }

static inline bool vmmu_host_should_yield(struct vmmu_vm *vm)
{
	const struct bench_vm *m = bench_vm_of(vm);

	return (__atomic_load_n(&m->lock.word, __ATOMIC_RELAXED) & RW_AWAITED) ||
		(share_is_held(&m->shares, &bench_me->share) && !flag_load(&m->shares.open));
}

static inline void vmmu_host_yield_shared(struct vmmu_vm *vm)
{
	vmmu_host_unlock_shared(vm);
	vmmu_host_lock_shared(vm);
}

static inline void vmmu_host_yield_excl(struct vmmu_vm *vm)
{
	vmmu_host_unlock_excl(vm);
	vmmu_host_lock_excl(vm);
}

static inline void vmmu_host_rcu_read_lock(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
static inline void vmmu_host_rcu_read_unlock(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
static inline void vmmu_host_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu)) { bench_rcu_call(rcu, fn); }
static inline void vmmu_host_rcu_barrier(void) { bench_rcu_drain(); }

/* --- TLBs --------------------------------------------------------------------------------- */

static inline void vmmu_host_flush_range(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end)
{
	(void)start, (void)end;
	bench_request(bench_vm_of(vm), BENCH_FLUSH);
}

static inline void vmmu_host_kick_obsolete_roots(struct vmmu_vm *vm)
{
	bench_request(bench_vm_of(vm), BENCH_DROP_OBSOLETE);
}

/* --- Memslots: one, which stays ------------------------------------------------------------ */

static inline struct vmmu_slot *vmmu_host_slot(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn)
{
	return space || gfn >= BENCH_FRAMES ? NULL : &bench_vm_of(vm)->slot;
}

static inline struct vmmu_slot *vmmu_host_vcpu_slot(struct vmmu_vcpu *v, vmmu_gfn_t gfn)
{
	return vmmu_host_slot(v->vm, 0, gfn);
}

static inline uint64_t vmmu_host_generation(struct vmmu_vcpu *v) { (void)v; return 0; }
static inline vmmu_gfn_t vmmu_host_slot_start(const struct vmmu_slot *slot) { (void)slot; return 0; }
static inline vmmu_gfn_t vmmu_host_slot_end(const struct vmmu_slot *slot) { (void)slot; return BENCH_FRAMES; }
static inline int vmmu_host_slot_space(const struct vmmu_slot *slot) { (void)slot; return 0; }
static inline bool vmmu_host_slot_logs_dirty(const struct vmmu_slot *slot) { (void)slot; return false; }

static inline bool vmmu_host_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return __atomic_load_n(&slot->disallow[level - 1][gfn >> vmmu_level_frames_lg2(level)], __ATOMIC_RELAXED);
}

static inline int vmmu_host_prepare_shadow(struct vmmu_vm *vm) { (void)vm; return VMMU_OK; }

static inline vmmu_entry_set *vmmu_host_slot_rmap(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return &slot->rmap[level - 1][gfn >> vmmu_level_frames_lg2(level)];
}

static inline uint16_t *vmmu_host_slot_track(struct vmmu_slot *slot, vmmu_gfn_t gfn) { return &slot->track[gfn]; }

static inline int *vmmu_host_slot_disallow(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return &slot->disallow[level - 1][gfn >> vmmu_level_frames_lg2(level)];
}

static inline bool vmmu_host_write_tracked(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	(void)vm;
	return __atomic_load_n(&slot->track[gfn], __ATOMIC_SEQ_CST);
}

static inline void vmmu_host_mark_dirty(struct vmmu_vm *vm, struct vmmu_vcpu *v, struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	(void)vm, (void)v, (void)slot, (void)gfn;
}

/* The host has small pages only. */
static inline int vmmu_host_mapping_level(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn, int max_level)
{
	(void)vm, (void)slot, (void)gfn, (void)max_level;
	return VMMU_LEVEL_4K;
}

/* --- Host frames -------------------------------------------------------------------------- */

/* Nothing is invalidated while vCPUs run. */
static inline int vmmu_host_fault_in(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	(void)v;
	if (!f->slot)
		bench_die("a fault at %#llx leads to no memory", (unsigned long long)f->addr);
	f->slot->at_hand[f->gfn] = 1;
	f->pfn = BENCH_PFN_BASE + f->gfn;
	f->writable = true;
	return 0;
}

static inline bool vmmu_host_invalidating_at(struct vmmu_vcpu *v, const struct vmmu_fault *f) { (void)v, (void)f; return false; }
static inline void vmmu_host_invalidation_wait(struct vmmu_vcpu *v) { (void)v; }
static inline bool vmmu_host_invalidating(struct vmmu_vm *vm) { (void)vm; return false; }
static inline void vmmu_host_fault_release(struct vmmu_vcpu *v, struct vmmu_fault *f) { (void)v, (void)f; }

static inline int vmmu_host_pfns_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool write,
					vmmu_pfn_t *pfns, int count)
{
	int n;

	(void)vm, (void)write;
	for (n = 0; n < count && slot->at_hand[gfn + (vmmu_gfn_t)n]; n++)
		pfns[n] = BENCH_PFN_BASE + gfn + (vmmu_gfn_t)n;
	return n;
}

static inline void vmmu_host_pfn_release(vmmu_pfn_t pfn) { (void)pfn; }
static inline void vmmu_host_pfn_accessed(vmmu_pfn_t pfn) { (void)pfn; }
static inline void vmmu_host_pfn_dirty(vmmu_pfn_t pfn) { (void)pfn; }
static inline uint64_t vmmu_host_memtype(struct vmmu_vcpu *v, vmmu_gfn_t gfn, bool is_mmio)
{
	(void)v, (void)gfn, (void)is_mmio;
	return 0;
}
static inline bool vmmu_host_pfn_is_mmio(vmmu_pfn_t pfn) { (void)pfn; return false; }

/* --- Guest memory that holds guest tables -------------------------------------------------- */

static inline int vmmu_host_gpte_locate_in(struct vmmu_vm *vm, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	uint64_t *table = bench_content(bench_vm_of(vm), gpa >> VMMU_PAGE_SHIFT);

	(void)space;
	if (!table)
		return VMMU_EFAULT;
	at->host = (char *)table + (gpa & (VMMU_PAGE_SIZE - 1));
	at->gpa = gpa;
	at->writable = true;
	return VMMU_OK;
}

static inline int vmmu_host_gpte_locate(struct vmmu_vcpu *v, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	return vmmu_host_gpte_locate_in(v->vm, 0, gpa, at);
}

/* All tables here are of 8-byte entries. */
static inline int vmmu_host_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	(void)bytes;
	*value = __atomic_load_n((uint64_t *)at->host, __ATOMIC_ACQUIRE);
	return VMMU_OK;
}

static inline int vmmu_host_gpte_read_atomic(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	return vmmu_host_gpte_read(at, bytes, value);
}

static inline int vmmu_host_gpte_read_run(const struct vmmu_gpte *at, unsigned int bytes, unsigned int count,
					  uint64_t *values)
{
	(void)bytes;
	for (unsigned int i = 0; i < count; i++)
		values[i] = __atomic_load_n((uint64_t *)at->host + i, __ATOMIC_ACQUIRE);
	return VMMU_OK;
}

static inline int vmmu_host_gpte_cmpxchg(struct vmmu_vcpu *v, const struct vmmu_gpte *at, unsigned int bytes,
					 uint64_t old, uint64_t new_value)
{
	(void)v, (void)bytes;
	return __atomic_compare_exchange_n((uint64_t *)at->host, &old, new_value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST) ? VMMU_OK : VMMU_EAGAIN;
}

/* L2 has no tables of its own. */
static inline vmmu_gpa_t vmmu_host_translate_nested(struct vmmu_vcpu *v, vmmu_gpa_t gpa, uint64_t pf,
						    struct vmmu_guest_fault *why)
{
	(void)v, (void)pf, (void)why;
	return gpa;
}

static inline int vmmu_host_log_nested_write(struct vmmu_vcpu *v, vmmu_gpa_t gpa) { (void)v, (void)gpa; return VMMU_OK; }
static inline bool vmmu_host_flags_ac(struct vmmu_vcpu *v) { (void)v; return false; }

/* --- Observation -------------------------------------------------------------------------- */

static inline void vmmu_host_leaf_count(struct vmmu_vm *vm, int level, int delta)
{
	struct bench_vm *m = bench_vm_of(vm);
	long who = m->locking == BENCH_LOCAL ? bench_me - bench_cpus : 0;

	__atomic_fetch_add(&m->leaves[who].level[level], (uint64_t)delta, __ATOMIC_RELAXED);
}

static inline void vmmu_host_nx_split_count(struct vmmu_vm *vm, int delta) { (void)vm, (void)delta; }

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
	(void)vm, (void)page, (void)event;
}

static inline void vmmu_host_trace_walk(enum vmmu_walk_event event, uint64_t a, uint64_t b, uint64_t c)
{
	(void)event, (void)a, (void)b, (void)c;
}

static inline void vmmu_host_trace_fault(struct vmmu_vcpu *v, const struct vmmu_fault *f, enum vmmu_fault_event event,
					 uint64_t *sptep, uint64_t spte, int detail)
{
	(void)v, (void)f, (void)event, (void)sptep, (void)spte, (void)detail;
}

static inline void vmmu_host_bug(struct vmmu_vm *vm, const char *what)
{
	(void)vm;
	bench_die("impossible: %s", what);
}

#endif
