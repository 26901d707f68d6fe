/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The host's types for tests of walks: nothing here is ever used. */
#ifndef VMMU_HOST_TYPES_H
#define VMMU_HOST_TYPES_H

typedef int vmmu_spinlock_t;

struct vmmu_rcu {
	int unused;
};

#endif
