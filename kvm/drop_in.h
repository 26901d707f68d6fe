/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The drop-in's own objects and what its files share.
 *
 * The layout of struct kvm, kvm_vcpu and kvm_mmu is the distribution's and cannot grow: other modules are built
 * against it. Members that only KVM's own MMU used hold our pointers:
 *   kvm->arch.split_shadow_page_cache.objects      struct vmmu_kvm
 *   vcpu->arch.mmu_shadow_page_cache.objects       struct vmmu_kvm_vcpu
 *   mmu->pml5_root                                 the vCPU a struct kvm_mmu belongs to
 * Everything else the rest of KVM reads in these structs is a view that this folder keeps true.
 */
#ifndef VMMU_KVM_DROP_IN_H
#define VMMU_KVM_DROP_IN_H

#include <linux/kvm_host.h>
#include <vmmu/fault.h>
#include <vmmu/vm.h>
#include "base/shares.h"

struct vmmu_kvm {
	struct vmmu_vm vm;
	/* What each fault reads and hardly anybody writes, apart from the counters that vm ends with. */
	struct kvm *kvm ____cacheline_aligned_in_smp;
	struct vmmu_shares shares;	/* of mmu_lock, for reading */
	u64 reopen_at;			/* local_clock() from which on they may be opened again */
	unsigned long tracked;		/* frames that are write-tracked for somebody outside;
					 * under mmu_lock for write */
};

struct vmmu_kvm_vcpu {
	struct vmmu_vcpu v;
	struct kvm_vcpu *vcpu;
	struct vmmu_mode l2_mode;	/* how L2's own tables are read, while L1's nested ones are v.nested's */
	struct vmmu_regs l1_regs, l2_regs, npt_regs;	/* what v.l1's mode, l2_mode and v.nested's were last
							 * made from */
	struct vmmu_ept_config ept_config;
	struct {
		bool gbpages, pse36, amd;
	} cpuid;			/* what CPUID tells the guest: a look at it is a search */
};

static inline struct vmmu_kvm *kvm_to_vmmu_kvm(struct kvm *kvm)
{
	return (struct vmmu_kvm *)kvm->arch.split_shadow_page_cache.objects;
}

/* NULL before kvm_mmu_init_vm() and after kvm_mmu_uninit_vm(). */
static inline struct vmmu_vm *kvm_to_vmmu(struct kvm *kvm)
{
	return &kvm_to_vmmu_kvm(kvm)->vm;
}

static inline struct kvm *vmmu_to_kvm(const struct vmmu_vm *vm)
{
	return container_of(vm, struct vmmu_kvm, vm)->kvm;
}

static inline struct vmmu_kvm_vcpu *vcpu_to_vmmu_kvm(struct kvm_vcpu *vcpu)
{
	return (struct vmmu_kvm_vcpu *)vcpu->arch.mmu_shadow_page_cache.objects;
}

static inline struct vmmu_vcpu *vcpu_to_vmmu(struct kvm_vcpu *vcpu)
{
	return &vcpu_to_vmmu_kvm(vcpu)->v;
}

static inline struct kvm_vcpu *vmmu_to_vcpu(const struct vmmu_vcpu *v)
{
	return container_of(v, struct vmmu_kvm_vcpu, v)->vcpu;
}

static inline struct kvm_vcpu *mmu_to_vcpu(const struct kvm_mmu *mmu)
{
	return (struct kvm_vcpu *)mmu->pml5_root;
}

/* The context behind one of the two MMUs that have roots; nested_mmu only walks. */
static inline struct vmmu_context *mmu_to_context(struct kvm_mmu *mmu)
{
	struct kvm_vcpu *vcpu = mmu_to_vcpu(mmu);

	return mmu == &vcpu->arch.guest_mmu ? &vcpu_to_vmmu(vcpu)->nested : &vcpu_to_vmmu(vcpu)->l1;
}

/* module.c: what the vendor module said of the CPU. Constant while VMs exist. */
extern struct vmmu_spte_format vmmu_kvm_format;
extern int vmmu_kvm_huge_level;
int vmmu_kvm_direct_level(struct kvm_vcpu *vcpu);
extern struct kmem_cache *vmmu_kvm_page_cache, *vmmu_kvm_node_cache;
/* For debug builds: see vmmu_host_locks_held(). */
#define VMMU_KVM_LOCK_KINDS 6
DECLARE_PER_CPU(uint8_t [VMMU_KVM_LOCK_KINDS], vmmu_kvm_locks_held);

/* shares.c */
DECLARE_PER_CPU_ALIGNED(struct vmmu_share, vmmu_kvm_share);
/*
 * From now on until mmu_lock is released nobody holds it shared: what the core wants under "vm excl". Context: mmu_lock
 * held for writing, which may be by somebody who knows nothing of shares. Return: it had to wait for somebody.
 */
bool vmmu_kvm_close_shares(struct kvm *kvm);
/* Open them, unless they were closed just now. Context: mmu_lock held for reading. */
void vmmu_kvm_open_shares(struct vmmu_kvm *vk);

/* params.c */
extern bool vmmu_kvm_flush_on_reuse;
extern bool vmmu_kvm_slot_zap_all;
extern bool vmmu_kvm_mmio_caching_wanted;
void vmmu_kvm_params_init(void);
void vmmu_kvm_params_for_vm(struct vmmu_params *params);

/* shrinker.c */
int vmmu_kvm_shrinker_init(void);
void vmmu_kvm_shrinker_exit(void);

/* nx_recovery.c */
void vmmu_kvm_nx_init(void);
bool vmmu_kvm_nx_huge_pages(struct kvm *kvm);

/* vm.c */
void vmmu_kvm_nx_refresh(struct kvm *kvm);
/* Context: kvm->slots_lock. */
void vmmu_kvm_zap_all_fast(struct kvm *kvm);

/* view.c: make the members of @mmu that the rest of KVM reads say what the context says. */
void vmmu_kvm_view_roots(struct kvm_mmu *mmu);
void vmmu_kvm_view_mode(struct kvm_mmu *mmu, const struct vmmu_mode *mode);
/* The role as KVM's tools and the rest of KVM know it. */
union kvm_mmu_page_role vmmu_kvm_role_word(union vmmu_role role);

/* vcpu.c: the context @vcpu runs on now, which is what the core works on from here. */
struct vmmu_context *vmmu_kvm_current_context(struct kvm_vcpu *vcpu);
void vmmu_kvm_fault_ahead(struct kvm_vcpu *vcpu);

void vmmu_kvm_read_pdptes(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu);
void vmmu_kvm_read_guest_root(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu);

/* vm.c */
int vmmu_kvm_prepare_shadow(struct kvm *kvm);

/* walk.c */
struct vmmu_mode *vmmu_kvm_mode(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu);
vmmu_gpa_t vmmu_kvm_translate_nested(struct kvm_vcpu *vcpu, gpa_t gpa, u64 pf, struct vmmu_guest_fault *why);
void vmmu_kvm_exception_from(struct kvm_vcpu *vcpu, const struct kvm_mmu *mmu, const struct vmmu_guest_fault *fault,
			     struct x86_exception *exception);
void vmmu_kvm_update_mode(struct kvm_vcpu *vcpu, struct vmmu_mode *mode, struct vmmu_regs *last);
gpa_t vmmu_kvm_gva_to_gpa(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, gpa_t addr, u64 access,
			  struct x86_exception *exception);

/* fault_in.c */
int vmmu_kvm_fault_in(struct kvm_vcpu *vcpu, struct vmmu_fault *f);
void vmmu_kvm_invalidation_wait(const struct kvm *kvm);
bool vmmu_kvm_pfn_is_device(kvm_pfn_t pfn);
int vmmu_kvm_mapping_level(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn, int max_level);

/* track.c */
bool vmmu_kvm_is_tracked(struct kvm *kvm, gfn_t gfn);

/* trace.c */
void vmmu_kvm_count_page(const struct vmmu_page *page, enum vmmu_page_event event);
void vmmu_kvm_trace_page(const struct vmmu_page *page, int event);
void vmmu_kvm_trace_fault(struct kvm_vcpu *vcpu, const struct vmmu_fault *f, int event, u64 *sptep, u64 spte,
			  int detail);
void vmmu_kvm_trace_spte(int space, gfn_t gfn, int level, u64 old, u64 new);
void vmmu_kvm_trace_split(gfn_t gfn, u64 spte, int level, int status);
void vmmu_kvm_trace_walk(int event, u64 a, u64 b, u64 c);
void vmmu_kvm_trace_mmio_checked(u64 spte, u64 kvm_gen);
void vmmu_kvm_trace_mmio_handled(u64 addr, gfn_t gfn, unsigned int access);
void vmmu_kvm_trace_zap_all_fast(struct kvm *kvm);

/* stats.c */
void vmmu_kvm_stats_add(struct vmmu_kvm *vk);

#endif
