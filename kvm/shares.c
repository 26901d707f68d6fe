// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu_lock held for reading by a word of the CPU's own, see core/base/shares.h: faults of many vCPUs write no word that
 * all of them need. KVM's own code takes mmu_lock for writing without a thought of it; it is what our MMU does under
 * that lock that closes the shares first, where it has to be alone. The rest of what KVM changes under the lock, the
 * range that is being invalidated and its count, is read as docs/locking.md says under "Shares".
 */
#include <linux/sched/clock.h>
#include <vmmu/host.h>

DEFINE_PER_CPU_ALIGNED(struct vmmu_share, vmmu_kvm_share);

/*
 * Closed shares stay closed this many times as long as it took to close them: a host that changes its memory all the
 * time spends no more than a tenth of that time on looking at the words of its CPUs.
 */
#define CLOSED_TIMES 9

bool vmmu_kvm_close_shares(struct kvm *kvm)
{
	struct vmmu_kvm *vk = kvm_to_vmmu_kvm(kvm);
	bool waited = false;
	u64 began, now;
	int cpu;

	lockdep_assert_held_write(&kvm->mmu_lock);
	began = local_clock();
	if (!shares_close(&vk->shares))
		return false;
	for_each_possible_cpu(cpu)
		while (!shares_left(&vk->shares, per_cpu_ptr(&vmmu_kvm_share, cpu))) {
			waited = true;
			cpu_relax();
		}
	now = local_clock();
	WRITE_ONCE(vk->reopen_at, now + CLOSED_TIMES * (now - began));
	return waited;
}

void vmmu_kvm_open_shares(struct vmmu_kvm *vk)
{
	/* There holders of mmu_lock change CPUs. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return;
	if (!READ_ONCE(vk->shares.open) && local_clock() >= READ_ONCE(vk->reopen_at))
		shares_open(&vk->shares);
}
