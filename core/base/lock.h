/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every lock of the core, in the order in which they may be taken: a lock only while every lock held stands
 * above it in this list.
 *
 *  1 vm       The host's reader-writer lock of a VM (kvm->mmu_lock, and shares of it: base/shares.h).
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
 * CPUs and a grace period. Fast faults (engine/direct_fast.c) and MMIO look-ups hold nothing else.
 *
 * A direct root is kept by a reference: the VM holds one from its making until it is marked invalid and taken apart,
 * each context that remembers it one, each walk over roots that may yield one. A shadow page has one from its making
 * until it is zapped and flushed, and one for each context that has it as a root.
 */
#ifndef VMMU_BASE_LOCK_H
#define VMMU_BASE_LOCK_H

#include <vmmu/host.h>
#include "base/assert.h"
#include "base/bits.h"
#include "base/count.h"

enum lock_kind {
	LOCK_VM,
	LOCK_PAGE,
	LOCK_BUCKET,
	LOCK_PARENTS,
	LOCK_RMAP,
	LOCK_LISTS,
	LOCK_KINDS
};
STATIC_CHECK(LOCK_KINDS == VMMU_LOCK_KINDS);

#define LOCK_BIT_BUCKET	0	/* of a bucket's word */
#define LOCK_BIT_SET	1	/* of a set's: parents and rmap */

/*
 * A lock of this kind has been taken: was it in order? Of the VM's own only that nothing is held, since its holders
 * sleep, and some of them are the host's. Set in set of parents counts as in order whatever the levels: those below are
 * not known here.
 */
static inline void lock_taken(struct vmmu_vm *vm, enum lock_kind kind, enum vmmu_counter counter, bool waited)
{
#ifdef VMMU_DEBUG
	static const uint8_t above[] = {
		[LOCK_VM] = 0,
		[LOCK_PAGE] = 1 << LOCK_VM,
		[LOCK_BUCKET] = 1 << LOCK_PAGE,
		[LOCK_PARENTS] = 1 << LOCK_PAGE | 1 << LOCK_PARENTS,
		[LOCK_RMAP] = 1 << LOCK_PAGE,
		[LOCK_LISTS] = 1 << LOCK_PAGE | 1 << LOCK_BUCKET | 1 << LOCK_PARENTS | 1 << LOCK_RMAP,
	};
	uint8_t *held = vmmu_host_locks_held();

	for (int other = LOCK_PAGE; held && other < LOCK_KINDS; other++)
		CHECK(vm, !held[other] || (above[kind] & 1 << other));
	if (held && kind != LOCK_VM)
		held[kind]++;
#endif
	(void)kind;
	if (__builtin_expect(waited, 0))
		count_vm(vm, counter, 1);
}

/* One of this kind is about to be given back. */
static inline void lock_given(enum lock_kind kind)
{
#ifdef VMMU_DEBUG
	uint8_t *held = vmmu_host_locks_held();

	if (held)
		held[kind]--;
#endif
	(void)kind;
}

static inline void vm_lock_shared(struct vmmu_vm *vm)
{
	lock_taken(vm, LOCK_VM, VMMU_C_LOCK_WAIT_VM, vmmu_host_lock_shared(vm));
}

static inline void vm_unlock_shared(struct vmmu_vm *vm)
{
	vmmu_host_unlock_shared(vm);
}

static inline void vm_lock_excl(struct vmmu_vm *vm)
{
	lock_taken(vm, LOCK_VM, VMMU_C_LOCK_WAIT_VM, vmmu_host_lock_excl(vm));
	count_vm(vm, VMMU_C_LOCK_EXCL, 1);
}

static inline void vm_unlock_excl(struct vmmu_vm *vm)
{
	vmmu_host_unlock_excl(vm);
}

static inline void page_lock(struct vmmu_page *page)
{
	lock_taken(page->vm, LOCK_PAGE, VMMU_C_LOCK_WAIT_PAGE, vmmu_host_spin_lock(&page->s.lock));
}

static inline void page_unlock(struct vmmu_page *page)
{
	lock_given(LOCK_PAGE);
	vmmu_host_spin_unlock(&page->s.lock);
}

static inline void bucket_lock(struct vmmu_vm *vm, uintptr_t *bucket)
{
	lock_taken(vm, LOCK_BUCKET, VMMU_C_LOCK_WAIT_BUCKET, vmmu_host_bit_lock(bucket, LOCK_BIT_BUCKET));
}

static inline void bucket_unlock(uintptr_t *bucket)
{
	lock_given(LOCK_BUCKET);
	vmmu_host_bit_unlock(bucket, LOCK_BIT_BUCKET);
}

static inline void parents_lock(struct vmmu_page *page)
{
	lock_taken(page->vm, LOCK_PARENTS, VMMU_C_LOCK_WAIT_PARENTS,
		   vmmu_host_bit_lock(&page->s.parents, LOCK_BIT_SET));
}

static inline void parents_unlock(struct vmmu_page *page)
{
	lock_given(LOCK_PARENTS);
	vmmu_host_bit_unlock(&page->s.parents, LOCK_BIT_SET);
}

static inline void rmap_lock(struct vmmu_vm *vm, vmmu_entry_set *set)
{
	lock_taken(vm, LOCK_RMAP, VMMU_C_LOCK_WAIT_RMAP, vmmu_host_bit_lock(set, LOCK_BIT_SET));
}

static inline void rmap_unlock(vmmu_entry_set *set)
{
	lock_given(LOCK_RMAP);
	vmmu_host_bit_unlock(set, LOCK_BIT_SET);
}

static inline void lists_lock(struct vmmu_vm *vm)
{
	lock_taken(vm, LOCK_LISTS, VMMU_C_LOCK_WAIT_LISTS, vmmu_host_spin_lock(&vm->lists));
}

static inline void lists_unlock(struct vmmu_vm *vm)
{
	lock_given(LOCK_LISTS);
	vmmu_host_spin_unlock(&vm->lists);
}

#endif
