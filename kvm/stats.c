// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core's counters, one "name value" a line, in the file vmmu of each VM's folder in debugfs; and those of KVM's own
 * statistics that are about shadow pages.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <vmmu/host.h>

static int counters_show(struct seq_file *m, void *unused)
{
	struct vmmu_vm *vm = m->private;

	for (int c = 0; c < VMMU_C_NR; c++)
		seq_printf(m, "%s %llu\n", vmmu_counter_name(c), vmmu_counter_read(vm, c));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

/* KVM removes the folder, and waits for its readers, before it destroys the VM. */
void vmmu_kvm_stats_add(struct vmmu_kvm *vk)
{
	if (!IS_ERR_OR_NULL(vk->kvm->debugfs_dentry))
		debugfs_create_file("vmmu", 0444, vk->kvm->debugfs_dentry, &vk->vm, &counters_fops);
}

/* KVM's names, with KVM's meaning. mmu_unsync is a present value; an unsync page that is zapped is none any more. */
void vmmu_kvm_count_page(const struct vmmu_page *page, enum vmmu_page_event event)
{
	struct kvm_vm_stat *stat = &vmmu_to_kvm(page->vm)->stat;
	u64 *counts[] = {
		[VMMU_PAGE_MADE] = &stat->mmu_cache_miss,	[VMMU_PAGE_ZAPPED] = &stat->mmu_shadow_zapped,
		[VMMU_PAGE_UNSYNC] = &stat->mmu_unsync,		[VMMU_PAGE_WRITTEN] = &stat->mmu_pte_write,
		[VMMU_PAGE_FLOODED] = &stat->mmu_flooded,	[VMMU_PAGE_EVICTED] = &stat->mmu_recycled,
	};

	if (!page->shadow)
		return;
	/* Under locks that several vCPUs hold at once. */
	if (event < ARRAY_SIZE(counts) && counts[event])
		__atomic_fetch_add(counts[event], 1, __ATOMIC_RELAXED);
	if (event == VMMU_PAGE_SYNC || (event == VMMU_PAGE_ZAPPED && READ_ONCE(page->s.unsync)))
		__atomic_fetch_sub(&stat->mmu_unsync, 1, __ATOMIC_RELAXED);
}
