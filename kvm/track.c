// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write tracking for others: a graphics driver (kvmgt) shadows tables that a guest keeps in its own memory, and wants
 * to know of each write to them. Such frames are mapped read-only, in 4K, and writes to them are emulated.
 */
#include <linux/rculist.h>
#include <linux/kvm_host.h>
#include <asm/kvm_page_track.h>
#include <vmmu/memory.h>
#include <vmmu/host.h>

static unsigned short *track_count(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	unsigned short *counts = slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE];

	return counts ? &counts[gfn - slot->base_gfn] : NULL;
}

/* The same frame number can be two slots, one for each address space: a frame tracked in one is tracked in both. */
bool vmmu_kvm_is_tracked(struct kvm *kvm, gfn_t gfn)
{
	for (int space = 0; space < KVM_ADDRESS_SPACE_NUM; space++) {
		struct kvm_memory_slot *slot = __gfn_to_memslot(__kvm_memslots(kvm, space), gfn);
		unsigned short *count = slot ? track_count(slot, gfn) : NULL;

		if (count && READ_ONCE(*count))
			return true;
	}
	return false;
}

bool kvm_slot_page_track_is_active(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
				   enum kvm_page_track_mode mode)
{
	return slot && mode == KVM_PAGE_TRACK_WRITE && vmmu_kvm_is_tracked(kvm, gfn);
}

bool kvm_page_track_write_tracking_enabled(struct kvm *kvm)
{
	return true;
}

int kvm_page_track_write_tracking_alloc(struct kvm_memory_slot *slot)
{
	return kvm_page_track_create_memslot(NULL, slot, slot->npages);
}

int kvm_page_track_create_memslot(struct kvm *kvm, struct kvm_memory_slot *slot, unsigned long npages)
{
	unsigned short **counts = &slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE];

	if (!*counts)
		*counts = __vcalloc(npages, sizeof(**counts), GFP_KERNEL_ACCOUNT);
	return *counts ? 0 : -ENOMEM;
}

void kvm_page_track_free_memslot(struct kvm_memory_slot *slot)
{
	kvfree(slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE]);
	slot->arch.gfn_track[KVM_PAGE_TRACK_WRITE] = NULL;
}

/* No large page may cover @gfn while it is tracked. */
static void count_huge_disallowed(const struct kvm_memory_slot *slot, gfn_t gfn, int delta)
{
	for (int level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		struct kvm_lpage_info *info =
			&slot->arch.lpage_info[level - 2][gfn_to_index(gfn, slot->base_gfn, level)];

		/* Faults of shadow pages count here, too, under no lock that is held now. */
		WARN_ON_ONCE(__atomic_add_fetch(&info->disallow_lpage, delta, __ATOMIC_RELAXED) < 0);
	}
}

static bool tracking_refused(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, enum kvm_page_track_mode mode)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	return WARN_ON_ONCE(mode != KVM_PAGE_TRACK_WRITE || !track_count(slot, gfn));
}

/* Each slot that shows the frame, in whichever address space, loses its writable mappings of it. */
static void protect_in_all_spaces(struct kvm *kvm, gfn_t gfn)
{
	bool flush = false;

	for (int space = 0; space < KVM_ADDRESS_SPACE_NUM; space++) {
		struct kvm_memory_slot *slot = __gfn_to_memslot(__kvm_memslots(kvm, space), gfn);

		if (slot)
			flush |= vmmu_wrprot_frame(kvm_to_vmmu(kvm), slot, gfn);
	}
	if (flush)
		kvm_flush_remote_tlbs(kvm);
}

void kvm_slot_page_track_add_page(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
				  enum kvm_page_track_mode mode)
{
	unsigned short *count;

	if (tracking_refused(kvm, slot, gfn, mode))
		return;
	count = track_count(slot, gfn);
	if (WARN_ON_ONCE(*count == USHRT_MAX))
		return;
	vmmu_kvm_close_shares(kvm);
	WRITE_ONCE(kvm_to_vmmu_kvm(kvm)->tracked, kvm_to_vmmu_kvm(kvm)->tracked + 1);
	__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
	count_huge_disallowed(slot, gfn, 1);
	protect_in_all_spaces(kvm, gfn);
}
EXPORT_SYMBOL_GPL(kvm_slot_page_track_add_page);

void kvm_slot_page_track_remove_page(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
				     enum kvm_page_track_mode mode)
{
	unsigned short *count;

	if (tracking_refused(kvm, slot, gfn, mode))
		return;
	count = track_count(slot, gfn);
	if (WARN_ON_ONCE(!*count))
		return;
	__atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
	WRITE_ONCE(kvm_to_vmmu_kvm(kvm)->tracked, kvm_to_vmmu_kvm(kvm)->tracked - 1);
	count_huge_disallowed(slot, gfn, -1);
}
EXPORT_SYMBOL_GPL(kvm_slot_page_track_remove_page);

int kvm_page_track_init(struct kvm *kvm)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	INIT_HLIST_HEAD(&head->track_notifier_list);
	return init_srcu_struct(&head->track_srcu);
}

void kvm_page_track_cleanup(struct kvm *kvm)
{
	cleanup_srcu_struct(&kvm->arch.track_notifier_head.track_srcu);
}

void kvm_page_track_register_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	write_lock(&kvm->mmu_lock);
	hlist_add_head_rcu(&n->node, &kvm->arch.track_notifier_head.track_notifier_list);
	write_unlock(&kvm->mmu_lock);
}
EXPORT_SYMBOL_GPL(kvm_page_track_register_notifier);

void kvm_page_track_unregister_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	write_lock(&kvm->mmu_lock);
	hlist_del_rcu(&n->node);
	write_unlock(&kvm->mmu_lock);
	synchronize_srcu(&kvm->arch.track_notifier_head.track_srcu);
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);

/* The guest's write to @gpa is done: tell who watches the frame. */
void kvm_page_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes)
{
	struct kvm_page_track_notifier_head *head = &vcpu->kvm->arch.track_notifier_head;
	struct kvm_page_track_notifier_node *n;
	int idx;

	vmmu_guest_written(kvm_to_vmmu(vcpu->kvm), gpa, bytes);
	if (hlist_empty(&head->track_notifier_list))
		return;
	idx = srcu_read_lock(&head->track_srcu);
	hlist_for_each_entry_srcu(n, &head->track_notifier_list, node, srcu_read_lock_held(&head->track_srcu))
		if (n->track_write)
			n->track_write(vcpu, gpa, new, bytes, n);
	srcu_read_unlock(&head->track_srcu, idx);
}

/*
 * The slot goes, or moves. No vCPU can look it up any more: the caller has made it invalid and has waited for every
 * fault that might have seen it.
 */
void kvm_page_track_flush_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;
	struct kvm_page_track_notifier_node *n;
	int idx;

	if (READ_ONCE(vmmu_kvm_slot_zap_all))
		vmmu_kvm_zap_all_fast(kvm);
	else
		vmmu_zap_slot(kvm_to_vmmu(kvm), slot);
	if (hlist_empty(&head->track_notifier_list))
		return;
	idx = srcu_read_lock(&head->track_srcu);
	hlist_for_each_entry_srcu(n, &head->track_notifier_list, node, srcu_read_lock_held(&head->track_srcu))
		if (n->track_flush_slot)
			n->track_flush_slot(kvm, slot, n);
	srcu_read_unlock(&head->track_srcu, idx);
}
