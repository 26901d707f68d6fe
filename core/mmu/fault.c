/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The way of a fault: see fault.h. Which engine serves it is decided by the identity of the root alone. */
#include <vmmu/fault.h>
#include <vmmu/context.h>
#include <vmmu/host.h>
#include "base/count.h"
#include "engine/direct.h"
#include "format/spte.h"
#include "page/page.h"

/* Largest page that slot, host and CPU allow for @f, and the one to install. Context: vm shared. */
static void choose_level(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	struct vmmu_vm *vm = v->vm;
	int level = f->max_level < vm->huge_level_max ? f->max_level : vm->huge_level_max;

	f->req_level = f->goal_level = VMMU_LEVEL_4K;
	if (!f->slot || vmmu_host_slot_logs_dirty(f->slot))
		return;
	while (level > VMMU_LEVEL_4K && vmmu_host_slot_huge_disallowed(f->slot, f->gfn, level))
		level--;
	if (level > VMMU_LEVEL_4K)
		level = vmmu_host_mapping_level(vm, f->slot, f->gfn, level);
	f->req_level = f->goal_level = (uint8_t)level;
	if (level > VMMU_LEVEL_4K && vmmu_fault_is_fetch(f) && flag_load(&vm->nx_huge_pages)) {
		f->huge_disallowed = true;
		f->goal_level = VMMU_LEVEL_4K;
	}
}

/* The part under the lock: nothing in it sleeps. */
static enum vmmu_fault_result map_locked(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	struct vmmu_page *root = v->current_context->root.page;
	enum vmmu_fault_result result;

	if (vmmu_root_is_obsolete(v->current_context) || vmmu_host_fault_stale(v, f))
		return VMMU_FAULT_RETRY;
	choose_level(v, f);
	result = vmmu_direct_map(v, root, f);
	if (result == VMMU_FAULT_FIXED)
		vmmu_direct_prefetch(v, root, f);
	return result;
}

static enum vmmu_fault_result fault_slow(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	enum vmmu_fault_result result;
	int stop;

	f->error = vmmu_pool_fill(v);
	if (f->error)
		return VMMU_FAULT_ERROR;
	stop = vmmu_host_fault_in(v, f);
	if (stop)
		return (enum vmmu_fault_result)stop;
	vmmu_host_lock_shared(v->vm);
	result = map_locked(v, f);
	vmmu_host_unlock_shared(v->vm);
	vmmu_host_fault_release(v, f);
	return result;
}

static enum vmmu_fault_result fault_direct(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	enum vmmu_fault_result result;

	f->gfn = f->addr >> VMMU_PAGE_SHIFT;
	f->generation = vmmu_host_generation(v);
	f->slot = vmmu_host_vcpu_slot(v, f->gfn);
	if (vmmu_fault_is_write(f) && vmmu_fault_is_present(f) && f->slot && vmmu_host_write_tracked(v->vm, f->slot, f->gfn))
		return VMMU_FAULT_EMULATE;
	if (!f->prefetch && !(f->error_code & VMMU_PF_RSVD)) {
		result = vmmu_direct_fix_fast(v, v->current_context->root.page, f);
		if (result != VMMU_FAULT_RETRY)
			return result;
	}
	return fault_slow(v, f);
}

static void count_result(struct vmmu_vcpu *v, enum vmmu_fault_result result)
{
	static const uint8_t counter[] = {
		[VMMU_FAULT_RETRY] = VMMU_C_FAULTS_RETRIED,
		[VMMU_FAULT_FIXED] = VMMU_C_FAULTS_FIXED,
		[VMMU_FAULT_SPURIOUS] = VMMU_C_FAULTS_SPURIOUS,
		[VMMU_FAULT_EMULATE] = VMMU_C_FAULTS_EMULATED,
	};

	count_vcpu(v, VMMU_C_FAULTS);
	if (result <= VMMU_FAULT_EMULATE)
		count_vcpu(v, counter[result]);
}

enum vmmu_fault_result vmmu_fault(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	enum vmmu_fault_result result = VMMU_FAULT_RETRY;

	/* Another vCPU's zap may have taken the root since the guest exited: the host loads a new one first. */
	if (v->current_context->root.page)
		result = fault_direct(v, f);
	if (!f->prefetch)
		count_result(v, result);
	return result;
}
