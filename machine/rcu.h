/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Grace periods. A callback runs as soon as the last read section that could know the object has ended, no later:
 * with one thread that is at the end of the section it was given in, so that a look too late is always caught.
 */
#ifndef MACHINE_RCU_H
#define MACHINE_RCU_H

#include "vmmu_host_types.h"

void machine_rcu_read_lock(void);
void machine_rcu_read_unlock(void);
void machine_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu));
void machine_rcu_barrier(void);
/* Callbacks that wait. */
unsigned long machine_rcu_waiting(void);

#endif
