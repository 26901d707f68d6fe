// SPDX-License-Identifier: GPL-2.0-only
/* Parameters of kvm.ko: KVM's own, with their meaning, and vmmu's. */
#include <linux/cpu.h>
#include <linux/moduleparam.h>
#include <vmmu/host.h>

/* Which MMU this kvm.ko has: the file's presence is the answer. */
static bool vmmu = true;
module_param(vmmu, bool, 0444);
MODULE_PARM_DESC(vmmu, "always Y: this kvm.ko has vmmu in place of KVM's MMU");

static uint root_cache = 16;
module_param_named(vmmu_root_cache, root_cache, uint, 0644);
MODULE_PARM_DESC(vmmu_root_cache,
		 "roots that each of a vCPU's two contexts, L1's and L2's, remembers beside the current one, 3 to 64; "
		 "for VMs created from now on");

static uint prefetch_window = 8;
module_param_named(vmmu_prefetch, prefetch_window, uint, 0644);
MODULE_PARM_DESC(vmmu_prefetch, "pages tried around a fault: 0, 2, 4, 8 or 16; for VMs created from now on");

static uint sync_patience = 8;
module_param_named(vmmu_sync_patience, sync_patience, uint, 0644);
MODULE_PARM_DESC(vmmu_sync_patience,
		 "guest flushes for which a page table that is written all the time stays writable, 0 to 127; "
		 "for VMs created from now on");

static uint write_flood = 3;
module_param_named(vmmu_write_flood, write_flood, uint, 0644);
MODULE_PARM_DESC(vmmu_write_flood,
		 "emulated writes after which an upper page table that is not used is none, 0 (never) to 255; "
		 "for VMs created from now on");

static uint frame_leaves = 4096;
module_param_named(vmmu_frame_leaves, frame_leaves, uint, 0644);
MODULE_PARM_DESC(vmmu_frame_leaves,
		 "shadow entries that may map one page of a guest, 16 to 65535; for VMs created from now on");

bool __read_mostly vmmu_kvm_flush_on_reuse;
module_param_named(flush_on_reuse, vmmu_kvm_flush_on_reuse, bool, 0644);

bool __read_mostly vmmu_kvm_slot_zap_all;
module_param_named(vmmu_slot_zap_all, vmmu_kvm_slot_zap_all, bool, 0644);
MODULE_PARM_DESC(vmmu_slot_zap_all, "drop all tables, not only the slot's own, when a memslot goes or moves");

/* vmmu has one engine for direct tables, the one that KVM's tdp_mmu=Y is the like of. */
static int set_tdp_mmu(const char *val, const struct kernel_param *kp)
{
	bool on;
	int err = kstrtobool(val, &on);

	if (err)
		return err;
	if (!on)
		pr_warn("kvm: vmmu: tdp_mmu=N is ignored, direct tables are always built in parallel\n");
	return 0;
}

static const struct kernel_param_ops tdp_mmu_ops = { .set = set_tdp_mmu, .get = param_get_bool };
static bool tdp_mmu = true;
module_param_cb(tdp_mmu, &tdp_mmu_ops, &tdp_mmu, 0644);
__MODULE_PARM_TYPE(tdp_mmu, "bool");

/* What the user asked of mmio_caching; the parameter itself says what the CPU made of it. */
bool vmmu_kvm_mmio_caching_wanted;

void vmmu_kvm_params_for_vm(struct vmmu_params *params)
{
	uint pages = min(READ_ONCE(prefetch_window), (uint)VMMU_PREFETCH_MAX);

	vmmu_params_default(params);
	params->root_cache = clamp(READ_ONCE(root_cache), (uint)KVM_MMU_NUM_PREV_ROOTS, (uint)VMMU_ROOT_CACHE_MAX);
	params->roots_seen = KVM_MMU_NUM_PREV_ROOTS;
	params->prefetch = pages > 1 ? rounddown_pow_of_two(pages) : 0;
	params->sync_patience = min(READ_ONCE(sync_patience), (uint)VMMU_SYNC_PATIENCE_MAX);
	params->write_flood = min(READ_ONCE(write_flood), 255u);
	params->frame_leaves = clamp(READ_ONCE(frame_leaves), (uint)VMMU_FRAME_LEAVES_MIN, 65535u);
}

void vmmu_kvm_params_init(void)
{
	vmmu_kvm_mmio_caching_wanted = enable_mmio_caching;
	vmmu_kvm_nx_init();
}
