/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's types of the contract in <vmmu/host.h>, bound to Linux. */
#ifndef VMMU_KVM_HOST_TYPES_H
#define VMMU_KVM_HOST_TYPES_H

#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* The core holds slots by pointer only. */
#define vmmu_slot kvm_memory_slot

typedef spinlock_t vmmu_spinlock_t;

struct vmmu_rcu {
	struct rcu_head head;
	void (*fn)(struct vmmu_rcu *rcu);
};

#endif
