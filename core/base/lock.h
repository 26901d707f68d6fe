/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every lock of the core, in the order in which they may be taken: a lock only while every lock held stands
 * above it in this list.
 *
 *  1 vm       The host's reader-writer lock of a VM (kvm->mmu_lock).
 *             Shared: faults, root look-up and build, write protection, cleaning, splitting, collapsing, NX
 *             recovery. Entries change by compare-and-exchange under it.
 *             Exclusive: host invalidation, marking roots invalid, zap-all.
 *             What holds it for long yields between entries; never inside an RCU read section, and with a flush
 *             owed only where the caller of the whole walk flushes in the end (dirty log).
 *  2 lists    vm->lists, a spin lock, a few instructions: the lists of roots, of vCPUs and of tables made for NX.
 *             Nothing is taken inside.
 *
 * Beside them RCU: tables are read inside a read section and freed after the flush that took them from the
 * CPUs and a grace period. fast_fault and MMIO look-ups hold nothing else.
 *
 * A root is kept by a reference: the VM holds one from its making until it is marked invalid, each context that
 * remembers it one, each walk over roots that may yield one.
 */
#ifndef VMMU_BASE_LOCK_H
#define VMMU_BASE_LOCK_H

#include <vmmu/host.h>

static inline void lists_lock(struct vmmu_vm *vm)
{
	vmmu_host_spin_lock(&vm->lists);
}

static inline void lists_unlock(struct vmmu_vm *vm)
{
	vmmu_host_spin_unlock(&vm->lists);
}

#endif
