/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The host contract: every service the core takes from the world around it.
 *
 * A host binds the contract at compile time. Its folder comes first on the include path and holds
 *   vmmu_host_types.h  the types below that are "the host's": locks, RCU head, memslot
 *   vmmu_host.h        every function below as `static inline`, so that a service costs no call
 * This file declares each service again, without a body: a wrong type or a missing service stops the
 * build. Two hosts exist: kvm/ (Linux) and machine/ (user space); tests have smaller ones.
 *
 * The host's types:
 *   struct vmmu_slot    a memslot: a run of guest frames backed by host memory (may be a macro for a type of the
 *                       host's)
 *   vmmu_spinlock_t     a short lock; nothing inside may sleep
 *   struct vmmu_rcu     what vmmu_host_rcu_call() needs to remember a callback
 *
 * Context words: "may sleep" = called with no lock held and preemptible; "atomic" = may be called with
 * locks held, must not sleep; "vm shared" / "vm excl" = the VM's reader-writer lock is held that way,
 * "vm any" = either way; "rcu" = inside vmmu_host_rcu_read_lock().
 */
#ifndef VMMU_HOST_H
#define VMMU_HOST_H

#include <vmmu/types.h>
#include <vmmu/vm.h>
#include <vmmu/fault.h>
#include "vmmu_host.h"

/* --- Memory of the core's own ------------------------------------------------------------- */

/* Context: may sleep. Return: one zeroed 4 KiB table that the CPU can walk, or NULL. Accounted to the VM's owner. */
static inline void *vmmu_host_table_alloc(struct vmmu_vm *vm);
/* As above, but never waits for memory. Context: atomic. */
static inline void *vmmu_host_table_try_alloc(struct vmmu_vm *vm);
/* Context: atomic, also from an RCU callback. No CPU can reach @table any more. */
static inline void vmmu_host_table_free(struct vmmu_vm *vm, void *table);
/* Physical address of a table, and back. Context: any. */
static inline vmmu_hpa_t vmmu_host_table_hpa(const void *table);
static inline void *vmmu_host_table_at(vmmu_hpa_t hpa);
/* The one pointer a host keeps for each table: set before the table is linked, read by table address. Context: any. */
static inline void vmmu_host_table_set_page(void *table, struct vmmu_page *page);
static inline struct vmmu_page *vmmu_host_table_page(const void *table);
/* A zeroed struct vmmu_page. Context: may sleep / atomic, never waits / atomic. */
static inline struct vmmu_page *vmmu_host_page_alloc(void);
static inline struct vmmu_page *vmmu_host_page_try_alloc(void);
static inline void vmmu_host_page_free(struct vmmu_page *page);
/*
 * A zeroed table below 4 GiB, for a root whose CPU register has 32 bits.
 * Context: may sleep. Freed by vmmu_host_table_free().
 */
static inline void *vmmu_host_table_alloc_low(struct vmmu_vm *vm);
/*
 * 4 KiB of plain memory beside a table that mirrors a guest's; a node of an entry set; a large zeroed array.
 * Context: may sleep / free: atomic.
 */
static inline uint64_t *vmmu_host_mirror_alloc(void);
static inline void vmmu_host_mirror_free(uint64_t *mirror);
static inline struct vmmu_entry_node *vmmu_host_node_alloc(void);
static inline void vmmu_host_node_free(struct vmmu_entry_node *node);
static inline void *vmmu_host_array_alloc(size_t bytes);
static inline void vmmu_host_array_free(void *array);
/*
 * A table of page-table memory came into use (@delta 1) or went out of use (-1). Context: atomic.
 */
static inline void vmmu_host_table_account(struct vmmu_vm *vm, const void *table, int delta);

/* --- Locks, RCU, time to yield ------------------------------------------------------------ */

/* What takes a lock returns whether it had to wait for it; a host that cannot tell says no. */
static inline void vmmu_host_spin_init(vmmu_spinlock_t *lock);
static inline bool vmmu_host_spin_lock(vmmu_spinlock_t *lock);
static inline void vmmu_host_spin_unlock(vmmu_spinlock_t *lock);

/*
 * A lock in bit @bit of a word; who holds it may change the other bits by plain atomic stores that keep it.
 * Context: atomic.
 */
static inline bool vmmu_host_bit_lock(uintptr_t *word, int bit);
static inline void vmmu_host_bit_unlock(uintptr_t *word, int bit);

/*
 * The VM's reader-writer lock; core/base/lock.h says what it is held for, and how. Where the host has to hold it as it
 * calls the core, memory.h says so; all other functions take it themselves. Context: may spin; who holds it does not
 * sleep.
 */
static inline bool vmmu_host_lock_shared(struct vmmu_vm *vm);
static inline void vmmu_host_unlock_shared(struct vmmu_vm *vm);
static inline bool vmmu_host_lock_excl(struct vmmu_vm *vm);
static inline void vmmu_host_unlock_excl(struct vmmu_vm *vm);
/*
 * For debug builds: VMMU_LOCK_KINDS numbers, 0 at first, which the core keeps for whoever holds locks on this CPU, to
 * see their order kept. NULL: the host sees to the order itself. Context: a lock is held.
 */
#define VMMU_LOCK_KINDS 6
static inline uint8_t *vmmu_host_locks_held(void);
static inline void vmmu_host_assert_locked(struct vmmu_vm *vm);
static inline void vmmu_host_assert_locked_excl(struct vmmu_vm *vm);
/* Does somebody wait for this CPU or for the VM's lock? Context: vm any. */
static inline bool vmmu_host_should_yield(struct vmmu_vm *vm);
/*
 * Drop the VM's lock, let others run, take it again the same way. Context: vm shared / vm excl, no other lock, not rcu.
 */
static inline void vmmu_host_yield_shared(struct vmmu_vm *vm);
static inline void vmmu_host_yield_excl(struct vmmu_vm *vm);

static inline void vmmu_host_rcu_read_lock(void);
static inline void vmmu_host_rcu_read_unlock(void);
/* Call @fn(@rcu) after every read section that is open now has ended. Context: atomic. */
static inline void vmmu_host_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu));
/* Wait until every callback given so far has run. Context: may sleep. */
static inline void vmmu_host_rcu_barrier(void);

/* --- TLBs --------------------------------------------------------------------------------- */

/*
 * On return no CPU uses a translation of guest frames [@start, @end), or a paging-structure entry on the way to them,
 * that it made before the call. @end ~0: up to the last frame. Once vmmu_host_prepare_shadow() has succeeded, it is of
 * all, whatever the range: shadow pages translate other addresses. A host may flush more. Context: atomic.
 */
static inline void vmmu_host_flush_range(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end);
/*
 * Every vCPU drops its roots that are no longer valid before it enters the guest again; waits until none runs on one.
 * Context: atomic.
 */
static inline void vmmu_host_kick_obsolete_roots(struct vmmu_vm *vm);

/* --- Memslots ----------------------------------------------------------------------------- */

/*
 * Slots are looked up in address space @space (0 normal, 1 SMM) and stay while the caller is inside the host's slot
 * read section. Return: NULL where none is.
 */
static inline struct vmmu_slot *vmmu_host_slot(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn);
/* The slot @v sees @gfn through now, or NULL. Context: the host's slot read section. */
static inline struct vmmu_slot *vmmu_host_vcpu_slot(struct vmmu_vcpu *v, vmmu_gfn_t gfn);
/* Generation of the memslots @v sees; changes whenever a slot comes, goes or moves. Context: as above. */
static inline uint64_t vmmu_host_generation(struct vmmu_vcpu *v);
static inline vmmu_gfn_t vmmu_host_slot_start(const struct vmmu_slot *slot);
static inline vmmu_gfn_t vmmu_host_slot_end(const struct vmmu_slot *slot);
static inline int vmmu_host_slot_space(const struct vmmu_slot *slot);
/* Is every write to the slot to be reported to vmmu_host_mark_dirty()? */
static inline bool vmmu_host_slot_logs_dirty(const struct vmmu_slot *slot);
/*
 * Is a page of size @level (2M and up) at @gfn forbidden by the slot's own bookkeeping: borders, alignment,
 * write-tracked frames inside?
 */
static inline bool vmmu_host_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level);
/*
 * The words a slot keeps for each of its frames once shadow pages exist: the reverse map of @gfn in size @level, the
 * number of reasons why @gfn must not be written without our knowing, the number of reasons why no page of size @level
 * (2M and up) may cover it.
 */
#define VMMU_SPACES 2
/*
 * Make those words for all slots there are, and from now on for new ones. Context: may sleep.
 * Return: VMMU_OK or VMMU_ENOMEM.
 */
static inline int vmmu_host_prepare_shadow(struct vmmu_vm *vm);
/*
 * NULL: the slot has none. It was replaced before those words were made, and only who found it before still knows it:
 * nothing in shadow pages maps its frames.
 */
static inline vmmu_entry_set *vmmu_host_slot_rmap(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level);
static inline uint16_t *vmmu_host_slot_track(struct vmmu_slot *slot, vmmu_gfn_t gfn);
static inline int *vmmu_host_slot_disallow(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level);
/*
 * Must no write to @gfn go unseen, since a page mirrors the frame, or somebody outside the core watches it? The answer
 * for all address spaces; @slot is that of one. Context: atomic, in the slot read section.
 */
static inline bool vmmu_host_write_tracked(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn);
/*
 * @v can write @gfn since a moment ago: if the slot logs, its next harvest reports the frame. Context: atomic, @v's own
 * thread, in the slot read section; with or without the VM's lock.
 */
static inline void vmmu_host_mark_dirty(struct vmmu_vm *vm, struct vmmu_vcpu *v, struct vmmu_slot *slot,
					vmmu_gfn_t gfn);
/*
 * Largest page size, up to @max_level, with which the host itself maps the memory behind @gfn.
 * Context: vm any (atomic).
 */
static inline int vmmu_host_mapping_level(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn,
					  int max_level);

/* --- Host frames -------------------------------------------------------------------------- */

/*
 * Find the memory behind @f->gfn: fills slot, pfn, writable. If it looks up more than once, vmmu_fault_mark() comes
 * before each time but the first. Context: may sleep.
 * Return: 0 to go on; otherwise the enum vmmu_fault_result to end the fault with.
 */
static inline int vmmu_host_fault_in(struct vmmu_vcpu *v, struct vmmu_fault *f);
/*
 * Is the host invalidating the memory behind @f->gfn in @f->slot right now? Context: vm any. An invalidation that
 * begins while the lock is held may be missed: its unmap comes when the lock is released.
 */
static inline bool vmmu_host_invalidating_at(struct vmmu_vcpu *v, const struct vmmu_fault *f);
/* It is; the guest will fault there again. Give the host a moment to be done with it. Context: may sleep. */
static inline void vmmu_host_invalidation_wait(struct vmmu_vcpu *v);
/*
 * Is the host invalidating any range right now? Context: none needed. Under vm any nothing is unmapped by what begins
 * after the answer before the lock is released. What is read later is read after it.
 */
static inline bool vmmu_host_invalidating(struct vmmu_vm *vm);
/* The fault is over; give back what vmmu_host_fault_in() took. Context: atomic. */
static inline void vmmu_host_fault_release(struct vmmu_vcpu *v, struct vmmu_fault *f);
/*
 * Look up the frames of [@gfn, @gfn + @count) without sleeping, for writing if @write; fills @pfns up to
 * the first that is not at hand: none of a slot that is private to the host. Context: atomic, vm any.
 * Return: how many; each is given back by vmmu_host_pfn_release().
 */
static inline int vmmu_host_pfns_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool write,
					vmmu_pfn_t *pfns, int count);
static inline void vmmu_host_pfn_release(vmmu_pfn_t pfn);
/* A leaf that mapped @pfn went with its A bit set; one lost its D bit, or W where there is none. Context: atomic. */
static inline void vmmu_host_pfn_accessed(vmmu_pfn_t pfn);
static inline void vmmu_host_pfn_dirty(vmmu_pfn_t pfn);
/*
 * Memory-type bits for a leaf, in the host format's own encoding (EPT: type and "ignore PAT"; others 0).
 * Context: vm any.
 */
static inline uint64_t vmmu_host_memtype(struct vmmu_vcpu *v, vmmu_gfn_t gfn, bool is_mmio);
/* Is @pfn device memory, which no CPU caches and no memory encryption covers? */
static inline bool vmmu_host_pfn_is_mmio(vmmu_pfn_t pfn);

/* --- Guest memory that holds guest tables -------------------------------------------------- */

/*
 * Locate the @bytes (4 or 8) long guest table entry at @gpa, an L1 guest physical address, naturally
 * aligned. Context: atomic, in the slot read section: what may sleep is to read it.
 * Return: 0, or VMMU_EFAULT where no memory is.
 */
static inline int vmmu_host_gpte_locate(struct vmmu_vcpu *v, vmmu_gpa_t gpa, struct vmmu_gpte *at);
/* Read it, in one access. Context: may sleep. Return: 0 or VMMU_EFAULT. */
static inline int vmmu_host_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value);
/* As above where nothing may sleep: VMMU_EFAULT also where the memory is not at hand. Context: atomic. */
static inline int vmmu_host_gpte_read_atomic(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value);
/*
 * Read @count entries that follow each other in a page, the first of them at @at, each in one access, into @values.
 * Context: atomic. Return: 0, or VMMU_EFAULT where the memory is not at hand, with nothing of use in @values.
 */
static inline int vmmu_host_gpte_read_run(const struct vmmu_gpte *at, unsigned int bytes, unsigned int count,
					  uint64_t *values);
/*
 * Locate an entry seen through address space @space, for reading. Context: atomic, inside the host's slot read section.
 */
static inline int vmmu_host_gpte_locate_in(struct vmmu_vm *vm, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at);
/*
 * Replace the entry at @at by @new_value if it still is @old, in one access, report the write to the dirty log, and the
 * flags that were set by vmmu_guest_flags_set(). Context: may sleep.
 * Return: 0, VMMU_EAGAIN if it changed, VMMU_EFAULT if it cannot be written.
 */
static inline int vmmu_host_gpte_cmpxchg(struct vmmu_vcpu *v, const struct vmmu_gpte *at, unsigned int bytes,
					 uint64_t old, uint64_t new_value);
/*
 * Translate an L2 guest physical address to L1's, by the nested tables of L1, for an access @pf (VMMU_PF_*).
 * Context: may sleep. Return: the address, or VMMU_GPA_INVALID with @why filled.
 */
static inline vmmu_gpa_t vmmu_host_translate_nested(struct vmmu_vcpu *v, vmmu_gpa_t gpa, uint64_t pf,
						    struct vmmu_guest_fault *why);
/*
 * L1 logs L2's writes by page-modification logging: @gpa is about to get its D bit.
 * Return: 0, or VMMU_EFAULT if L1's log is full.
 */
static inline int vmmu_host_log_nested_write(struct vmmu_vcpu *v, vmmu_gpa_t gpa);

/* EFLAGS.AC of the vCPU. Context: its own thread. */
static inline bool vmmu_host_flags_ac(struct vmmu_vcpu *v);

/* --- Observation -------------------------------------------------------------------------- */

/* @delta leaves of size @level came, or went where it is below 0. Context: atomic. */
static inline void vmmu_host_leaf_count(struct vmmu_vm *vm, int level, int delta);
/* A table came (@delta 1) that exists only since large pages must not be executable, or went. Context: vm->lists. */
static inline void vmmu_host_nx_split_count(struct vmmu_vm *vm, int delta);
/*
 * Trace points; a host may leave them empty. Of a fault: @sptep and @spte are the entry, NULL and 0 with REQUESTED;
 * @detail is its level with INSTALLED and MMIO_SET, the enum vmmu_fault_result with FAST, and 0 with REQUESTED.
 * Context: atomic.
 */
static inline void vmmu_host_trace_spte(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn, int level, uint64_t old_spte,
					uint64_t new_spte);
static inline void vmmu_host_trace_split(struct vmmu_vm *vm, vmmu_gfn_t gfn, uint64_t spte, int level, int status);
static inline void vmmu_host_trace_page(struct vmmu_vm *vm, const struct vmmu_page *page, enum vmmu_page_event event);
static inline void vmmu_host_trace_walk(enum vmmu_walk_event event, uint64_t a, uint64_t b, uint64_t c);
static inline void vmmu_host_trace_fault(struct vmmu_vcpu *v, const struct vmmu_fault *f, enum vmmu_fault_event event,
					 uint64_t *sptep, uint64_t spte, int detail);
/* A broken invariant: stop this VM (a kernel) or the process (a test). Context: any. */
static inline void vmmu_host_bug(struct vmmu_vm *vm, const char *what);

#endif
