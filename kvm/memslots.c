// SPDX-License-Identifier: GPL-2.0-only
/* Memslots and the dirty log. */
#include <vmmu/memory.h>
#include <vmmu/host.h>

void kvm_mmu_slot_remove_write_access(struct kvm *kvm, const struct kvm_memory_slot *memslot, int start_level)
{
	vmmu_wrprot_slot(kvm_to_vmmu(kvm), (struct kvm_memory_slot *)memslot, start_level);
}

void kvm_mmu_slot_leaf_clear_dirty(struct kvm *kvm, const struct kvm_memory_slot *memslot)
{
	vmmu_clean_slot(kvm_to_vmmu(kvm), (struct kvm_memory_slot *)memslot);
}

void kvm_mmu_slot_try_split_huge_pages(struct kvm *kvm, const struct kvm_memory_slot *memslot, int target_level)
{
	struct kvm_memory_slot *slot = (struct kvm_memory_slot *)memslot;

	vmmu_split_range(kvm_to_vmmu(kvm), slot, vmmu_host_slot_start(slot), vmmu_host_slot_end(slot), target_level);
}

void kvm_mmu_try_split_huge_pages(struct kvm *kvm, const struct kvm_memory_slot *memslot, u64 start, u64 end,
				  int target_level)
{
	lockdep_assert_held(&kvm->mmu_lock);
	vmmu_split_range_atomic(kvm_to_vmmu(kvm), (struct kvm_memory_slot *)memslot, start, end, target_level);
}

void kvm_mmu_zap_collapsible_sptes(struct kvm *kvm, const struct kvm_memory_slot *memslot)
{
	vmmu_collapse_slot(kvm_to_vmmu(kvm), (struct kvm_memory_slot *)memslot);
}

/*
 * Called for 64 frames at a time by the bitmap, for any run of frames by the ring. Where logging began with every page
 * counted as dirty, large pages are still writable at this point: they are split, or at least protected, here.
 */
void kvm_arch_mmu_enable_log_dirty_pt_masked(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn_offset,
					     unsigned long mask)
{
	gfn_t gfn = slot->base_gfn + gfn_offset;

	if (!mask)
		return;
	if (kvm_dirty_log_manual_protect_and_init_set(kvm) && READ_ONCE(eager_page_split))
		kvm_mmu_try_split_huge_pages(kvm, slot, gfn + __ffs(mask), gfn + __fls(mask) + 1, PG_LEVEL_4K);
	vmmu_log_again(kvm_to_vmmu(kvm), slot, gfn, mask);
}

void kvm_arch_flush_remote_tlbs_memslot(struct kvm *kvm, const struct kvm_memory_slot *memslot)
{
	/*
	 * Protection and this flush are not under one hold of mmu_lock; slots_lock keeps other
	 * ioctls from coming in between.
	 */
	lockdep_assert_held(&kvm->slots_lock);
	vmmu_host_flush_range(kvm_to_vmmu(kvm), vmmu_host_slot_start(memslot), vmmu_host_slot_end(memslot));
}

/* MMIO entries hold the low bits of the generation: when those begin anew, an old entry could pass for a fresh one. */
void kvm_mmu_invalidate_mmio_sptes(struct kvm *kvm, u64 gen)
{
	WARN_ON(gen & KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS);

	/* Each address space has numbers of its own, one after the other. */
	if (!((gen & VMMU_MMIO_GEN_MASK) / KVM_ADDRESS_SPACE_NUM)) {
		kvm_debug_ratelimited("kvm: zapping shadow pages for mmio generation wraparound\n");
		vmmu_kvm_zap_all_fast(kvm);
	}
}

void kvm_zap_gfn_range(struct kvm *kvm, gfn_t gfn_start, gfn_t gfn_end)
{
	if (WARN_ON_ONCE(gfn_end <= gfn_start))
		return;
	write_lock(&kvm->mmu_lock);
	/* A fault that looked its page up before must not install what is wrong from now on. */
	kvm_mmu_invalidate_begin(kvm, 0, -1ul);
	vmmu_kvm_close_shares(kvm);
	vmmu_zap_range(kvm_to_vmmu(kvm), gfn_start, gfn_end);
	kvm_mmu_invalidate_end(kvm, 0, -1ul);
	write_unlock(&kvm->mmu_lock);
}
