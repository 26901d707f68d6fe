// SPDX-License-Identifier: GPL-2.0-only
/* Guest addresses for the emulator and for everybody else who looks through a vCPU's eyes. */
#include <vmmu/walk.h>
#include <asm/vmx.h>
#include <vmmu/host.h>

/* Have @mode, made from *@last before, follow the vCPU's registers. */
void vmmu_kvm_update_mode(struct kvm_vcpu *vcpu, struct vmmu_mode *mode, struct vmmu_regs *last)
{
	const struct vmmu_kvm_vcpu *vv = vcpu_to_vmmu_kvm(vcpu);
	struct vmmu_regs regs = {
		.cr0 = kvm_read_cr0_bits(vcpu, X86_CR0_PG | X86_CR0_WP),
		.cr4 = kvm_read_cr4_bits(vcpu, KVM_MMU_CR4_ROLE_BITS),
		.efer = vcpu->arch.efer,
		.reserved_gpa_bits = vcpu->arch.reserved_gpa_bits,
		/* Under nested paging the CPU walks the guest's tables and takes what it can, whatever CPUID says. */
		.gbpages = tdp_enabled ? boot_cpu_has(X86_FEATURE_GBPAGES) : vv->cpuid.gbpages,
		.pse36 = tdp_enabled || vv->cpuid.pse36,
		.amd = vv->cpuid.amd,
	};

	vmmu_mode_update_legacy(mode, last, &regs);
}

struct vmmu_mode *vmmu_kvm_mode(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu)
{
	return mmu == &vcpu->arch.nested_mmu ? &vcpu_to_vmmu_kvm(vcpu)->l2_mode : &mmu_to_context(mmu)->mode;
}

/*
 * What an access through @mmu found, for the injection by the rest of KVM. A fault of the outer of two stages is L1's
 * to hear; of an EPT it hears by the exit qualification, whose bits on the linear address are the CPU's own.
 */
void vmmu_kvm_exception_from(struct kvm_vcpu *vcpu, const struct kvm_mmu *mmu, const struct vmmu_guest_fault *fault,
			     struct x86_exception *exception)
{
	bool nested = mmu != vcpu->arch.walk_mmu || fault->stage != VMMU_STAGE_TABLES;

	if (nested && vcpu_to_vmmu(vcpu)->nested.mode.format == VMMU_FORMAT_EPT && !fault->misconfig)
		vcpu->arch.exit_qualification = (vcpu->arch.exit_qualification &
			(EPT_VIOLATION_GVA_IS_VALID | EPT_VIOLATION_GVA_TRANSLATED)) | fault->ept_qual;
	*exception = (struct x86_exception){
		.vector = PF_VECTOR,
		.error_code_valid = true,
		.error_code = (u16)fault->error_code,
		.nested_page_fault = nested,
		.address = fault->address,
	};
}

static const u64 *pdptrs_of(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, const struct vmmu_mode *mode, u64 *pdptrs)
{
	if (mode->format != VMMU_FORMAT_PAE)
		return NULL;
	for (int i = 0; i < 4; i++)
		pdptrs[i] = mmu->get_pdptr(vcpu, i);
	return pdptrs;
}

static gpa_t translate(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, gpa_t addr, const struct vmmu_access *how,
		       struct vmmu_guest_fault *fault)
{
	const struct vmmu_mode *mode = vmmu_kvm_mode(vcpu, mmu);
	u64 pdptrs[4];
	gpa_t gpa;

	do {
		fault->race = false;
		gpa = vmmu_translate(vcpu_to_vmmu(vcpu), mode, mmu->get_guest_pgd(vcpu),
				     pdptrs_of(vcpu, mmu, mode, pdptrs), addr, how, fault);
	} while (gpa == VMMU_GPA_INVALID && fault->race);
	return gpa;
}

/* L2's address to L1's, by L1's nested tables. @pf: as the core gives it, U included. */
vmmu_gpa_t vmmu_kvm_translate_nested(struct kvm_vcpu *vcpu, gpa_t gpa, u64 pf, struct vmmu_guest_fault *why)
{
	struct vmmu_access how = {
		.pf = pf,
		.read_too = (pf & VMMU_PF_TABLE) && (pf & VMMU_PF_W),
	};

	return translate(vcpu, vcpu->arch.mmu, gpa, &how, why);
}

/*
 * kvm_mmu.gva_to_gpa. @access: PFERR_* of the access. With @exception NULL, or an address without translation,
 * no more than INVALID_GPA is told.
 */
gpa_t vmmu_kvm_gva_to_gpa(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, gpa_t addr, u64 access,
			  struct x86_exception *exception)
{
	struct vmmu_guest_fault fault = { 0 };
	struct vmmu_access how = {
		.pf = access,
		.pkru = vcpu->arch.pkru,
		.ac = static_call(kvm_x86_get_rflags)(vcpu) & X86_EFLAGS_AC,
	};
	gpa_t gpa;

	kvm_mmu_refresh_passthrough_bits(vcpu, mmu);
	gpa = translate(vcpu, mmu, addr, &how, &fault);
	if (gpa == VMMU_GPA_INVALID && exception)
		vmmu_kvm_exception_from(vcpu, mmu, &fault, exception);
	return gpa == VMMU_GPA_INVALID ? INVALID_GPA : gpa;
}
