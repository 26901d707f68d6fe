/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a guest does that mirrored tables have to follow: flushes, writes to its tables. See context.h and memory.h. */
#include <vmmu/context.h>
#include <vmmu/host.h>
#include <vmmu/memory.h>
#include "base/count.h"
#include "base/lock.h"
#include "engine/shadow.h"
#include "format/guest_ept.h"
#include "page/index.h"

static void sync_root(struct vmmu_vcpu *v, struct vmmu_context *c, struct vmmu_root *root)
{
	if (!c->shadow || !root->page || !root->page->shadow)
		return;
	count_vcpu(v, VMMU_C_SYNCS);
	/* Some hosts sync at each switch to a nested guest and back: most have nothing to do, and take no lock. */
	if (!vmmu_shadow_flush_begins(v->vm, root->page)) {
		count_vcpu(v, VMMU_C_SYNCS_EMPTY);
		return;
	}
	vm_lock_shared(v->vm);
	vmmu_shadow_sync_root(v->vm, &c->mode, root->page);
	vm_unlock_shared(v->vm);
}

void vmmu_sync(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	sync_root(v, c, &c->root);
}

void vmmu_sync_cached(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	for (unsigned int i = c->cached; i--;)
		/* What mirrors tables of another mode cannot be compared by this one's rules. */
		if (c->shadow && !vmmu_role_equal(c->cache[i].page->role, c->role))
			vmmu_root_drop_cached_one(v, c, i);
		else
			sync_root(v, c, &c->cache[i]);
}

static bool mirrors(const struct vmmu_root *root)
{
	return root->page && root->page->shadow;
}

static void invalidate_in(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_root *root, uint64_t addr)
{
	if (mirrors(root))
		vmmu_shadow_invalidate_address(vm, mode, root->page, addr);
}

void vmmu_invalidate_address(struct vmmu_vcpu *v, struct vmmu_context *c, uint64_t addr, bool cached)
{
	unsigned int others = cached ? c->cached : 0;
	bool any = mirrors(&c->root);

	for (unsigned int i = 0; i < others && !any; i++)
		any = mirrors(&c->cache[i]);
	if (!any)
		return;
	/* Once for all of them: the lock's word is what vCPUs meet at. */
	vm_lock_shared(v->vm);
	invalidate_in(v->vm, &c->mode, &c->root, addr);
	for (unsigned int i = 0; i < others; i++)
		invalidate_in(v->vm, &c->mode, &c->cache[i], addr);
	vm_unlock_shared(v->vm);
}

uint64_t vmmu_shrink(struct vmmu_vm *vm, uint64_t most)
{
	return shadow_in_use(vm) ? vmmu_shadow_evict(vm, most) : 0;
}

/*
 * Does a page mirror the frame that was just written? The bytes are in memory before the index is looked at; who makes
 * a page puts it into the index before it reads the guest's entries: one of the two sees the other.
 */
static bool is_mirrored(struct vmmu_vm *vm, vmmu_gfn_t gfn)
{
	bool found;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vmmu_host_rcu_read_lock();
	found = vmmu_index_first(vm, gfn);
	vmmu_host_rcu_read_unlock();
	return found;
}

void vmmu_guest_written(struct vmmu_vm *vm, vmmu_gpa_t gpa, unsigned int bytes)
{
	if (!shadow_in_use(vm) || !is_mirrored(vm, gpa >> VMMU_PAGE_SHIFT))
		return;
	vm_lock_shared(vm);
	vmmu_shadow_written(vm, gpa, bytes);
	vm_unlock_shared(vm);
}

void vmmu_guest_flags_set(struct vmmu_vcpu *v, vmmu_gpa_t gpa, unsigned int bytes, uint64_t flags)
{
	/*
	 * In all other formats they stand where they do in the entry that was walked: nothing else
	 * changes for who mirrors it.
	 */
	if (v->current_context->mode.format == VMMU_FORMAT_EPT && (flags & ~(vmmu_gfmt_ept.accessed | vmmu_gfmt_ept.dirty)))
		vmmu_guest_written(v->vm, gpa, bytes);
}

bool vmmu_unprotect(struct vmmu_vm *vm, vmmu_gfn_t gfn)
{
	bool any;

	if (!shadow_in_use(vm))
		return false;
	vm_lock_shared(vm);
	any = vmmu_shadow_unprotect(vm, gfn);
	vm_unlock_shared(vm);
	return any;
}
