/* SPDX-License-Identifier: GPL-2.0-only */
/* The host contract of <vmmu/host.h>, bound to Linux. What a service promises is said there. */
#ifndef VMMU_KVM_HOST_H
#define VMMU_KVM_HOST_H

#include <linux/bit_spinlock.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/tracepoint-defs.h>
#include <linux/uaccess.h>
#include <vmmu/memory.h>
#include "mmu.h"
#include "x86.h"
#include "drop_in.h"

/* --- Memory of the core's own ------------------------------------------------------------- */

static inline void *vmmu_host_table_alloc(struct vmmu_vm *vm)
{
	return (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

static inline void *vmmu_host_table_try_alloc(struct vmmu_vm *vm)
{
	return (void *)__get_free_page(GFP_NOWAIT | __GFP_ACCOUNT | __GFP_ZERO);
}

static inline void vmmu_host_table_free(struct vmmu_vm *vm, void *table)
{
	free_page((unsigned long)table);
}

static inline vmmu_hpa_t vmmu_host_table_hpa(const void *table)
{
	return __pa(table);
}

static inline void *vmmu_host_table_at(vmmu_hpa_t hpa)
{
	return __va(hpa);
}

static inline void vmmu_host_table_set_page(void *table, struct vmmu_page *page)
{
	set_page_private(virt_to_page(table), (unsigned long)page);
}

static inline struct vmmu_page *vmmu_host_table_page(const void *table)
{
	return (struct vmmu_page *)page_private(virt_to_page(table));
}

static inline struct vmmu_page *vmmu_host_page_alloc(void)
{
	return kmem_cache_zalloc(vmmu_kvm_page_cache, GFP_KERNEL_ACCOUNT);
}

static inline struct vmmu_page *vmmu_host_page_try_alloc(void)
{
	return kmem_cache_zalloc(vmmu_kvm_page_cache, GFP_NOWAIT | __GFP_ACCOUNT);
}

static inline void vmmu_host_page_free(struct vmmu_page *page)
{
	kmem_cache_free(vmmu_kvm_page_cache, page);
}

static inline void *vmmu_host_table_alloc_low(struct vmmu_vm *vm)
{
	return (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_DMA32);
}

static inline uint64_t *vmmu_host_mirror_alloc(void)
{
	return (uint64_t *)__get_free_page(GFP_KERNEL_ACCOUNT);
}

static inline void vmmu_host_mirror_free(uint64_t *mirror)
{
	free_page((unsigned long)mirror);
}

static inline struct vmmu_entry_node *vmmu_host_node_alloc(void)
{
	return kmem_cache_alloc(vmmu_kvm_node_cache, GFP_KERNEL_ACCOUNT);
}

static inline void vmmu_host_node_free(struct vmmu_entry_node *node)
{
	kmem_cache_free(vmmu_kvm_node_cache, node);
}

static inline void *vmmu_host_array_alloc(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL_ACCOUNT);
}

static inline void vmmu_host_array_free(void *array)
{
	kvfree(array);
}

static inline void vmmu_host_table_account(struct vmmu_vm *vm, const void *table, int delta)
{
	kvm_account_pgtable_pages((void *)table, delta);
}

/* --- Locks, RCU, time to yield ------------------------------------------------------------ */

static inline void vmmu_host_spin_init(vmmu_spinlock_t *lock)
{
	spin_lock_init(lock);
}

/* Tried for first, which costs no more where nobody holds it, so that waits can be counted. */
static inline bool vmmu_host_spin_lock(vmmu_spinlock_t *lock)
{
	if (likely(spin_trylock(lock)))
		return false;
	spin_lock(lock);
	return true;
}

static inline void vmmu_host_spin_unlock(vmmu_spinlock_t *lock)
{
	spin_unlock(lock);
}

static inline bool vmmu_host_bit_lock(uintptr_t *word, int bit)
{
	if (likely(bit_spin_trylock(bit, (unsigned long *)word)))
		return false;
	bit_spin_lock(bit, (unsigned long *)word);
	return true;
}

static inline void vmmu_host_bit_unlock(uintptr_t *word, int bit)
{
	bit_spin_unlock(bit, (unsigned long *)word);
}

static inline struct vmmu_kvm *vmmu_kvm_of(struct vmmu_vm *vm)
{
	return container_of(vm, struct vmmu_kvm, vm);
}

/* By a share, if they are open: the same to lockdep, and to who asks. */
static inline bool vmmu_host_lock_shared(struct vmmu_vm *vm)
{
	struct vmmu_kvm *vk = vmmu_kvm_of(vm);
	rwlock_t *lock = &vk->kvm->mmu_lock;
	bool waited;

	preempt_disable();
	if (likely(share_try_take(&vk->shares, this_cpu_ptr(&vmmu_kvm_share)))) {
		rwlock_acquire_read(&lock->dep_map, 0, 1, _RET_IP_);
		return false;
	}
	preempt_enable();
	waited = !read_trylock(lock);
	if (waited)
		read_lock(lock);
	vmmu_kvm_open_shares(vk);
	return waited;
}

/* Context: vm shared. */
static inline bool vmmu_kvm_has_share(struct vmmu_vm *vm)
{
	return share_is_held(&vmmu_kvm_of(vm)->shares, raw_cpu_ptr(&vmmu_kvm_share));
}

static inline void vmmu_host_unlock_shared(struct vmmu_vm *vm)
{
	if (vmmu_kvm_has_share(vm)) {
		rwlock_release(&vmmu_to_kvm(vm)->mmu_lock.dep_map, _RET_IP_);
		share_give(this_cpu_ptr(&vmmu_kvm_share));
		preempt_enable();
	} else {
		read_unlock(&vmmu_to_kvm(vm)->mmu_lock);
	}
}

static inline bool vmmu_host_lock_excl(struct vmmu_vm *vm)
{
	rwlock_t *lock = &vmmu_to_kvm(vm)->mmu_lock;
	bool waited = !write_trylock(lock);

	if (waited)
		write_lock(lock);
	return vmmu_kvm_close_shares(vmmu_to_kvm(vm)) || waited;
}

static inline void vmmu_host_unlock_excl(struct vmmu_vm *vm)
{
	write_unlock(&vmmu_to_kvm(vm)->mmu_lock);
}

/* Holders of the core's locks stay on their CPU, but for real-time kernels. */
static inline uint8_t *vmmu_host_locks_held(void)
{
	return IS_ENABLED(CONFIG_PREEMPT_RT) ? NULL : this_cpu_ptr(vmmu_kvm_locks_held);
}

static inline void vmmu_host_assert_locked(struct vmmu_vm *vm)
{
	lockdep_assert_held(&vmmu_to_kvm(vm)->mmu_lock);
}

static inline void vmmu_host_assert_locked_excl(struct vmmu_vm *vm)
{
	lockdep_assert_held_write(&vmmu_to_kvm(vm)->mmu_lock);
	WARN_ON_ONCE(READ_ONCE(vmmu_kvm_of(vm)->shares.open));
}

static inline bool vmmu_host_should_yield(struct vmmu_vm *vm)
{
	/*
	 * Who holds a share is in the way of whoever has closed them.
	 * Who holds the lock itself opens them, or has closed them.
	 */
	return need_resched() || rwlock_needbreak(&vmmu_to_kvm(vm)->mmu_lock) ||
		(vmmu_kvm_has_share(vm) && !READ_ONCE(vmmu_kvm_of(vm)->shares.open));
}

static inline void vmmu_host_yield_shared(struct vmmu_vm *vm)
{
	if (!vmmu_kvm_has_share(vm)) {
		cond_resched_rwlock_read(&vmmu_to_kvm(vm)->mmu_lock);
	} else if (vmmu_host_should_yield(vm)) {
		vmmu_host_unlock_shared(vm);
		cond_resched();
		vmmu_host_lock_shared(vm);
	}
}

static inline void vmmu_host_yield_excl(struct vmmu_vm *vm)
{
	if (cond_resched_rwlock_write(&vmmu_to_kvm(vm)->mmu_lock))
		vmmu_kvm_close_shares(vmmu_to_kvm(vm));
}

static inline void vmmu_host_rcu_read_lock(void)
{
	rcu_read_lock();
}

static inline void vmmu_host_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

void vmmu_kvm_rcu_callback(struct rcu_head *head);

static inline void vmmu_host_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu))
{
	rcu->fn = fn;
	call_rcu(&rcu->head, vmmu_kvm_rcu_callback);
}

static inline void vmmu_host_rcu_barrier(void)
{
	rcu_barrier();
}

/* --- TLBs --------------------------------------------------------------------------------- */

/* Only a hypervisor below us (Hyper-V) offers a flush by range; hardware flushes all of a VM's translations. */
static inline void vmmu_host_flush_range(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end)
{
	struct kvm_tlb_range range = { .start_gfn = start, .pages = end - start };

	/* Shadow pages translate other addresses than L1's physical ones, which are all that a range can name. */
	if (!kvm_x86_ops.tlb_remote_flush_with_range || READ_ONCE(vm->index) ||
	    static_call(kvm_x86_tlb_remote_flush_with_range)(vmmu_to_kvm(vm), &range))
		kvm_flush_remote_tlbs(vmmu_to_kvm(vm));
}

static inline void vmmu_host_kick_obsolete_roots(struct vmmu_vm *vm)
{
	kvm_make_all_cpus_request(vmmu_to_kvm(vm), KVM_REQ_MMU_FREE_OBSOLETE_ROOTS);
}

/* --- Memslots ----------------------------------------------------------------------------- */

static inline struct vmmu_slot *vmmu_host_slot(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn)
{
	return __gfn_to_memslot(__kvm_memslots(vmmu_to_kvm(vm), space), gfn);
}

/* Nearly always the one that the vCPU had last: each level of each walk asks. */
static inline struct vmmu_slot *vmmu_host_vcpu_slot(struct vmmu_vcpu *v, vmmu_gfn_t gfn)
{
	struct kvm_vcpu *vcpu = vmmu_to_vcpu(v);
	struct kvm_memory_slot *last = vcpu->last_used_slot;

	if (likely(last && kvm_vcpu_memslots(vcpu)->generation == vcpu->last_used_slot_gen &&
		   gfn - last->base_gfn < last->npages))
		return last;
	return kvm_vcpu_gfn_to_memslot(vcpu, gfn);
}

static inline uint64_t vmmu_host_generation(struct vmmu_vcpu *v)
{
	uint64_t generation = READ_ONCE(kvm_vcpu_memslots(vmmu_to_vcpu(v))->generation);

	/* The slot is looked up after the generation was read: see <vmmu/fault.h>. */
	smp_rmb();
	return generation;
}

static inline vmmu_gfn_t vmmu_host_slot_start(const struct vmmu_slot *slot)
{
	return slot->base_gfn;
}

static inline vmmu_gfn_t vmmu_host_slot_end(const struct vmmu_slot *slot)
{
	return slot->base_gfn + slot->npages;
}

static inline int vmmu_host_slot_space(const struct vmmu_slot *slot)
{
	return slot->as_id;
}

static inline bool vmmu_host_slot_logs_dirty(const struct vmmu_slot *slot)
{
	return kvm_slot_dirty_track_enabled(slot);
}

static inline bool vmmu_host_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return slot->arch.lpage_info[level - 2][gfn_to_index(gfn, slot->base_gfn, level)].disallow_lpage;
}

static inline int vmmu_host_prepare_shadow(struct vmmu_vm *vm)
{
	return vmmu_kvm_prepare_shadow(vmmu_to_kvm(vm));
}

static inline vmmu_entry_set *vmmu_host_slot_rmap(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	struct kvm_rmap_head *heads = slot->arch.rmap[level - 1];

	return heads ? &heads[gfn_to_index(gfn, slot->base_gfn, level)].val : NULL;
}

static inline uint16_t *vmmu_host_slot_track(struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	return &slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE][gfn - slot->base_gfn];
}

static inline int *vmmu_host_slot_disallow(struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return &slot->arch.lpage_info[level - 2][gfn_to_index(gfn, slot->base_gfn, level)].disallow_lpage;
}

static inline bool vmmu_host_write_tracked(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	struct vmmu_kvm *vk = container_of(vm, struct vmmu_kvm, vm);

	return (READ_ONCE(vk->tracked) || READ_ONCE(vm->index)) && vmmu_kvm_is_tracked(vk->kvm, gfn);
}

static inline void vmmu_host_mark_dirty(struct vmmu_vm *vm, struct vmmu_vcpu *v, struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	mark_page_dirty_in_slot(vmmu_to_kvm(vm), slot, gfn);
}

static inline int vmmu_host_mapping_level(struct vmmu_vm *vm, const struct vmmu_slot *slot, vmmu_gfn_t gfn,
					  int max_level)
{
	return vmmu_kvm_mapping_level(vmmu_to_kvm(vm), slot, gfn, max_level);
}

/* --- Host frames -------------------------------------------------------------------------- */

static inline int vmmu_host_fault_in(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	return vmmu_kvm_fault_in(vmmu_to_vcpu(v), f);
}

static inline bool vmmu_host_invalidating(struct vmmu_vm *vm)
{
	return smp_load_acquire(&vmmu_to_kvm(vm)->mmu_invalidate_in_progress);
}

/* KVM's sequence would send back every fault for every range: the core knows which ranges there were. */
static inline bool vmmu_host_invalidating_at(struct vmmu_vcpu *v, const struct vmmu_fault *f)
{
	const struct kvm *kvm = vmmu_to_vcpu(v)->kvm;
	unsigned long hva = __gfn_to_hva_memslot(f->slot, f->gfn);

	return vmmu_host_invalidating(v->vm) && hva >= READ_ONCE(kvm->mmu_invalidate_range_start) &&
		hva < READ_ONCE(kvm->mmu_invalidate_range_end);
}

static inline void vmmu_host_invalidation_wait(struct vmmu_vcpu *v)
{
	vmmu_kvm_invalidation_wait(vmmu_to_vcpu(v)->kvm);
}

static inline void vmmu_host_fault_release(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	if (f->slot)
		kvm_release_pfn_clean(f->pfn);
}

static inline int vmmu_host_pfns_atomic(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool write,
					vmmu_pfn_t *pfns, int count)
{
	struct page *pages[16];
	int got;

	/* What is private to the host, as the APIC's page, comes by a fault alone, which tells L1 from L2. */
	if (!kvm_is_visible_memslot(slot) || (write && (slot->flags & KVM_MEM_READONLY)))
		return 0;
	got = gfn_to_page_many_atomic(slot, gfn, pages, min_t(int, count, ARRAY_SIZE(pages)));
	for (int i = 0; i < got; i++)
		pfns[i] = page_to_pfn(pages[i]);
	return got;
}

static inline void vmmu_host_pfn_release(vmmu_pfn_t pfn)
{
	put_page(pfn_to_page(pfn));
}

static inline void vmmu_host_pfn_accessed(vmmu_pfn_t pfn)
{
	kvm_set_pfn_accessed(pfn);
}

static inline void vmmu_host_pfn_dirty(vmmu_pfn_t pfn)
{
	kvm_set_pfn_dirty(pfn);
}

static inline uint64_t vmmu_host_memtype(struct vmmu_vcpu *v, vmmu_gfn_t gfn, bool is_mmio)
{
	return vmmu_kvm_format.ept ? static_call(kvm_x86_get_mt_mask)(vmmu_to_vcpu(v), gfn, is_mmio) : 0;
}

static inline bool vmmu_host_pfn_is_mmio(vmmu_pfn_t pfn)
{
	return vmmu_kvm_pfn_is_device(pfn);
}

/* --- Guest memory that holds guest tables -------------------------------------------------- */

static inline int vmmu_host_gpte_locate(struct vmmu_vcpu *v, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	struct kvm_memory_slot *slot = vmmu_host_vcpu_slot(v, gpa_to_gfn(gpa));

	if (!slot || (slot->flags & KVM_MEMSLOT_INVALID))
		return VMMU_EFAULT;
	at->host = (void *)(__gfn_to_hva_memslot(slot, gpa_to_gfn(gpa)) + offset_in_page(gpa));
	at->gpa = gpa;
	at->writable = !(slot->flags & KVM_MEM_READONLY);
	return VMMU_OK;
}

static inline int vmmu_host_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	u32 narrow;

	if (bytes == sizeof(u64))
		return __get_user(*value, (u64 __user *)at->host) ? VMMU_EFAULT : VMMU_OK;
	if (__get_user(narrow, (u32 __user *)at->host))
		return VMMU_EFAULT;
	*value = narrow;
	return VMMU_OK;
}

static inline int vmmu_host_gpte_cmpxchg(struct vmmu_vcpu *v, const struct vmmu_gpte *at, unsigned int bytes,
					 uint64_t old, uint64_t new_value)
{
	int ret;

	if (bytes == sizeof(u64)) {
		ret = __try_cmpxchg_user((u64 __user *)at->host, &old, new_value, fault64);
	} else {
		u32 narrow = (u32)old;

		ret = __try_cmpxchg_user((u32 __user *)at->host, &narrow, (u32)new_value, fault32);
	}
	if (!ret) {
		kvm_vcpu_mark_page_dirty(vmmu_to_vcpu(v), gpa_to_gfn(at->gpa));
		vmmu_guest_flags_set(v, at->gpa, bytes, old ^ new_value);
	}
	return ret < 0 ? VMMU_EFAULT : ret ? VMMU_EAGAIN : VMMU_OK;
}

static inline int vmmu_host_gpte_read_atomic(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	int ret;

	pagefault_disable();
	ret = vmmu_host_gpte_read(at, bytes, value);
	pagefault_enable();
	return ret;
}

static inline int vmmu_host_gpte_read_run(const struct vmmu_gpte *at, unsigned int bytes, unsigned int count,
					  uint64_t *values)
{
	int ret = VMMU_EFAULT;

	pagefault_disable();
	if (!user_read_access_begin((const void __user *)at->host, bytes * count))
		goto enable;
	for (unsigned int i = 0; i < count; i++) {
		u32 narrow;

		if (bytes == sizeof(u64)) {
			unsafe_get_user(values[i], (u64 __user *)at->host + i, end);
		} else {
			unsafe_get_user(narrow, (u32 __user *)at->host + i, end);
			values[i] = narrow;
		}
	}
	ret = VMMU_OK;
end:
	user_read_access_end();
enable:
	pagefault_enable();
	return ret;
}

static inline int vmmu_host_gpte_locate_in(struct vmmu_vm *vm, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	struct kvm_memory_slot *slot = vmmu_host_slot(vm, space, gpa_to_gfn(gpa));

	if (!slot || (slot->flags & KVM_MEMSLOT_INVALID))
		return VMMU_EFAULT;
	at->host = (void *)(__gfn_to_hva_memslot(slot, gpa_to_gfn(gpa)) + offset_in_page(gpa));
	at->gpa = gpa;
	return VMMU_OK;
}

static inline bool vmmu_host_flags_ac(struct vmmu_vcpu *v)
{
	return static_call(kvm_x86_get_rflags)(vmmu_to_vcpu(v)) & X86_EFLAGS_AC;
}

static inline vmmu_gpa_t vmmu_host_translate_nested(struct vmmu_vcpu *v, vmmu_gpa_t gpa, uint64_t pf,
						    struct vmmu_guest_fault *why)
{
	return vmmu_kvm_translate_nested(vmmu_to_vcpu(v), gpa, pf, why);
}

static inline int vmmu_host_log_nested_write(struct vmmu_vcpu *v, vmmu_gpa_t gpa)
{
	struct kvm_vcpu *vcpu = vmmu_to_vcpu(v);

	if (!kvm_x86_ops.nested_ops->write_log_dirty)
		return VMMU_OK;
	return kvm_x86_ops.nested_ops->write_log_dirty(vcpu, gpa) ? VMMU_EFAULT : VMMU_OK;
}

/* --- Observation -------------------------------------------------------------------------- */

static inline void vmmu_host_leaf_count(struct vmmu_vm *vm, int level, int delta)
{
	kvm_update_page_stats(vmmu_to_kvm(vm), level, delta);
}

static inline void vmmu_host_nx_split_count(struct vmmu_vm *vm, int delta)
{
	vmmu_to_kvm(vm)->stat.nx_lpage_splits += delta;
}

/* These are met in each fault, some several times: nothing is called while nobody listens. */
DECLARE_TRACEPOINT(kvm_tdp_mmu_spte_changed);
DECLARE_TRACEPOINT(kvm_mmu_spte_requested);
DECLARE_TRACEPOINT(kvm_mmu_set_spte);
DECLARE_TRACEPOINT(kvm_mmu_pagetable_walk);
DECLARE_TRACEPOINT(kvm_mmu_paging_element);

static inline void vmmu_host_trace_spte(struct vmmu_vm *vm, int space, vmmu_gfn_t gfn, int level, uint64_t old_spte,
					uint64_t new_spte)
{
	if (tracepoint_enabled(kvm_tdp_mmu_spte_changed))
		vmmu_kvm_trace_spte(space, gfn, level, old_spte, new_spte);
}

static inline void vmmu_host_trace_split(struct vmmu_vm *vm, vmmu_gfn_t gfn, uint64_t spte, int level, int status)
{
	vmmu_kvm_trace_split(gfn, spte, level, status);
}

static inline void vmmu_host_trace_page(struct vmmu_vm *vm, const struct vmmu_page *page, enum vmmu_page_event event)
{
	vmmu_kvm_count_page(page, event);
	vmmu_kvm_trace_page(page, event);
}


static inline void vmmu_host_trace_walk(enum vmmu_walk_event event, uint64_t a, uint64_t b, uint64_t c)
{
	if ((event == VMMU_WALK_START && !tracepoint_enabled(kvm_mmu_pagetable_walk)) ||
	    (event == VMMU_WALK_ELEMENT && !tracepoint_enabled(kvm_mmu_paging_element)))
		return;
	vmmu_kvm_trace_walk(event, a, b, c);
}

static inline void vmmu_host_trace_fault(struct vmmu_vcpu *v, const struct vmmu_fault *f, enum vmmu_fault_event event,
					 uint64_t *sptep, uint64_t spte, int detail)
{
	if ((event == VMMU_FAULT_EV_REQUESTED && !tracepoint_enabled(kvm_mmu_spte_requested)) ||
	    (event == VMMU_FAULT_EV_INSTALLED && !tracepoint_enabled(kvm_mmu_set_spte)))
		return;
	vmmu_kvm_trace_fault(vmmu_to_vcpu(v), f, event, sptep, spte, detail);
}

static inline void vmmu_host_bug(struct vmmu_vm *vm, const char *what)
{
	WARN_ONCE(1, "vmmu: %s\n", what);
	kvm_vm_bugged(vmmu_to_kvm(vm));
}

#endif
