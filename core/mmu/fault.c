/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The way of a fault: see fault.h. The context says which engine serves it. */
#include <vmmu/fault.h>
#include <vmmu/context.h>
#include <vmmu/host.h>
#include <vmmu/walk.h>
#include "base/count.h"
#include "base/lock.h"
#include "engine/direct.h"
#include "engine/shadow.h"
#include "format/spte.h"
#include "mmu/recent.h"
#include "mmu/root_shadow.h"
#include "page/page.h"

/* Largest page that slot, host and CPU allow for @f, and the one to install. Context: vm shared. */
static void choose_level(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	struct vmmu_vm *vm = v->vm;
	int level = f->max_level < vm->huge_level_max ? f->max_level : vm->huge_level_max;

	f->req_level = f->goal_level = VMMU_LEVEL_4K;
	if (!f->slot || vmmu_host_slot_logs_dirty(f->slot))
		return;
	if (level < VMMU_LEVEL_4K)
		level = VMMU_LEVEL_4K;
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

static enum vmmu_fault_result map_direct_locked(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	struct vmmu_page *root = v->current_context->root.page;
	enum vmmu_fault_result result;

	/* Beyond what a tree of this depth maps nothing can be remembered. */
	if (f->gfn >> vmmu_level_frames_lg2(root->role.level + 1))
		return VMMU_FAULT_EMULATE;
	choose_level(v, f);
	result = vmmu_direct_map(v, root, f);
	if (result == VMMU_FAULT_FIXED)
		vmmu_direct_prefetch(v, root, f);
	return result;
}

/* Must the host carry out a write to the frame, since it holds a guest table that is in sync and has to stay so? */
static bool must_emulate_write(struct vmmu_vcpu *v, const struct vmmu_fault *f)
{
	bool free;

	if (!f->slot || !vmmu_host_write_tracked(v->vm, f->slot, f->gfn))
		return false;
	vmmu_host_rcu_read_lock();
	free = vmmu_shadow_try_unsync(v, f->gfn);
	vmmu_host_rcu_read_unlock();
	return !free || vmmu_host_write_tracked(v->vm, f->slot, f->gfn);
}

static enum vmmu_fault_result map_shadow_locked(struct vmmu_vcpu *v, struct vmmu_context *c, struct vmmu_fault *f,
						const struct vmmu_gwalk *w)
{
	if (vmmu_fault_is_write(f) && must_emulate_write(v, f))
		return VMMU_FAULT_EMULATE;
	choose_level(v, f);
	if (f->goal_level > w->level)
		f->goal_level = w->level;
	/* Level 3 of a root in PAE form, and what stands in its place, takes no leaves. */
	if (c->mode.root_level < VMMU_LEVEL_512G && f->goal_level > VMMU_LEVEL_2M)
		f->goal_level = VMMU_LEVEL_2M;
	return vmmu_shadow_map(v, c, f, w);
}

/* Has the memory behind @f been taken away since it was looked up, or is it being taken? Context: vm any. */
static bool is_stale(struct vmmu_vcpu *v, const struct vmmu_fault *f)
{
	return f->slot && (vmmu_host_invalidating_at(v, f) ||
			   vmmu_recent_covers(v->vm, f->mark, vmmu_host_slot_space(f->slot), f->gfn, f->gfn + 1));
}

/*
 * Find the memory behind @f, and install it under the lock, where nothing sleeps. @w: the walk through the guest's tables
 * where they are mirrored, NULL where not. The pool is full.
 */
static enum vmmu_fault_result map_memory(struct vmmu_vcpu *v, struct vmmu_fault *f, const struct vmmu_gwalk *w)
{
	struct vmmu_context *c = v->current_context;
	enum vmmu_fault_result result = VMMU_FAULT_RETRY;
	int stop;

	if (!vmmu_fault_mark(v, f)) {
		if (!f->prefetch)
			vmmu_host_invalidation_wait(v);
		return VMMU_FAULT_RETRY;
	}
	stop = vmmu_host_fault_in(v, f);
	if (stop)
		return (enum vmmu_fault_result)stop;
	if (!f->slot && !spte_mmio_can_be(v->vm->fmt, f->gfn)) {
		vmmu_host_fault_release(v, f);
		return VMMU_FAULT_EMULATE;
	}
	vm_lock_shared(v->vm);
	if (!vmmu_root_is_obsolete(c) && !is_stale(v, f))
		result = w ? map_shadow_locked(v, c, f, w) : map_direct_locked(v, f);
	vm_unlock_shared(v->vm);
	vmmu_host_fault_release(v, f);
	return result;
}

static enum vmmu_fault_result fault_direct(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	enum vmmu_fault_result result;

	f->gfn = f->addr >> VMMU_PAGE_SHIFT;
	f->access = VMMU_ACC_ALL;
	f->generation = vmmu_host_generation(v);
	f->slot = vmmu_host_vcpu_slot(v, f->gfn);
	if (vmmu_fault_is_write(f) && vmmu_fault_is_present(f) && f->slot && vmmu_host_write_tracked(v->vm, f->slot, f->gfn)) {
		bool emulate;

		vm_lock_shared(v->vm);
		emulate = must_emulate_write(v, f);
		vm_unlock_shared(v->vm);
		if (emulate)
			return VMMU_FAULT_EMULATE;
	}
	if (!f->prefetch && !(f->error_code & VMMU_PF_RSVD)) {
		result = vmmu_direct_fix_fast(v, v->current_context->root.page, f);
		if (result != VMMU_FAULT_RETRY)
			return result;
	}
	f->error = vmmu_pool_fill(v);
	return f->error ? VMMU_FAULT_ERROR : map_memory(v, f, NULL);
}

/* --- Mirrored tables ------------------------------------------------------------------------ */

/* A guest without paging: gva = gpa, with every right. */
static void walk_nothing(const struct vmmu_fault *f, struct vmmu_gwalk *w)
{
	w->gfn = w->ngfn = f->addr >> VMMU_PAGE_SHIFT;
	w->level = VMMU_LEVEL_HUGE_MAX;
	w->root_level = 0;
	w->access = VMMU_ACC_ALL;
	w->clean = false;
}

static enum vmmu_gwalk_result walk_guest(struct vmmu_vcpu *v, struct vmmu_context *c, const struct vmmu_fault *f,
					 struct vmmu_gwalk *w)
{
	struct vmmu_access access = {
		.pf = f->error_code & ~(VMMU_PF_P | VMMU_PF_RSVD),
		.ac = vmmu_host_flags_ac(v),
		/* An EPT violation says by U that the access read as well: a guest table under A and D flags. */
		.read_too = c->mode.format == VMMU_FORMAT_EPT && (f->error_code & VMMU_PF_U),
		.no_flags = f->ahead,
	};

	if (c->mode.format == VMMU_FORMAT_NONE) {
		walk_nothing(f, w);
		return VMMU_GWALK_OK;
	}
	return vmmu_gwalk(v, &c->mode, c->pgd, c->mode.format == VMMU_FORMAT_PAE ? c->pdpte : NULL, f->addr, &access, w);
}

/* Is the frame one of those whose tables the walk went through? Such a write changes its own translation. */
static bool hits_own_table(const struct vmmu_context *c, const struct vmmu_fault *f, const struct vmmu_gwalk *w)
{
	for (int level = w->level; c->mode.format != VMMU_FORMAT_NONE && level <= w->root_level; level++)
		if (w->step[level].at.host && w->step[level].table_gfn == f->gfn)
			return true;
	return false;
}

static void guest_is_told(struct vmmu_vcpu *v, struct vmmu_context *c, const struct vmmu_fault *f)
{
	count_vcpu(v, VMMU_C_GUEST_FAULTS);
	if (c == &v->nested)
		v->told = (struct vmmu_told){
			.pending = true, .role = c->role, .pgd = c->pgd, .addr = f->addr, .error_code = f->error_code,
		};
}

static enum vmmu_fault_result fault_shadow(struct vmmu_vcpu *v, struct vmmu_context *c, struct vmmu_fault *f)
{
	VMMU_UNINITIALIZED struct vmmu_gwalk w;

	switch (walk_guest(v, c, f, &w)) {
	case VMMU_GWALK_RETRY:
	case VMMU_GWALK_UNFLAGGED:
		return VMMU_FAULT_RETRY;
	case VMMU_GWALK_FAULT:
		f->guest = w.fault;
		if (!f->prefetch)
			guest_is_told(v, c, f);
		return VMMU_FAULT_INJECT;
	default:
		break;
	}
	f->gfn = w.gfn;
	f->access = w.clean ? w.access & ~VMMU_ACC_W : w.access;
	f->generation = vmmu_host_generation(v);
	f->slot = vmmu_host_vcpu_slot(v, f->gfn);
	f->own_table = vmmu_fault_is_write(f) && hits_own_table(c, f, &w);
	vmmu_make_room(v->vm);
	f->error = vmmu_pool_fill_shadow(v);
	return f->error ? VMMU_FAULT_ERROR : map_memory(v, f, &w);
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

	/* Dropped as obsolete since the guest exited: the host loads a new one first. */
	if (v->current_context->root.page)
		result = v->current_context->shadow ? fault_shadow(v, v->current_context, f) : fault_direct(v, f);
	if (!f->prefetch)
		count_result(v, result);
	return result;
}

void vmmu_fault_ahead(struct vmmu_vcpu *v, int max_level)
{
	struct vmmu_context *c = v->current_context;
	struct vmmu_fault f = {
		.addr = v->told.addr,
		.error_code = v->told.error_code,
		.prefetch = true,
		.ahead = true,
		.max_level = (uint8_t)max_level,
	};

	if (!v->told.pending || c != &v->nested || !c->root.page || v->told.pgd != c->pgd ||
	    !vmmu_role_equal(v->told.role, c->role))
		return;
	v->told.pending = false;
	if (vmmu_fault(v, &f) == VMMU_FAULT_FIXED)
		count_vcpu(v, VMMU_C_FAULTS_AHEAD);
}
