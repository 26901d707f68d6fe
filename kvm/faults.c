// SPDX-License-Identifier: GPL-2.0-only
/* Faults, from the vendor module's exit to the guest's next entry. */
#include <vmmu/context.h>
#include <vmmu/fault.h>
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "trace.h"

/* What the exit handlers of the vendor modules want to hear. */
#define RESUME_GUEST 1

/*
 * Largest page for @gpa over which the guest's MTRRs agree, where they count: EPT with DMA that does not snoop. They
 * say nothing of an address of L2's.
 */
static u8 mtrr_level(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	int level = KVM_MAX_HUGEPAGE_LEVEL;

	if (!vmmu_kvm_format.ept || !vcpu->arch.mmu->root_role.direct || !kvm_arch_has_noncoherent_dma(vcpu->kvm))
		return level;
	for (; level > PG_LEVEL_4K; level--)
		if (kvm_mtrr_check_gfn_range_consistency(vcpu, vmmu_gfn_round(gpa_to_gfn(gpa), level),
							 KVM_PAGES_PER_HPAGE(level)))
			break;
	return level;
}

/* KVM's statistics of a fault. A prefetch is no fault of the guest, and counts only if it did something. */
static void count_fault(struct kvm_vcpu *vcpu, const struct vmmu_fault *f, enum vmmu_fault_result result)
{
	if (result == VMMU_FAULT_FIXED)
		vcpu->stat.pf_fixed++;
	vcpu->stat.pf_fast += f->fast;
	vcpu->stat.pf_mmio_spte_created += f->mmio_made;
	if (f->prefetch)
		return;
	vcpu->stat.pf_taken++;
	if (result == VMMU_FAULT_EMULATE)
		vcpu->stat.pf_emulate++;
	else if (result == VMMU_FAULT_SPURIOUS)
		vcpu->stat.pf_spurious++;
}

static enum vmmu_fault_result fault(struct kvm_vcpu *vcpu, gpa_t addr, u64 error_code, bool prefetch, int *error,
				    bool *own_table)
{
	struct vmmu_fault f = {
		.addr = addr,
		.error_code = error_code,
		.prefetch = prefetch,
		.max_level = mtrr_level(vcpu, addr),
	};
	enum vmmu_fault_result result;

	vmmu_kvm_current_context(vcpu);
	result = vmmu_fault(vcpu_to_vmmu(vcpu), &f);
	count_fault(vcpu, &f, result);
	*error = f.error;
	*own_table = f.own_table;
	if (result == VMMU_FAULT_INJECT && !prefetch) {
		struct x86_exception exception;

		vmmu_kvm_exception_from(vcpu, vcpu->arch.mmu, &f.guest, &exception);
		kvm_inject_emulated_page_fault(vcpu, &exception);
	}
	return result;
}

/* L2 is about to run on the current root: see vmmu_fault_ahead(). */
void vmmu_kvm_fault_ahead(struct kvm_vcpu *vcpu)
{
	struct vmmu_vcpu *v = vcpu_to_vmmu(vcpu);

	if (!v->told.pending || vcpu->arch.mmu != &vcpu->arch.guest_mmu)
		return;
	vmmu_kvm_current_context(vcpu);
	vmmu_fault_ahead(v, mtrr_level(vcpu, v->told.addr));
}

/* A nested guest's addresses are not the cache's: it holds L1's. */
static bool mmio_is_cached(struct kvm_vcpu *vcpu, gpa_t addr)
{
	if (mmu_is_nested(vcpu))
		return false;
	return vcpu->arch.mmu->root_role.direct && tdp_enabled ? vcpu_match_mmio_gpa(vcpu, addr) :
		vcpu_match_mmio_gva(vcpu, addr);
}

/* A fault on a reserved bit, or a misconfigured entry: MMIO, if we made it so. Return: NONE to serve it as a fault. */
static enum vmmu_mmio_result mmio(struct kvm_vcpu *vcpu, gpa_t addr)
{
	u64 kvm_gen = kvm_vcpu_memslots(vcpu)->generation, spte;
	enum vmmu_mmio_result found;
	unsigned int access;
	bool direct = vcpu->arch.mmu->root_role.direct && tdp_enabled;
	gfn_t gfn;

	if (mmio_is_cached(vcpu, addr))
		return VMMU_MMIO_VALID;
	vmmu_kvm_current_context(vcpu);
	found = vmmu_mmio_lookup(vcpu_to_vmmu(vcpu), addr, kvm_gen, &gfn, &access, &spte);
	if (found == VMMU_MMIO_VALID || found == VMMU_MMIO_STALE)
		vmmu_kvm_trace_mmio_checked(spte, kvm_gen);
	/* While memslots change hands no entry is good, whatever its generation. */
	if (found == VMMU_MMIO_VALID && (kvm_gen & KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS))
		return VMMU_MMIO_STALE;
	if (found == VMMU_MMIO_VALID) {
		vmmu_kvm_trace_mmio_handled(direct ? 0 : addr, gfn, access);
		vcpu_cache_mmio_info(vcpu, direct ? 0 : addr, gfn, access);
	}
	return found;
}

static int emulate(struct kvm_vcpu *vcpu, gpa_t addr, u64 error_code, bool own_table, void *insn, int insn_len)
{
	int type = EMULTYPE_PF | (own_table ? EMULTYPE_WRITE_PF_TO_SP : 0);

	/*
	 * The CPU wrote an A or D bit of a guest table that is tracked, so there is no instruction to emulate: let go
	 * of the frame and let it try again.
	 */
	if (vcpu->arch.mmu->root_role.direct && (error_code & PFERR_NESTED_GUEST_PAGE) == PFERR_NESTED_GUEST_PAGE) {
		kvm_mmu_unprotect_page(vcpu->kvm, gpa_to_gfn(addr));
		return RESUME_GUEST;
	}
	/*
	 * An MMIO access faults again however often it is retried; L2's instruction cannot be helped by
	 * letting go of a frame of L1's.
	 */
	if (!mmio_is_cached(vcpu, addr) && !is_guest_mode(vcpu))
		type |= EMULTYPE_ALLOW_RETRY_PF;
	return x86_emulate_instruction(vcpu, addr, type, insn, insn_len);
}

int noinline kvm_mmu_page_fault(struct kvm_vcpu *vcpu, gpa_t addr, u64 error_code, void *insn, int insn_len)
{
	bool own_table;
	int error;

	if (WARN_ON_ONCE(!VALID_PAGE(vcpu->arch.mmu->root.hpa)))
		return RESUME_GUEST;
	if (unlikely(error_code & PFERR_RSVD_MASK)) {
		switch (mmio(vcpu, addr)) {
		case VMMU_MMIO_VALID:
			return x86_emulate_instruction(vcpu, addr, EMULTYPE_PF, insn, insn_len);
		case VMMU_MMIO_NONE:
			/* The entry has gone since: the guest finds out what is there now. */
			return RESUME_GUEST;
		case VMMU_MMIO_BUG:
			WARN_ONCE(1, "vmmu: reserved bits in an entry for gpa %llx\n", addr);
			return -EINVAL;
		case VMMU_MMIO_STALE:
			break;
		}
	}
	switch (fault(vcpu, addr, lower_32_bits(error_code), false, &error, &own_table)) {
	case VMMU_FAULT_EMULATE:
		return emulate(vcpu, addr, error_code, own_table, insn, insn_len);
	case VMMU_FAULT_ERROR:
		return error;
	default:
		return RESUME_GUEST;
	}
}
EXPORT_SYMBOL_GPL(kvm_mmu_page_fault);

int kvm_mmu_unprotect_page(struct kvm *kvm, gfn_t gfn)
{
	return vmmu_unprotect(kvm_to_vmmu(kvm), gfn);
}

/* An event is being delivered again: what its delivery writes must not fault on a protected table for ever. */
static void unprotect_for_reinjection(struct kvm_vcpu *vcpu, gva_t addr)
{
	gpa_t gpa;

	if (vcpu->arch.mmu->root_role.direct)
		return;
	gpa = kvm_mmu_gva_to_gpa_read(vcpu, addr, NULL);
	if (gpa != INVALID_GPA)
		kvm_mmu_unprotect_page(vcpu->kvm, gpa_to_gfn(gpa));
}

int kvm_handle_page_fault(struct kvm_vcpu *vcpu, u64 error_code, u64 fault_address, char *insn, int insn_len)
{
	u32 flags = vcpu->arch.apf.host_apf_flags;

	vcpu->arch.l1tf_flush_l1d = true;
	if (!flags) {
		trace_kvm_page_fault(vcpu, fault_address, error_code);
		if (kvm_event_needs_reinjection(vcpu))
			unprotect_for_reinjection(vcpu, fault_address);
		return kvm_mmu_page_fault(vcpu, fault_address, error_code, insn, insn_len);
	}
	/* Not the guest's fault but the host's own, by its hypervisor: a page of this task is not there yet. */
	if (WARN_ONCE(!(flags & KVM_PV_REASON_PAGE_NOT_PRESENT), "vmmu: unknown async page fault, flags %x\n", flags))
		return RESUME_GUEST;
	vcpu->arch.apf.host_apf_flags = 0;
	local_irq_disable();
	kvm_async_pf_task_wait_schedule(fault_address);
	local_irq_enable();
	return RESUME_GUEST;
}
EXPORT_SYMBOL_GPL(kvm_handle_page_fault);

/*
 * A page that was being read from the host's disk has come: map it ahead of the guest, if the
 * guest still is where it was.
 */
void kvm_arch_async_page_ready(struct kvm_vcpu *vcpu, struct kvm_async_pf *work)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	bool own_table;
	int error;

	if (work->wakeup_all || work->arch.direct_map != mmu->root_role.direct)
		return;
	if (kvm_mmu_reload(vcpu))
		return;
	if (!mmu->root_role.direct && work->arch.cr3 != mmu->get_guest_pgd(vcpu))
		return;
	fault(vcpu, work->cr2_or_gpa, 0, true, &error, &own_table);
}
