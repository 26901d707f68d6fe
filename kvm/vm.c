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
	/* No memslot needs a reverse map while every tree is direct. */
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

/* The quota bounds shadow pages, of which a VM with direct tables has none: it is kept for who asks for it. */
void kvm_mmu_change_mmu_pages(struct kvm *kvm, unsigned long goal_nr_mmu_pages)
{
	write_lock(&kvm->mmu_lock);
	kvm->arch.n_max_mmu_pages = max(goal_nr_mmu_pages, kvm->arch.n_used_mmu_pages);
	write_unlock(&kvm->mmu_lock);
}

int kvm_cpu_dirty_log_size(void)
{
	return kvm_x86_ops.cpu_dirty_log_size;
}
