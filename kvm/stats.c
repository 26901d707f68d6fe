// SPDX-License-Identifier: GPL-2.0-only
/* The core's counters, one "name value" a line, in the file vmmu of each VM's folder in debugfs. */
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
