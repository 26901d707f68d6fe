/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a guest does that mirrored tables have to follow: flushes, writes to its tables. See context.h and memory.h. */
#include <vmmu/context.h>
#include <vmmu/host.h>
#include <vmmu/memory.h>
#include "engine/shadow.h"

static void sync_root(struct vmmu_vcpu *v, struct vmmu_context *c, struct vmmu_root *root)
{
	if (!c->shadow || !root->page || !root->page->shadow)
		return;
	vmmu_host_lock_shared(v->vm);
	vmmu_shadow_sync(v->vm, &c->mode, root->page);
	vmmu_host_unlock_shared(v->vm);
}

void vmmu_sync(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	sync_root(v, c, &c->root);
}

void vmmu_sync_cached(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	for (unsigned int i = 0; i < c->cached; i++)
		sync_root(v, c, &c->cache[i]);
}

static void invalidate_in(struct vmmu_vcpu *v, struct vmmu_root *root, uint64_t addr)
{
	if (!root->page || !root->page->shadow)
		return;
	vmmu_host_lock_shared(v->vm);
	vmmu_shadow_invalidate_address(v->vm, root->page, addr);
	vmmu_host_unlock_shared(v->vm);
}

void vmmu_invalidate_address(struct vmmu_vcpu *v, struct vmmu_context *c, uint64_t addr)
{
	invalidate_in(v, &c->root, addr);
	for (unsigned int i = 0; i < c->cached; i++)
		invalidate_in(v, &c->cache[i], addr);
}

void vmmu_shrink(struct vmmu_vm *vm, uint64_t most)
{
	if (shadow_in_use(vm))
		vmmu_shadow_evict(vm, most);
}

void vmmu_guest_written(struct vmmu_vm *vm, vmmu_gpa_t gpa, unsigned int bytes)
{
	if (!shadow_in_use(vm))
		return;
	vmmu_host_lock_shared(vm);
	vmmu_shadow_written(vm, gpa, bytes);
	vmmu_host_unlock_shared(vm);
}

bool vmmu_unprotect(struct vmmu_vm *vm, vmmu_gfn_t gfn)
{
	bool any;

	if (!shadow_in_use(vm))
		return false;
	vmmu_host_lock_shared(vm);
	any = vmmu_shadow_unprotect(vm, gfn);
	vmmu_host_unlock_shared(vm);
	return any;
}
