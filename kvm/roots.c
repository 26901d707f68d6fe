// SPDX-License-Identifier: GPL-2.0-only
/* Roots: loaded, switched, dropped; and the guest's flushes, which only roots that mirror its tables have to follow. */
#include <vmmu/context.h>
#include <vmmu/host.h>

int kvm_mmu_load(struct kvm_vcpu *vcpu)
{
	struct vmmu_context *c = vmmu_kvm_current_context(vcpu);
	int err;

	if (c->shadow)
		vmmu_kvm_read_guest_root(vcpu, vcpu->arch.mmu);
	err = vmmu_root_load(vcpu_to_vmmu(vcpu));
	if (err == VMMU_EFAULT) {
		/* The guest's tables are where no memory is: its next access cannot even fault. */
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return 1;
	}
	if (err)
		return err;
	vmmu_kvm_view_roots(vcpu->arch.mmu);
	vmmu_sync(vcpu_to_vmmu(vcpu), c);
	vmmu_kvm_fault_ahead(vcpu);
	kvm_mmu_load_pgd(vcpu);
	/* The root's memory may have been another root's before, with translations of it still in this CPU's TLB. */
	static_call(kvm_x86_flush_tlb_current)(vcpu);
	return 0;
}

static void unload(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	struct vmmu_vcpu *v = vcpu_to_vmmu(vcpu);
	struct vmmu_context *c = mmu_to_context(mmu);

	vmmu_root_drop_current(v, c);
	vmmu_roots_drop_cached(v, c);
	vmmu_kvm_view_roots(mmu);
}

void kvm_mmu_unload(struct kvm_vcpu *vcpu)
{
	unload(vcpu, &vcpu->arch.root_mmu);
	unload(vcpu, &vcpu->arch.guest_mmu);
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
}

static void drop_obsolete(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	vmmu_roots_drop_obsolete(vcpu_to_vmmu(vcpu), mmu_to_context(mmu));
	vmmu_kvm_view_roots(mmu);
}

void kvm_mmu_free_obsolete_roots(struct kvm_vcpu *vcpu)
{
	drop_obsolete(vcpu, &vcpu->arch.root_mmu);
	drop_obsolete(vcpu, &vcpu->arch.guest_mmu);
}

void kvm_mmu_free_roots(struct kvm *kvm, struct kvm_mmu *mmu, ulong roots_to_free)
{
	struct vmmu_context *c = mmu_to_context(mmu);
	struct vmmu_vcpu *v = vcpu_to_vmmu(mmu_to_vcpu(mmu));

	/* The mask names the cached roots that the view shows; the view has the order of the cache. */
	if ((roots_to_free & KVM_MMU_ROOTS_ALL) == KVM_MMU_ROOTS_ALL)
		vmmu_roots_drop_cached(v, c);
	for (int i = KVM_MMU_NUM_PREV_ROOTS - 1; i >= 0; i--)
		if (roots_to_free & KVM_MMU_ROOT_PREVIOUS(i))
			vmmu_root_drop_cached_one(v, c, i);
	if (roots_to_free & KVM_MMU_ROOT_CURRENT)
		vmmu_root_drop_current(v, c);
	vmmu_kvm_view_roots(mmu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_free_roots);

/* L1 flushed L2's translations; where both have legacy tables of L1's, its own roots are in the same cache, and stay. */
void kvm_mmu_free_guest_mode_roots(struct kvm *kvm, struct kvm_mmu *mmu)
{
	struct vmmu_context *c = mmu_to_context(mmu);

	for (unsigned int i = c->cached; i--;)
		if (c->cache[i].page->role.guest_view)
			vmmu_root_drop_cached_one(vcpu_to_vmmu(mmu_to_vcpu(mmu)), c, i);
	vmmu_kvm_view_roots(mmu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_free_guest_mode_roots);

void kvm_mmu_new_pgd(struct kvm_vcpu *vcpu, gpa_t new_pgd)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	struct vmmu_context *c = mmu_to_context(mmu);
	enum vmmu_switch found;
	bool unseen;

	vmmu_kvm_read_pdptes(vcpu, mmu);
	found = vmmu_context_switch(vcpu_to_vmmu(vcpu), c, c->role, new_pgd);
	vmmu_kvm_view_roots(mmu);
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	if (found == VMMU_SWITCH_MISS)
		return;
	/* A VM entry of VMX asks for no sync, which is where it is done otherwise. */
	if (is_guest_mode(vcpu))
		vmmu_kvm_fault_ahead(vcpu);
	kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
	/*
	 * The rest of KVM drops roots that the guest flushed while they were cached, as far as it sees them. Those it does
	 * not see are synced. For L1's nested tables that flushes what it takes away, and nothing else is stale.
	 */
	unseen = found == VMMU_SWITCH_HIT && c->shadow && c->hit_unseen;
	if (vmmu_kvm_flush_on_reuse || unseen)
		kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
	if (vmmu_kvm_flush_on_reuse || (unseen && !vmmu_format_is_nested_tdp(c->mode.format)))
		kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_new_pgd);

void kvm_mmu_sync_roots(struct kvm_vcpu *vcpu)
{
	struct vmmu_context *c = vmmu_kvm_current_context(vcpu);

	if (!c->shadow)
		return;
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	vmmu_sync(vcpu_to_vmmu(vcpu), c);
	vmmu_kvm_fault_ahead(vcpu);
}

void kvm_mmu_sync_prev_roots(struct kvm_vcpu *vcpu)
{
	vmmu_sync_cached(vcpu_to_vmmu(vcpu), vmmu_kvm_current_context(vcpu));
	vmmu_kvm_view_roots(vcpu->arch.mmu);
}

void kvm_mmu_invalidate_gva(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, gva_t gva, hpa_t root_hpa)
{
	/* For guest_mmu the address is a guest physical one, which no TLB flush by linear address finds. */
	if (mmu != &vcpu->arch.guest_mmu) {
		if (is_noncanonical_address(gva, vcpu))
			return;
		static_call(kvm_x86_flush_tlb_gva)(vcpu, gva);
	}
	if (mmu == &vcpu->arch.nested_mmu)
		return;
	/* The emulator goes by it without a walk: also for an address that is the APIC's page by now, which has an exit. */
	vcpu_clear_mmio_info(vcpu, gva);
	/*
	 * One root or all: an entry too many that goes costs a fault, no more. Without PCIDs a load of CR3, which every way back to
	 * a cached root of the guest's own begins with, flushes and syncs.
	 */
	vmmu_invalidate_address(vcpu_to_vmmu(vcpu), mmu_to_context(mmu), gva,
				mmu != &vcpu->arch.root_mmu || kvm_read_cr4_bits(vcpu, X86_CR4_PCIDE));
}

void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva)
{
	kvm_mmu_invalidate_gva(vcpu, vcpu->arch.walk_mmu, gva, INVALID_PAGE);
	++vcpu->stat.invlpg;
}
EXPORT_SYMBOL_GPL(kvm_mmu_invlpg);

void kvm_mmu_invpcid_gva(struct kvm_vcpu *vcpu, gva_t gva, unsigned long pcid)
{
	vcpu_clear_mmio_info(vcpu, gva);
	vmmu_invalidate_address(vcpu_to_vmmu(vcpu), vmmu_kvm_current_context(vcpu), gva, true);
	/* By VPID or ASID, whatever the PCID. */
	static_call(kvm_x86_flush_tlb_gva)(vcpu, gva);
	++vcpu->stat.invlpg;
}
