// SPDX-License-Identifier: GPL-2.0-only
/* The memory behind a guest frame: found, waited for, or reported missing. */
#include <linux/delay.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <asm/e820/api.h>
#include <asm/memtype.h>
#include <asm/vmx.h>
#include <vmmu/host.h>
#include <trace/events/kvm.h>

/* Most invalidations are over within microseconds; those of large ranges take milliseconds. */
#define INVALIDATION_SPINS	100
#define INVALIDATION_SLEEP_US	50

/* A token names one page the guest waits for; 0 means none. */
static u32 next_apf_token(struct kvm_vcpu *vcpu)
{
	u32 token;

	do
		token = vcpu->arch.apf.id++ << 12;
	while (!token);
	return token | vcpu->vcpu_id;
}

static bool setup_async_pf(struct kvm_vcpu *vcpu, const struct vmmu_fault *f)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	struct kvm_arch_async_pf arch = {
		.token = next_apf_token(vcpu),
		.gfn = f->gfn,
		.direct_map = mmu->root_role.direct,
		.cr3 = mmu->get_guest_pgd(vcpu),
	};

	return kvm_setup_async_pf(vcpu, f->addr, kvm_vcpu_gfn_to_hva(vcpu, f->gfn), &arch);
}

/* The page has to be read in first. Return: true if the guest can do something else meanwhile. */
static bool guest_can_wait(struct kvm_vcpu *vcpu, const struct vmmu_fault *f)
{
	if (f->prefetch || !kvm_can_do_async_pf(vcpu))
		return false;
	trace_kvm_try_async_get_page(f->addr, f->gfn);
	if (!kvm_find_async_pf_gfn(vcpu, f->gfn))
		return setup_async_pf(vcpu, f);
	/* It was told already and comes back all the same: halt it until the page is there. */
	trace_kvm_async_pf_repeated_fault(f->addr, f->gfn);
	kvm_make_request(KVM_REQ_APF_HALT, vcpu);
	return true;
}

static int no_memory(struct kvm_vcpu *vcpu, struct vmmu_fault *f)
{
	f->slot = NULL;
	f->writable = false;
	vcpu_cache_mmio_info(vcpu, vcpu->arch.mmu->root_role.direct && tdp_enabled ? 0 : f->addr, f->gfn,
			     f->access & vmmu_kvm_format.mmio_access);
	return 0;
}

static int bad_memory(struct kvm_vcpu *vcpu, struct vmmu_fault *f)
{
	if (f->pfn == KVM_PFN_ERR_RO_FAULT)
		return VMMU_FAULT_EMULATE;
	if (f->pfn == KVM_PFN_ERR_HWPOISON) {
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)kvm_vcpu_gfn_to_hva(vcpu, f->gfn), PAGE_SHIFT, current);
		return VMMU_FAULT_RETRY;
	}
	f->error = -EFAULT;
	return VMMU_FAULT_ERROR;
}

/*
 * A vCPU that came back at once, over and over, would take the CPU from the very thread that it waits for: KSM's has
 * less weight than a vCPU's.
 */
void vmmu_kvm_invalidation_wait(const struct kvm *kvm)
{
	for (int i = 0; i < INVALIDATION_SPINS; i++) {
		if (!READ_ONCE(kvm->mmu_invalidate_in_progress))
			return;
		cpu_relax();
	}
	usleep_range(INVALIDATION_SLEEP_US, 2 * INVALIDATION_SLEEP_US);
}

static void look_up(struct kvm_memory_slot *slot, struct vmmu_fault *f, bool *async)
{
	f->pfn = __gfn_to_pfn_memslot(slot, f->gfn, false, async, vmmu_fault_is_write(f), &f->writable, NULL);
}

int vmmu_kvm_fault_in(struct kvm_vcpu *vcpu, struct vmmu_fault *f)
{
	struct kvm_memory_slot *slot = f->slot;
	bool async = false;

	if (!slot)
		return no_memory(vcpu, f);
	/* On its way out: wait for what comes, so that nothing is mapped from either side of the change. */
	if (slot->flags & KVM_MEMSLOT_INVALID)
		return VMMU_FAULT_RETRY;
	if (!kvm_is_visible_memslot(slot)) {
		/* L1 gave L2 no such page. */
		if (is_guest_mode(vcpu))
			return no_memory(vcpu, f);
		/* Not remembered as MMIO, since the page comes back when the APIC is accelerated again. */
		if (slot->id == APIC_ACCESS_PAGE_PRIVATE_MEMSLOT && !kvm_apicv_activated(vcpu->kvm))
			return VMMU_FAULT_EMULATE;
	}

	look_up(slot, f, &async);
	if (async) {
		if (guest_can_wait(vcpu, f))
			return VMMU_FAULT_RETRY;
		look_up(slot, f, NULL);
	}
	/*
	 * To give the guest a page of its own invalidates the one it has shared: that must not cost it another fault.
	 */
	if (!is_error_noslot_pfn(f->pfn) && vmmu_fault_look_again(vcpu_to_vmmu(vcpu), f)) {
		kvm_release_pfn_clean(f->pfn);
		if (!vmmu_fault_mark(vcpu_to_vmmu(vcpu), f))
			return VMMU_FAULT_RETRY;
		look_up(slot, f, NULL);
	}
	if (is_error_noslot_pfn(f->pfn))
		return bad_memory(vcpu, f);
	return 0;
}

/*
 * Device memory, which must not be cached and is never encrypted. Reserved pages count, but not those that the host
 * maps cached, such as persistent memory.
 */
bool vmmu_kvm_pfn_is_device(kvm_pfn_t pfn)
{
	if (!pfn_valid(pfn))
		return !e820__mapped_raw_any(PFN_PHYS(pfn), PFN_PHYS(pfn + 1) - 1, E820_TYPE_RAM);
	if (is_zero_pfn(pfn) || !PageReserved(pfn_to_page(pfn)))
		return false;
	return !pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn);
}

/* Size of the host's mapping at @hva. Context: interrupts off, which keeps the host's tables from being freed. */
static int host_level(struct mm_struct *mm, unsigned long hva)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	/* Each entry is read once: it can become a large page or go between two looks at it. */
	if (!pgd_present(pgd))
		return PG_LEVEL_4K;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		return PG_LEVEL_4K;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!pud_present(pud) || pud_leaf(pud))
		return pud_present(pud) ? PG_LEVEL_1G : PG_LEVEL_4K;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	return pmd_present(pmd) && pmd_leaf(pmd) ? PG_LEVEL_2M : PG_LEVEL_4K;
}

int vmmu_kvm_mapping_level(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn, int max_level)
{
	unsigned long flags;
	int level;

	local_irq_save(flags);
	level = host_level(kvm->mm, __gfn_to_hva_memslot(slot, gfn));
	local_irq_restore(flags);
	return min(level, max_level);
}
