// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's kvmmmu tracepoints, from the distribution's own mmutrace.h. Tools decode the records, so the core's events are
 * put into the shapes that header takes them from; only that header and this file know these shapes.
 */
#include <vmmu/fault.h>
#include "format/spte.h"
#include <vmmu/host.h>

struct kvm_mmu_page {
	u8 mmu_valid_gen;
	gfn_t gfn;
	union kvm_mmu_page_role role;
	int root_count;
	bool unsync;
};

struct kvm_page_fault {
	gpa_t addr;
	u32 error_code;
	gfn_t gfn;
	kvm_pfn_t pfn;
	u8 goal_level;
};

enum {
	RET_PF_CONTINUE = 0,
	RET_PF_RETRY,
	RET_PF_EMULATE,
	RET_PF_INVALID,
	RET_PF_FIXED,
	RET_PF_SPURIOUS,
};

#define ACC_ALL				(VMMU_ACC_X | VMMU_ACC_W | VMMU_ACC_U)
#define get_mmio_spte_generation(spte)	((unsigned int)vmmu_spte_mmio_generation(spte))
#define is_executable_pte(spte)		spte_is_executable(&vmmu_kvm_format, spte)
#define shadow_present_mask		(vmmu_kvm_format.present)
#define shadow_user_mask		(vmmu_kvm_format.ept ? vmmu_kvm_format.readable : vmmu_kvm_format.user)

#define CREATE_TRACE_POINTS
#include "mmu/mmutrace.h"

void vmmu_kvm_trace_page(const struct vmmu_page *page, int event)
{
	struct kvm_mmu_page sp;

	if (!trace_kvm_mmu_get_page_enabled() && !trace_kvm_mmu_prepare_zap_page_enabled() &&
	    !trace_kvm_mmu_unsync_page_enabled() && !trace_kvm_mmu_sync_page_enabled())
		return;
	sp = (struct kvm_mmu_page){
		.mmu_valid_gen = vmmu_to_kvm(page->vm)->arch.mmu_valid_gen,
		.gfn = page->gfn,
		.role = vmmu_kvm_role_word(page->role),
		.root_count = READ_ONCE(page->root_refs),
		.unsync = READ_ONCE(page->s.unsync),
	};
	sp.role.invalid = READ_ONCE(page->invalid);
	switch (event) {
	case VMMU_PAGE_MADE:
	case VMMU_PAGE_FOUND:
		trace_kvm_mmu_get_page(&sp, event == VMMU_PAGE_MADE);
		break;
	case VMMU_PAGE_ZAPPED:
		trace_kvm_mmu_prepare_zap_page(&sp);
		break;
	case VMMU_PAGE_UNSYNC:
		trace_kvm_mmu_unsync_page(&sp);
		break;
	case VMMU_PAGE_SYNC:
		trace_kvm_mmu_sync_page(&sp);
		break;
	}
}

void vmmu_kvm_trace_fault(struct kvm_vcpu *vcpu, const struct vmmu_fault *f, int event, u64 *sptep, u64 spte,
			  int detail)
{
	struct kvm_page_fault fault = {
		.addr = f->addr,
		.error_code = f->error_code,
		.gfn = f->gfn,
		.pfn = f->pfn & ~(vmmu_level_frames(f->goal_level ?: 1) - 1),
		.goal_level = f->goal_level ?: PG_LEVEL_4K,
	};

	switch (event) {
	case VMMU_FAULT_EV_REQUESTED:
		trace_kvm_mmu_spte_requested(&fault);
		break;
	case VMMU_FAULT_EV_INSTALLED:
		trace_kvm_mmu_set_spte(detail, f->gfn, sptep);
		break;
	case VMMU_FAULT_EV_FAST:
		trace_fast_page_fault(vcpu, &fault, sptep, spte,
				      detail == VMMU_FAULT_FIXED ? RET_PF_FIXED : RET_PF_SPURIOUS);
		break;
	case VMMU_FAULT_EV_MMIO_SET:
		trace_mark_mmio_spte(sptep, f->gfn, spte);
		break;
	}
}

void vmmu_kvm_trace_spte(int space, gfn_t gfn, int level, u64 old, u64 new)
{
	trace_kvm_tdp_mmu_spte_changed(space, gfn, level, old, new);
}

void vmmu_kvm_trace_split(gfn_t gfn, u64 spte, int level, int status)
{
	trace_kvm_mmu_split_huge_page(gfn, spte, level, status);
}

void vmmu_kvm_trace_walk(int event, u64 a, u64 b, u64 c)
{
	switch (event) {
	case VMMU_WALK_START:
		trace_kvm_mmu_pagetable_walk(a, b);
		break;
	case VMMU_WALK_ELEMENT:
		trace_kvm_mmu_paging_element(a, b);
		break;
	case VMMU_WALK_SET_ACCESSED:
		trace_kvm_mmu_set_accessed_bit(a, b, c);
		break;
	case VMMU_WALK_SET_DIRTY:
		trace_kvm_mmu_set_dirty_bit(a, b, c);
		break;
	case VMMU_WALK_ERROR:
		trace_kvm_mmu_walker_error(a);
		break;
	}
}

void vmmu_kvm_trace_mmio_checked(u64 spte, u64 kvm_gen)
{
	trace_check_mmio_spte(spte, kvm_gen & VMMU_MMIO_GEN_MASK, vmmu_spte_mmio_generation(spte));
}

void vmmu_kvm_trace_mmio_handled(u64 addr, gfn_t gfn, unsigned int access)
{
	trace_handle_mmio_page_fault(addr, gfn, access);
}

void vmmu_kvm_trace_zap_all_fast(struct kvm *kvm)
{
	trace_kvm_mmu_zap_all_fast(kvm);
}
