// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of the modules: what the CPU's table entries look like is learned when a vendor module is loaded, and
 * forgotten when it goes, since the next one may be the other vendor's.
 */
#include <linux/kvm_host.h>
#include <vmmu/host.h>
#include "page/entry_set.h"

struct vmmu_spte_format vmmu_kvm_format;
int vmmu_kvm_huge_level;
/* Under the names that tools know. */
struct kmem_cache *vmmu_kvm_page_cache, *vmmu_kvm_node_cache;

/* Read all over KVM. */
bool tdp_enabled;
u8 __read_mostly shadow_phys_bits;
bool __read_mostly enable_mmio_caching = true;
EXPORT_SYMBOL_GPL(enable_mmio_caching);
module_param_named(mmio_caching, enable_mmio_caching, bool, 0444);

DEFINE_PER_CPU(uint8_t [VMMU_KVM_LOCK_KINDS], vmmu_kvm_locks_held);

static int forced_root_level, max_root_level;

static unsigned int l1tf_cache_bits(void)
{
	return boot_cpu_has_bug(X86_BUG_L1TF) ? boot_cpu_data.x86_cache_bits : 0;
}

/*
 * The description is constant for VMs; while a vendor module sets it up, what the user wants of MMIO entries is kept.
 */
static void settle_mmio(void)
{
	if (!vmmu_kvm_mmio_caching_wanted)
		vmmu_spte_format_set_mmio(&vmmu_kvm_format, 0, 0, 0);
	enable_mmio_caching = vmmu_kvm_format.mmio_value != 0;
}

void __init kvm_mmu_x86_module_init(void)
{
	vmmu_kvm_params_init();
}

static void destroy_caches(void)
{
	kmem_cache_destroy(vmmu_kvm_page_cache);
	vmmu_kvm_page_cache = NULL;
	kmem_cache_destroy(vmmu_kvm_node_cache);
	vmmu_kvm_node_cache = NULL;
}

static int create_caches(void)
{
	vmmu_kvm_page_cache = kmem_cache_create("kvm_mmu_page_header", sizeof(struct vmmu_page), 0, SLAB_ACCOUNT, NULL);
	vmmu_kvm_node_cache = kmem_cache_create("pte_list_desc", sizeof(struct vmmu_entry_node), 0, SLAB_ACCOUNT, NULL);
	if (vmmu_kvm_page_cache && vmmu_kvm_node_cache)
		return 0;
	destroy_caches();
	return -ENOMEM;
}

int kvm_mmu_vendor_module_init(void)
{
	int err;

	BUILD_BUG_ON(VMMU_KVM_LOCK_KINDS != VMMU_LOCK_KINDS);

	shadow_phys_bits = kvm_get_shadow_phys_bits();
	vmmu_spte_format_init_legacy(&vmmu_kvm_format, shadow_phys_bits, l1tf_cache_bits());
	settle_mmio();
	err = create_caches();
	if (err)
		return err;
	err = vmmu_kvm_shrinker_init();
	if (err)
		destroy_caches();
	return err;
}

void kvm_mmu_vendor_module_exit(void)
{
	vmmu_kvm_shrinker_exit();
	destroy_caches();
}

void kvm_mmu_set_ept_masks(bool has_ad_bits, bool has_exec_only)
{
	vmmu_spte_format_init_ept(&vmmu_kvm_format, shadow_phys_bits, l1tf_cache_bits(), has_ad_bits, has_exec_only);
	settle_mmio();
}
EXPORT_SYMBOL_GPL(kvm_mmu_set_ept_masks);

void kvm_mmu_set_me_spte_mask(u64 me_value, u64 me_mask)
{
	WARN_ON(!vmmu_spte_format_set_me(&vmmu_kvm_format, me_value, me_mask));
}
EXPORT_SYMBOL_GPL(kvm_mmu_set_me_spte_mask);

void kvm_mmu_set_mmio_spte_mask(u64 mmio_value, u64 mmio_mask, u64 access_mask)
{
	/* A value of 0 is the vendor's way to say that no entry faults for certain. */
	if (!vmmu_spte_format_set_mmio(&vmmu_kvm_format, mmio_value, mmio_mask, access_mask))
		WARN_ON(mmio_value);
	settle_mmio();
}
EXPORT_SYMBOL_GPL(kvm_mmu_set_mmio_spte_mask);

void kvm_configure_mmu(bool enable_tdp, int tdp_forced_root_level, int tdp_max_root_level, int tdp_huge_page_level)
{
	tdp_enabled = enable_tdp;
	forced_root_level = tdp_forced_root_level;
	max_root_level = tdp_max_root_level;
	vmmu_kvm_huge_level = tdp_huge_page_level;
	if (!enable_tdp)
		vmmu_kvm_huge_level = boot_cpu_has(X86_FEATURE_GBPAGES) ? PG_LEVEL_1G : PG_LEVEL_2M;
}
EXPORT_SYMBOL_GPL(kvm_configure_mmu);

/* Levels of the direct tables @vcpu runs on: the fifth only where its addresses need it. */
int vmmu_kvm_direct_level(struct kvm_vcpu *vcpu)
{
	if (forced_root_level)
		return forced_root_level;
	return cpuid_maxphyaddr(vcpu) <= 48 ? min(max_root_level, PT64_ROOT_4LEVEL) : max_root_level;
}

void vmmu_kvm_rcu_callback(struct rcu_head *head)
{
	struct vmmu_rcu *rcu = container_of(head, struct vmmu_rcu, head);

	rcu->fn(rcu);
}
