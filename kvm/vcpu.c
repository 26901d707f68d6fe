// SPDX-License-Identifier: GPL-2.0-only
/* Life of a vCPU's MMUs, and the paging mode they are in. */
#include <vmmu/context.h>
#include <asm/vmx.h>
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
	/*
	 * KVM_CAP_VM_DISABLE_NX_HUGE_PAGES is settled once there is a vCPU. And a parameter that changed before the VM was in
	 * the list of VMs has not come to it.
	 */
	mutex_lock(&vcpu->kvm->slots_lock);
	vmmu_kvm_nx_refresh(vcpu->kvm);
	mutex_unlock(&vcpu->kvm->slots_lock);
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
static void switch_root(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, union vmmu_role role, u64 pgd)
{
	if (vmmu_context_switch(vcpu_to_vmmu(vcpu), mmu_to_context(mmu), role, pgd) == VMMU_SWITCH_HIT) {
		kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
		kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
		kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
	}
	vmmu_kvm_view_roots(mmu);
}

static bool has_pdptes(const struct vmmu_context *c)
{
	return c->mode.format == VMMU_FORMAT_PAE || c->mode.format == VMMU_FORMAT_NPT_PAE;
}

/* L1's nested ones are in its memory, where the CPU reads them whenever it likes: at VMRUN is as good as any time. */
void vmmu_kvm_read_pdptes(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	struct vmmu_context *c = mmu_to_context(mmu);

	/* The vendor module names the function after the first switch, when there is no root that could fit anyway. */
	for (int i = 0; c->shadow && has_pdptes(c) && mmu->get_pdptr && i < 4; i++)
		c->pdpte[i] = mmu->get_pdptr(vcpu, i);
}

/* What the guest's registers say when a root is about to be made. */
void vmmu_kvm_read_guest_root(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	struct vmmu_context *c = mmu_to_context(mmu);

	for (int i = 0; has_pdptes(c) && i < 4; i++)
		c->pdpte[i] = mmu->get_pdptr(vcpu, i);
	c->pgd = vmmu_role_is_direct(c->role) ? 0 : mmu->get_guest_pgd(vcpu);
}

/* The CPU walks our tables alone: with paging off in the guest they map gva = gpa, in PAE form. */
static union vmmu_role shadow_role(struct kvm_vcpu *vcpu, const struct vmmu_mode *mode)
{
	int level = mode->root_level > PT32E_ROOT_LEVEL ? mode->root_level : PT32E_ROOT_LEVEL;

	return vmmu_role_legacy(mode, level, is_smm(vcpu), is_guest_mode(vcpu));
}

static void init_l2_walker(struct kvm_vcpu *vcpu);

void kvm_init_mmu(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->arch.root_mmu;
	struct vmmu_context *c = mmu_to_context(mmu);

	if (mmu_is_nested(vcpu)) {
		init_l2_walker(vcpu);
		return;
	}
	vmmu_kvm_update_mode(vcpu, &c->mode, &vcpu_to_vmmu_kvm(vcpu)->l1_regs);
	vmmu_kvm_view_mode(mmu, &c->mode);
	mmu->get_guest_pgd = get_cr3;
	mmu->get_pdptr = kvm_pdptr_read;
	mmu->inject_page_fault = kvm_inject_page_fault;
	mmu->gva_to_gpa = vmmu_kvm_gva_to_gpa;
	mmu->invlpg = NULL;
	c->shadow = !tdp_enabled;
	if (tdp_enabled) {
		switch_root(vcpu, mmu, vmmu_role_direct(vmmu_kvm_direct_level(vcpu), is_smm(vcpu), is_guest_mode(vcpu)), 0);
		return;
	}
	vmmu_kvm_read_pdptes(vcpu, mmu);
	switch_root(vcpu, mmu, shadow_role(vcpu, &c->mode), kvm_read_cr3(vcpu));
}
EXPORT_SYMBOL_GPL(kvm_init_mmu);

/*
 * What the guest changed decides how its own tables are read; a direct root does not depend on it and stays. The CPU
 * gets its root and CR3 anew and forgets the guest's translations, as callers of the reset have always relied on.
 */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu)
{
	int idx;

	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	/* KVM_SET_SREGS and KVM_SET_CPUID come without it, and the root that is left may be zapped. */
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	kvm_init_mmu(vcpu);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
	kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
	kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_reset_context);

void kvm_mmu_after_set_cpuid(struct kvm_vcpu *vcpu)
{
	struct vmmu_kvm_vcpu *vv = vcpu_to_vmmu_kvm(vcpu);

	vv->cpuid.gbpages = guest_cpuid_has(vcpu, X86_FEATURE_GBPAGES);
	vv->cpuid.pse36 = guest_cpuid_has(vcpu, X86_FEATURE_PSE36);
	vv->cpuid.amd = guest_cpuid_is_amd_or_hygon(vcpu);
	kvm_mmu_reset_context(vcpu);
	/* A vCPU that has run cannot change what its CPU is: KVM_SET_CPUID has refused that before. */
	KVM_BUG_ON(vcpu->arch.last_vmentry_cpu != -1, vcpu->kvm);
}

/* CR0.WP may be the guest's to write without an exit: read what it is whenever a permission depends on it. */
void __kvm_mmu_refresh_passthrough_bits(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	struct vmmu_mode *mode = vmmu_kvm_mode(vcpu, mmu);
	bool wp = kvm_read_cr0_bits(vcpu, X86_CR0_WP);

	if (mode->wp == wp)
		return;
	vmmu_mode_set_wp(mode, wp);
	/* Without paging WP means nothing, and stays off in the mode. */
	if (mode->wp == wp)
		vmmu_kvm_view_mode(mmu, mode);
}

/* L1's tables that L2's own are read through: with A and D flags every read of an entry of L2's counts as a write. */
static void follow_nested_flags(struct vmmu_kvm_vcpu *vv)
{
	vv->l2_mode.nested = vv->v.nested.mode.accessed_dirty ? VMMU_NESTED_WRITE : VMMU_NESTED_READ;
}

/* L2's own tables: read by the emulator, never mirrored. What they point at is L2 physical. */
static void init_l2_walker(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->arch.nested_mmu;
	struct vmmu_kvm_vcpu *vv = vcpu_to_vmmu_kvm(vcpu);

	vmmu_kvm_update_mode(vcpu, &vv->l2_mode, &vv->l2_regs);
	follow_nested_flags(vv);
	vmmu_kvm_view_mode(mmu, &vv->l2_mode);
	mmu->get_guest_pgd = get_cr3;
	mmu->get_pdptr = kvm_pdptr_read;
	mmu->inject_page_fault = kvm_inject_page_fault;
	mmu->gva_to_gpa = vmmu_kvm_gva_to_gpa;
	mmu->invlpg = NULL;
}

/* L1 dropped one translation of L2's address: vmx asks by this pointer, without a look whether it is there. */
static void invalidate_nested(struct kvm_vcpu *vcpu, gva_t addr, hpa_t root_hpa)
{
	vmmu_invalidate_address(vcpu_to_vmmu(vcpu), &vcpu_to_vmmu(vcpu)->nested, addr, true);
}

/* From now on guest_mmu mirrors the tables of L1 at @pgd. What L2 does with its registers has no part in it. */
static void init_nested(struct kvm_vcpu *vcpu, union vmmu_role role, u64 pgd)
{
	struct kvm_mmu *mmu = &vcpu->arch.guest_mmu;
	struct vmmu_context *c = mmu_to_context(mmu);

	c->shadow = true;
	c->role = role;
	vmmu_kvm_view_mode(mmu, &c->mode);
	mmu->gva_to_gpa = vmmu_kvm_gva_to_gpa;
	mmu->invlpg = invalidate_nested;
	kvm_mmu_new_pgd(vcpu, pgd);
}

void kvm_init_shadow_npt_mmu(struct kvm_vcpu *vcpu, unsigned long cr0, unsigned long cr4, u64 efer, gpa_t nested_cr3)
{
	struct vmmu_context *c = mmu_to_context(&vcpu->arch.guest_mmu);
	struct vmmu_kvm_vcpu *vv = vcpu_to_vmmu_kvm(vcpu);
	struct vmmu_regs l1 = {
		.cr0 = cr0,
		.cr4 = cr4,
		.efer = efer,
		.reserved_gpa_bits = vcpu->arch.reserved_gpa_bits,
		.gbpages = vv->cpuid.gbpages,
		.pse36 = true,
		.amd = true,
	};

	vmmu_mode_update_npt(&c->mode, &vv->npt_regs, &l1);
	init_nested(vcpu, vmmu_role_npt(&c->mode, vmmu_kvm_direct_level(vcpu), is_smm(vcpu)), nested_cr3);
}
EXPORT_SYMBOL_GPL(kvm_init_shadow_npt_mmu);

void kvm_init_shadow_ept_mmu(struct kvm_vcpu *vcpu, bool execonly, int huge_page_level, bool accessed_dirty, gpa_t new_eptp)
{
	struct vmmu_context *c = mmu_to_context(&vcpu->arch.guest_mmu);
	struct vmmu_kvm_vcpu *vv = vcpu_to_vmmu_kvm(vcpu);
	struct vmmu_ept_config ept = {
		.reserved_gpa_bits = vcpu->arch.reserved_gpa_bits,
		.root_level = (new_eptp & VMX_EPTP_PWL_MASK) == VMX_EPTP_PWL_5 ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL,
		.huge_level = huge_page_level,
		.execonly = execonly,
		.accessed_dirty = accessed_dirty,
	};

	vmmu_mode_update_ept(&c->mode, &vv->ept_config, &ept);
	/* L2 switches EPTPs by VMFUNC without an entry, at which its registers would be looked at anew. */
	follow_nested_flags(vv);
	init_nested(vcpu, vmmu_role_ept(&c->mode, ept.root_level, 0), new_eptp);
}
EXPORT_SYMBOL_GPL(kvm_init_shadow_ept_mmu);
