// SPDX-License-Identifier: GPL-2.0-only
/*
 * nx_huge_pages, against the iTLB multihit erratum: large pages are not executable while it is on, and a thread
 * of each VM takes back, little by little, the small pages that were made for code.
 */
#include <linux/cpu.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <vmmu/memory.h>
#include <vmmu/host.h>

/* What /sys/devices/system/cpu/vulnerabilities/itlb_multihit reports; the kernel declares it nowhere. */
extern bool itlb_multihit_kvm_mitigation;

#define NX_AUTO (-1)

/* -1 only until the module is initialised. */
static int nx_huge_pages = NX_AUTO;
static bool nx_never;
static uint recovery_period_ms;
/* Every hour one in so many of the pages split for code is taken back; 0: none. */
#ifdef CONFIG_PREEMPT_RT
static uint recovery_ratio;
#else
static uint recovery_ratio = 60;
#endif

static bool nx_auto(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

static void nx_publish(bool on)
{
	WRITE_ONCE(nx_huge_pages, on);
	itlb_multihit_kvm_mitigation = on;
}

void vmmu_kvm_nx_init(void)
{
	if (nx_huge_pages == NX_AUTO)
		nx_publish(nx_auto());
}

bool vmmu_kvm_nx_huge_pages(struct kvm *kvm)
{
	return READ_ONCE(nx_huge_pages) && !kvm->arch.disable_nx_huge_pages;
}

/* Each VM starts over with new tables under the new rule. */
static void nx_apply_to_vms(void)
{
	struct kvm *kvm;

	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list) {
		mutex_lock(&kvm->slots_lock);
		vmmu_kvm_nx_refresh(kvm);
		vmmu_kvm_zap_all_fast(kvm);
		mutex_unlock(&kvm->slots_lock);
		if (kvm->arch.nx_lpage_recovery_thread)
			wake_up_process(kvm->arch.nx_lpage_recovery_thread);
	}
	mutex_unlock(&kvm_lock);
}

static int nx_set_never(void)
{
	int err = 0;

	mutex_lock(&kvm_lock);
	if (list_empty(&vm_list))
		nx_never = true;
	else
		err = -EBUSY;
	mutex_unlock(&kvm_lock);
	return err;
}

static int nx_set(const char *val, const struct kernel_param *kp)
{
	int old = nx_huge_pages, err;
	bool on = false;

	if (nx_never)
		return -EPERM;
	if (sysfs_streq(val, "never")) {
		err = nx_set_never();
		if (err)
			return err;
	} else if (sysfs_streq(val, "auto")) {
		on = nx_auto();
	} else if (sysfs_streq(val, "force")) {
		on = true;
	} else if (!sysfs_streq(val, "off")) {
		if (kstrtobool(val, &on))
			return -EINVAL;
	}
	nx_publish(on);
	/* Before the module is initialised there are no VMs. */
	if (old != NX_AUTO && on != !!old)
		nx_apply_to_vms();
	return 0;
}

static int nx_get(char *buffer, const struct kernel_param *kp)
{
	return nx_never ? sysfs_emit(buffer, "never\n") : param_get_bool(buffer, kp);
}

/* Milliseconds between two rounds; 0: no recovery. */
static uint recovery_period(void)
{
	uint ratio = READ_ONCE(recovery_ratio), period = READ_ONCE(recovery_period_ms);

	if (!READ_ONCE(nx_huge_pages) || !ratio)
		return 0;
	return period ? period : MSEC_PER_SEC * 3600 / min(ratio, 3600u);
}

static void recovery_wake_all(void)
{
	struct kvm *kvm;

	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list)
		if (kvm->arch.nx_lpage_recovery_thread)
			wake_up_process(kvm->arch.nx_lpage_recovery_thread);
	mutex_unlock(&kvm_lock);
}

static int recovery_set(const char *val, const struct kernel_param *kp)
{
	uint before = recovery_period(), after;
	int err;

	if (nx_never)
		return -EPERM;
	err = param_set_uint(val, kp);
	if (err)
		return err;
	after = recovery_period();
	if (after && (!before || after < before))
		recovery_wake_all();
	return 0;
}

static const struct kernel_param_ops nx_ops = { .set = nx_set, .get = nx_get };
static const struct kernel_param_ops recovery_ops = { .set = recovery_set, .get = param_get_uint };

module_param_cb(nx_huge_pages, &nx_ops, &nx_huge_pages, 0644);
__MODULE_PARM_TYPE(nx_huge_pages, "bool");
module_param_cb(nx_huge_pages_recovery_ratio, &recovery_ops, &recovery_ratio, 0644);
__MODULE_PARM_TYPE(nx_huge_pages_recovery_ratio, "uint");
module_param_cb(nx_huge_pages_recovery_period_ms, &recovery_ops, &recovery_period_ms, 0644);
__MODULE_PARM_TYPE(nx_huge_pages_recovery_period_ms, "uint");

static void recover(struct kvm *kvm)
{
	uint ratio = READ_ONCE(recovery_ratio);
	u64 splits = vmmu_counter_read(kvm_to_vmmu(kvm), VMMU_C_NX_SPLITS_NOW);
	int idx;

	if (!ratio || !splits)
		return;
	idx = srcu_read_lock(&kvm->srcu);
	vmmu_nx_recover(kvm_to_vmmu(kvm), DIV_ROUND_UP_ULL(splits, ratio));
	srcu_read_unlock(&kvm->srcu, idx);
}

static int recovery_worker(struct kvm *kvm, uintptr_t data)
{
	unsigned long last = jiffies;

	while (!kthread_should_stop()) {
		uint period;
		long left;

		/* Before the parameters are looked at: a change of them wakes the thread. */
		set_current_state(TASK_INTERRUPTIBLE);
		period = recovery_period();
		left = period ? (long)(last + msecs_to_jiffies(period) - jiffies) : MAX_SCHEDULE_TIMEOUT;
		if (left > 0) {
			if (!kthread_should_stop())
				schedule_timeout(left);
			__set_current_state(TASK_RUNNING);
			continue;
		}
		__set_current_state(TASK_RUNNING);
		recover(kvm);
		last = jiffies;
	}
	return 0;
}

int kvm_mmu_post_init_vm(struct kvm *kvm)
{
	int err = 0;

	vmmu_kvm_stats_add(kvm_to_vmmu_kvm(kvm));
	if (nx_never)
		return 0;
	err = kvm_vm_create_worker_thread(kvm, recovery_worker, 0, "kvm-nx-lpage-recovery",
					  &kvm->arch.nx_lpage_recovery_thread);
	if (!err)
		kthread_unpark(kvm->arch.nx_lpage_recovery_thread);
	return err;
}

void kvm_mmu_pre_destroy_vm(struct kvm *kvm)
{
	if (kvm->arch.nx_lpage_recovery_thread)
		kthread_stop(kvm->arch.nx_lpage_recovery_thread);
}
