// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host's memory management does to guest memory. All called with mmu_lock held for writing; who asks about A
 * does not mind faults beside it.
 */
#include <vmmu/memory.h>
#include <vmmu/host.h>
#include "base/lock.h"
#include "page/entry_set.h"

bool kvm_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	bool flush;

	vmmu_kvm_close_shares(kvm);
	flush = vmmu_unmap_range(kvm_to_vmmu(kvm), range->slot->as_id, range->start, range->end,
				 range->may_block ? VMMU_YIELD_ALLOWED : VMMU_YIELD_NEVER);
	/*
	 * KVM flushes when it has been through all slots, and in the next one mmu_lock may be yielded: to somebody who
	 * finds nothing mapped here any more, and takes that for flushed.
	 */
	if (flush && range->may_block)
		kvm_flush_remote_tlbs(kvm);
	return flush && !range->may_block;
}

/* The host put another page behind one frame. A writable one comes in by a fault, so that its D is right. */
bool kvm_set_spte_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct vmmu_vm *vm = kvm_to_vmmu(kvm);

	vmmu_kvm_close_shares(kvm);
	if (WARN_ON_ONCE(range->end != range->start + 1) || pte_write(range->pte))
		return vmmu_unmap_range(vm, range->slot->as_id, range->start, range->end, VMMU_YIELD_NEVER);
	return vmmu_set_frame(vm, range->slot->as_id, range->start, pte_pfn(range->pte));
}

bool kvm_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return vmmu_age_range(kvm_to_vmmu(kvm), range->slot->as_id, range->start, range->end);
}

bool kvm_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return vmmu_test_young_range(kvm_to_vmmu(kvm), range->slot->as_id, range->start, range->end);
}

/* debugfs asks for the lengths of reverse maps. */
unsigned int pte_list_count(struct kvm_rmap_head *rmap_head)
{
	unsigned int count;

	/* With mmu_lock held for writing, which faults may hold shared all the same. */
	vmmu_host_bit_lock(&rmap_head->val, LOCK_BIT_SET);
	count = vmmu_entry_set_count(&rmap_head->val);
	vmmu_host_bit_unlock(&rmap_head->val, LOCK_BIT_SET);
	return count;
}
