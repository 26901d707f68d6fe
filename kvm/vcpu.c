// SPDX-License-Identifier: GPL-2.0-only
/* Life of a vCPU's MMUs, and the paging mode they are in. */
#include <vmmu/context.h>
#include <vmmu/host.h>

static void mmu_init(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	mmu->pml5_root = (u64 *)vcpu;
	vmmu_kvm_view_roots(mmu);
}

int kvm_mmu_create(struct kvm_vcpu *vcpu)
{
	struct vmmu_kvm_vcpu *vv = kvzalloc(sizeof(*vv), GFP_KERNEL_ACCOUNT);

	if (!vv)
		return -ENOMEM;
	vv->vcpu = vcpu;
	vcpu->arch.mmu_shadow_page_cache.objects = (void **)vv;
	vcpu->arch.mmu = &vcpu->arch.root_mmu;
	vcpu->arch.walk_mmu = &vcpu->arch.root_mmu;
	vmmu_vcpu_init(&vv->v, kvm_to_vmmu(vcpu->kvm));
	mmu_init(vcpu, &vcpu->arch.root_mmu);
	mmu_init(vcpu, &vcpu->arch.guest_mmu);
	/* KVM_CAP_VM_DISABLE_NX_HUGE_PAGES is settled once there is a vCPU. */
	vmmu_kvm_nx_refresh(vcpu->kvm);
	return 0;
}

void kvm_mmu_destroy(struct kvm_vcpu *vcpu)
{
	struct vmmu_kvm_vcpu *vv = vcpu_to_vmmu_kvm(vcpu);

	if (!vv)
		return;
	kvm_mmu_unload(vcpu);
	vmmu_vcpu_destroy(&vv->v);
	vcpu->arch.mmu_shadow_page_cache.objects = NULL;
	kvfree(vv);
}

struct vmmu_context *vmmu_kvm_current_context(struct kvm_vcpu *vcpu)
{
	struct vmmu_vcpu *v = vcpu_to_vmmu(vcpu);

	v->current_context = mmu_to_context(vcpu->arch.mmu);
	return v->current_context;
}

static unsigned long get_cr3(struct kvm_vcpu *vcpu)
{
	return kvm_read_cr3(vcpu);
}

/* Make the context's root the one for @role; a root that was not current before needs loading, and its own TLB entries. */
static void switch_root(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, union vmmu_role role)
{
	if (vmmu_context_switch(vcpu_to_vmmu(vcpu), mmu_to_context(mmu), role, 0) == VMMU_SWITCH_HIT) {
		kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
		kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
	}
	vmmu_kvm_view_roots(mmu);
}

void kvm_init_mmu(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->arch.root_mmu;
	struct vmmu_context *c = mmu_to_context(mmu);

	vmmu_kvm_mode_from_vcpu(vcpu, &c->mode);
	vmmu_kvm_view_mode(mmu, &c->mode);
	mmu->get_guest_pgd = get_cr3;
	mmu->get_pdptr = kvm_pdptr_read;
	mmu->inject_page_fault = kvm_inject_page_fault;
	mmu->gva_to_gpa = vmmu_kvm_gva_to_gpa;
	mmu->invlpg = NULL;
	switch_root(vcpu, mmu, vmmu_role_direct(vmmu_kvm_direct_level(vcpu), is_smm(vcpu), is_guest_mode(vcpu)));
}
EXPORT_SYMBOL_GPL(kvm_init_mmu);

/*
 * What the guest changed decides how its own tables are read; a direct root does not depend on it and stays. The CPU
 * gets its root and CR3 anew and forgets the guest's translations, as callers of the reset have always relied on.
 */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu)
{
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	kvm_init_mmu(vcpu);
	kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
	kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_reset_context);

void kvm_mmu_after_set_cpuid(struct kvm_vcpu *vcpu)
{
	kvm_mmu_reset_context(vcpu);
	/* A vCPU that has run cannot change what its CPU is: KVM_SET_CPUID has refused that before. */
	KVM_BUG_ON(vcpu->arch.last_vmentry_cpu != -1, vcpu->kvm);
}

/* CR0.WP may be the guest's to write without an exit: read what it is whenever a permission depends on it. */
void __kvm_mmu_refresh_passthrough_bits(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	struct vmmu_mode *mode = &mmu_to_context(mmu)->mode;
	bool wp = kvm_read_cr0_bits(vcpu, X86_CR0_WP);

	if (mode->wp == wp)
		return;
	vmmu_mode_set_wp(mode, wp);
	vmmu_kvm_view_mode(mmu, mode);
}

/*
 * Nested virtualization is switched off where the vendor modules are initialised, so that no guest gets here. A
 * caller that does is stopped instead of running on a wrong table.
 */
void kvm_init_shadow_npt_mmu(struct kvm_vcpu *vcpu, unsigned long cr0, unsigned long cr4, u64 efer, gpa_t nested_cr3)
{
	KVM_BUG(1, vcpu->kvm, "vmmu: nested NPT is not available");
}
EXPORT_SYMBOL_GPL(kvm_init_shadow_npt_mmu);

void kvm_init_shadow_ept_mmu(struct kvm_vcpu *vcpu, bool execonly, int huge_page_level, bool accessed_dirty, gpa_t new_eptp)
{
	KVM_BUG(1, vcpu->kvm, "vmmu: nested EPT is not available");
}
EXPORT_SYMBOL_GPL(kvm_init_shadow_ept_mmu);
