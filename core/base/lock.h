/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every lock of the core, in the order in which they may be taken: a lock only while every lock held stands
 * above it in this list.
 *
 *  1 vm       The host's reader-writer lock of a VM (kvm->mmu_lock).
 *             Shared: faults, root look-up and build, guest writes, syncs, eviction, write protection, cleaning,
 *             splitting, collapsing, NX recovery, a slot that goes.
 *             Exclusive: host invalidation, marking roots invalid, zap-all, write tracking for somebody outside; for a
 *             moment only, to wait for shared holders: before the first shadow page, and behind a slot that goes.
 *             What walks a range for long yields between entries; never inside an RCU read section, and with a flush
 *             owed only where the caller of the whole walk flushes in the end (dirty log). A sync of a root yields
 *             between batches of pages, an eviction between pages; a sync inside a fault does not.
 *  2 page     vmmu_page.s.lock, a spin lock of each shadow page: its entries come under it, and what they mirror. One
 *             at a time.
 *  3 Bit locks, each in the word that it guards:
 *    bucket   of the index: chains change under it, look-ups take nothing. Nothing is taken inside.
 *    parents  vmmu_page.s.parents: the entries that point at a page, its `invalid`, and the marks about it in the
 *             tables above. Inside it the set of a parent, so always from a lower level to a higher one.
 *    rmap     the reverse map of a frame in one size, in its slot: leaves of shadow pages that map it, in step with the
 *             map, and the decision whether the frame may be mapped writable. Also held while a direct leaf is
 *             installed, once there can be shadow pages.
 *    None of the three is taken inside another.
 *  4 lists    vm->lists, a spin lock, a few instructions: the lists of roots, parked ones too, of vCPUs, of tables made
 *             for NX and of shadow pages. Nothing is taken inside.
 *
 * A flush may be paid inside page and rmap, never inside bucket, parents and lists.
 *
 * Entries of direct tables have no lock: they change by compare-and-exchange. Those of shadow pages change so, too, or
 * by exchange, since the CPU sets A and D, the host goes by the reverse map, and a page that is zapped clears the links
 * to itself, all without the page's lock.
 *
 * Beside them RCU: tables are read inside a read section and freed after the flush that took them from the
 * CPUs and a grace period. fast_fault and MMIO look-ups hold nothing else.
 *
 * A direct root is kept by a reference: the VM holds one from its making until it is marked invalid and taken apart,
 * each context that remembers it one, each walk over roots that may yield one. A shadow page has one from its making
 * until it is zapped and flushed, and one for each context that has it as a root.
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
