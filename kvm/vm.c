// SPDX-License-Identifier: GPL-2.0-only
/* Life of a VM. */
#include <vmmu/memory.h>
#include <vmmu/host.h>

/* Cannot fail, so its one small allocation must not. */
void kvm_mmu_init_vm(struct kvm *kvm)
{
	struct vmmu_kvm *vk = kzalloc(sizeof(*vk), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);

	INIT_LIST_HEAD(&kvm->arch.active_mmu_pages);
	INIT_LIST_HEAD(&kvm->arch.zapped_obsolete_pages);
	INIT_LIST_HEAD(&kvm->arch.lpage_disallowed_mmu_pages);
	INIT_LIST_HEAD(&kvm->arch.tdp_mmu_roots);
	INIT_LIST_HEAD(&kvm->arch.tdp_mmu_pages);
	spin_lock_init(&kvm->arch.mmu_unsync_pages_lock);
	spin_lock_init(&kvm->arch.tdp_mmu_pages_lock);
	/* With it, no memslot has a reverse map before the first nested guest comes. */
	kvm->arch.tdp_mmu_enabled = tdp_enabled;

	vk->kvm = kvm;
	vk->vm.fmt = &vmmu_kvm_format;
	vk->vm.huge_level_max = vmmu_kvm_huge_level;
	vk->vm.dirty_by_pml = kvm_x86_ops.cpu_dirty_log_size && vmmu_kvm_format.dirty;
	vmmu_kvm_params_for_vm(&vk->vm.params);
	vmmu_vm_init(&vk->vm);
	kvm->arch.split_shadow_page_cache.objects = (void **)vk;
	vmmu_kvm_nx_refresh(kvm);
}

void kvm_mmu_uninit_vm(struct kvm *kvm)
{
	struct vmmu_kvm *vk = kvm_to_vmmu_kvm(kvm);

	vmmu_vm_destroy(&vk->vm);
	kvm->arch.split_shadow_page_cache.objects = NULL;
	kfree(vk);
}

/* The VM's wish (KVM_CAP_VM_DISABLE_NX_HUGE_PAGES) and the parameter, as the core reads them. */
void vmmu_kvm_nx_refresh(struct kvm *kvm)
{
	WRITE_ONCE(kvm_to_vmmu(kvm)->nx_huge_pages, vmmu_kvm_nx_huge_pages(kvm));
}

void vmmu_kvm_zap_all_fast(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->slots_lock);
	kvm->arch.mmu_valid_gen = !kvm->arch.mmu_valid_gen;
	vmmu_kvm_trace_zap_all_fast(kvm);
	vmmu_zap_all_fast(kvm_to_vmmu(kvm));
}

void kvm_mmu_zap_all(struct kvm *kvm)
{
	vmmu_zap_all(kvm_to_vmmu(kvm));
}

/* The quota bounds shadow pages; direct tables are bounded by the memory they map. */
void kvm_mmu_change_mmu_pages(struct kvm *kvm, unsigned long goal_nr_mmu_pages)
{
	struct vmmu_vm *vm = kvm_to_vmmu(kvm);

	WRITE_ONCE(vm->shadow_quota, goal_nr_mmu_pages);
	kvm->arch.n_max_mmu_pages = goal_nr_mmu_pages;
	read_lock(&kvm->mmu_lock);
	vmmu_shrink(vm, goal_nr_mmu_pages);
	read_unlock(&kvm->mmu_lock);
}

/* Nested guests bring shadow pages to a VM that had none: every slot gets its reverse maps now, new ones from now on. */
static int alloc_rmaps(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int bkt, err = 0;

	for (int space = 0; space < KVM_ADDRESS_SPACE_NUM; space++)
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, space))
			if (!err)
				err = memslot_rmap_alloc(slot, slot->npages);
	return err;
}

int vmmu_kvm_prepare_shadow(struct kvm *kvm)
{
	int err = 0;

	if (kvm_shadow_root_allocated(kvm))
		return 0;
	mutex_lock(&kvm->slots_arch_lock);
	if (!kvm_memslots_have_rmaps(kvm))
		err = alloc_rmaps(kvm);
	/* The emulator asks to let go of a frame only while this is not 0. */
	kvm->arch.indirect_shadow_pages = 1;
	/* Pairs with kvm_shadow_root_allocated(): who sees the flag sees the maps. */
	if (!err)
		smp_store_release(&kvm->arch.shadow_root_allocated, true);
	mutex_unlock(&kvm->slots_arch_lock);
	return err;
}

int kvm_cpu_dirty_log_size(void)
{
	return kvm_x86_ops.cpu_dirty_log_size;
}
