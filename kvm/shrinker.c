// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel gets back when it is short of memory: shadow pages, coldest first, of one VM after the other. Direct
 * tables are bounded by the memory they map, and none of them is obsolete for long.
 */
#include <linux/kvm_host.h>
#include <linux/shrinker.h>
#include <vmmu/memory.h>
#include <vmmu/host.h>

static unsigned long pages_to_spare(struct kvm *kvm)
{
	struct vmmu_vm *vm = kvm_to_vmmu(kvm);
	u64 pages = vmmu_counter_read(vm, VMMU_C_SHADOWS_NOW), pins = READ_ONCE(vm->shadow_pins);

	return pages > pins ? pages - pins : 0;
}

/*
 * kvm_lock is tried for only: its holder may wait for memory itself, or for a lock whose holder does, which may be the
 * task that has come here.
 */
static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long pages = 0;
	struct kvm *kvm;

	if (!mutex_trylock(&kvm_lock))
		return 0;
	list_for_each_entry(kvm, &vm_list, vm_list)
		pages += pages_to_spare(kvm);
	mutex_unlock(&kvm_lock);
	return pages;
}

static unsigned long shrink_vm(struct kvm *kvm, unsigned long count)
{
	struct vmmu_vm *vm = kvm_to_vmmu(kvm);
	unsigned long evicted;
	u64 pages;
	int idx;

	if (!pages_to_spare(kvm))
		return 0;
	idx = srcu_read_lock(&kvm->srcu);
	read_lock(&kvm->mmu_lock);
	pages = vmmu_counter_read(vm, VMMU_C_SHADOWS_NOW);
	evicted = vmmu_shrink(vm, pages > count ? pages - count : 0);
	read_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return evicted;
}

/* One VM a call: the first on the list that has something to spare, which goes to the end of it. */
static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long evicted = 0;
	struct kvm *kvm;

	if (!mutex_trylock(&kvm_lock))
		return SHRINK_STOP;
	list_for_each_entry(kvm, &vm_list, vm_list) {
		evicted = shrink_vm(kvm, sc->nr_to_scan);
		if (evicted) {
			list_move_tail(&kvm->vm_list, &vm_list);
			break;
		}
	}
	mutex_unlock(&kvm_lock);
	return evicted ? evicted : SHRINK_STOP;
}

/* Under the name that KVM's has. Pages cost a guest faults: of other caches the kernel takes more. */
static struct shrinker mmu_shrinker = {
	.count_objects = shrink_count,
	.scan_objects = shrink_scan,
	.seeks = DEFAULT_SEEKS * 10,
};

int vmmu_kvm_shrinker_init(void)
{
	return register_shrinker(&mmu_shrinker, "x86-mmu");
}

void vmmu_kvm_shrinker_exit(void)
{
	unregister_shrinker(&mmu_shrinker);
}
