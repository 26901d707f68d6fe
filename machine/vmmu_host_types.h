/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The host's types of the contract in <vmmu/host.h>, bound to user space. */
#ifndef VMMU_MACHINE_HOST_TYPES_H
#define VMMU_MACHINE_HOST_TYPES_H

#include <pthread.h>
#include <stdint.h>

typedef struct {
	pthread_mutex_t mutex;
} vmmu_spinlock_t;

struct vmmu_rcu {
	struct vmmu_rcu *next;
	void (*fn)(struct vmmu_rcu *rcu);
	uint64_t stamp;			/* read sections that began up to then may still look */
};

/* Where a test may let something else happen; see thread.h. */
enum machine_point {
	MACHINE_AT_WORD,		/* before an access to a shared word, and before a lock is taken */
	MACHINE_AT_YIELD,		/* the VM's lock is given up for a moment */
	MACHINE_AT_INVALIDATING,	/* memory is unmapped and about to change */
	MACHINE_AT_FAULT_IN,		/* memory was looked up, the VM's lock is not taken yet */
};
extern void (*machine_hook)(enum machine_point point);

#define VMMU_SCHEDULE_POINT() (__builtin_expect(!!machine_hook, 0) ? machine_hook(MACHINE_AT_WORD) : (void)0)

#endif
