/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See recent.h, and "Fault against an invalidation that has ended" in docs/locking.md. */
#include "mmu/recent.h"
#include <vmmu/fault.h>
#include <vmmu/host.h>
#include "base/atomic.h"
#include "base/lock.h"

void vmmu_recent_note(struct vmmu_vm *vm, int space, vmmu_gfn_t start, vmmu_gfn_t end)
{
	struct vmmu_recent *recent = &vm->recent;
	uint64_t count = word_load(&recent->count);

	recent->range[count % VMMU_RECENT_RANGES] = (struct vmmu_range){ .space = space, .start = start, .end = end };
	/* Whoever reads the new count sees that the invalidation is in progress, or that it has ended. */
	word_store(&recent->count, count + 1);
}

bool vmmu_recent_covers(const struct vmmu_vm *vm, uint64_t mark, int space, vmmu_gfn_t start, vmmu_gfn_t end)
{
	const struct vmmu_recent *recent = &vm->recent;
	uint64_t count = word_load(&recent->count);

	if (count - mark > VMMU_RECENT_RANGES)
		return true;
	for (; mark != count; mark++) {
		const struct vmmu_range *range = &recent->range[mark % VMMU_RECENT_RANGES];

		if (range->start < end && start < range->end && (range->space < 0 || range->space == space))
			return true;
	}
	return false;
}

/*
 * The count is read first. Then nothing in progress means: what had been noted has ended, and the host's tables show
 * it; what begins later is noted beyond the count. If something is, only the lock tells whether it is elsewhere.
 */
bool vmmu_fault_mark(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	struct vmmu_vm *vm = v->vm;
	bool elsewhere;

	f->mark = word_load(&vm->recent.count);
	if (!f->slot || !vmmu_host_invalidating(vm))
		return true;
	vm_lock_shared(vm);
	f->mark = word_load(&vm->recent.count);
	elsewhere = !vmmu_host_invalidating_at(v, f);
	vm_unlock_shared(vm);
	return elsewhere;
}

bool vmmu_fault_look_again(const struct vmmu_vcpu *v, const struct vmmu_fault *f)
{
	return word_load(&v->vm->recent.count) != f->mark;
}
