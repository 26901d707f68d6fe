/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The shadow engine: tables that mirror a guest's own (gva -> hpa), or L1's nested ones (L2 gpa -> hpa).
 *
 * A page mirrors one guest table in one role. Its entries are made on faults, from guest entries read again under
 * the page's lock. The guest frame it mirrors is kept from being written without our knowing: it is *tracked*, and
 * writes to it are emulated and reported. Last-level tables may go *unsync* instead: the guest writes them
 * freely, and their pages are compared with them again when the guest flushes.
 *
 * Below a guest's large page that the host backs with small ones stand direct pages, which mirror nothing.
 *
 * Locks: base/lock.h. "locked" below: the page's lock is held, or the VM's exclusively.
 */
#ifndef VMMU_ENGINE_SHADOW_H
#define VMMU_ENGINE_SHADOW_H

#include <vmmu/fault.h>
#include <vmmu/host.h>
#include <vmmu/vm.h>
#include <vmmu/walk.h>
#include "engine/flush.h"
#include "engine/mirror.h"
#include "format/spte.h"
#include "page/entry_set.h"
#include "page/page.h"

/* --- Entries (shadow_entry.c) ------------------------------------------------------------- */

static inline struct vmmu_page *entry_page(const uint64_t *entry)
{
	return vmmu_host_table_page((void *)((uintptr_t)entry & ~(uintptr_t)(VMMU_PAGE_SIZE - 1)));
}

static inline unsigned int entry_index(const uint64_t *entry)
{
	return ((uintptr_t)entry & (VMMU_PAGE_SIZE - 1)) / sizeof(*entry);
}

/* The table that @spte, an entry of @page, links; NULL if it links none. Context: rcu, or locked. */
static inline struct vmmu_page *entry_child(const struct vmmu_page *page, uint64_t spte)
{
	if (!spte_is_table(spte, page->role.level))
		return NULL;
	return vmmu_host_table_page(vmmu_host_table_at(spte_address(page->vm->fmt, spte)));
}

/* Entry @i becomes absent, with all that follows. Context: locked, rcu. */
void vmmu_shadow_drop(struct vmmu_page *page, unsigned int i, struct vmmu_flush *debt);

/*
 * The guest's entry behind leaf @i gives @access now, to the same frame as before: take from the leaf what it gives no
 * more. Rights that are new are left to a fault. Return: false, and nothing changed, if the leaf had better be dropped.
 * Context: page's lock.
 */
VMMU_MUST_CHECK bool vmmu_shadow_narrow(struct vmmu_page *page, unsigned int i, unsigned int access,
					struct vmmu_flush *debt);

/* A leaf to be set. */
struct vmmu_shadow_leaf {
	struct vmmu_slot *slot;
	vmmu_gfn_t gfn;			/* first frame */
	vmmu_pfn_t pfn;			/* first frame */
	uint64_t gpte;			/* the guest's entry, where the page mirrors one */
	unsigned int access;		/* rights to install: not those the guest gives while CR0.WP is clear */
	bool host_writable;
	bool write;			/* the access is a write: W and D now */
	bool may_write;			/* W may be set ahead of a write: the guest's D is set */
	bool prefetch;
};

enum vmmu_leaf_result {
	VMMU_LEAF_SET,
	VMMU_LEAF_SAME,
	VMMU_LEAF_READ_ONLY,	/* set, but not writable: the frame is tracked, or the host's read-only */
	VMMU_LEAF_TOO_LARGE,	/* nothing set: something inside is tracked */
};

/* Context: page's lock, vm shared, rcu. @v's pool has a node. */
enum vmmu_leaf_result vmmu_shadow_set_leaf(struct vmmu_vcpu *v, struct vmmu_page *page, unsigned int i,
					   const struct vmmu_shadow_leaf *leaf, struct vmmu_flush *debt);
/*
 * Let absent entry @i of @page point at @child. @flushes: vm->guest_flushes before all that is unsync below @child was
 * brought up to date. Return: false, and nothing changed, if @child has become invalid, or if something below it may be
 * stale while a vCPU has flushed since, without a way to it. Context: as above.
 */
VMMU_MUST_CHECK bool vmmu_shadow_link(struct vmmu_vcpu *v, struct vmmu_page *page, unsigned int i,
				      struct vmmu_page *child, uint64_t flushes);
/* The same of a direct page, without a vCPU. Context: page's lock, vm any, rcu. */
VMMU_MUST_CHECK bool vmmu_shadow_link_direct(struct vmmu_page *page, unsigned int i, struct vmmu_page *child,
					     struct vmmu_stock *stock);
/*
 * Set absent entry @i of the direct @page, in @slot, to the leaf @value, which is one of the parts of a large leaf:
 * without W where the frame is tracked. Return: false, and nothing changed, if the entry is not absent, if no such leaf
 * may be there, or for want of a node. Context: page's lock, vm any, rcu.
 */
bool vmmu_shadow_set_part(struct vmmu_page *page, unsigned int i, struct vmmu_slot *slot, uint64_t value,
			  struct vmmu_stock *stock);
static inline uint64_t shadow_flushes(const struct vmmu_vm *vm)
{
	return __atomic_load_n(&vm->guest_flushes, __ATOMIC_SEQ_CST);
}

/*
 * Is a page of size @level at @gfn forbidden in any address space? A frame tracked in one is not
 * to be written by another.
 */
static inline bool huge_disallowed_anywhere(struct vmmu_vm *vm, vmmu_gfn_t gfn, int level)
{
	for (int space = 0; space < VMMU_SPACES; space++) {
		struct vmmu_slot *slot = vmmu_host_slot(vm, space, gfn);

		if (slot && vmmu_host_slot_huge_disallowed(slot, gfn, level))
			return true;
	}
	return false;
}

/* --- Pages (shadow_page.c) ---------------------------------------------------------------- */

/*
 * The page for (@gfn, @role): found, or made, tracked and protected. Context: vm shared, rcu, no page's lock; @v's pool
 * has a page.
 */
struct vmmu_page *vmmu_shadow_get(struct vmmu_vcpu *v, vmmu_gfn_t gfn, union vmmu_role role);
/*
 * The direct page for (@gfn, @role): found, or made of *@spare, which is NULL then. Context: vm shared, rcu, no page's
 * lock. Return: NULL if there is none and nothing to make it of.
 */
struct vmmu_page *vmmu_shadow_get_direct(struct vmmu_vm *vm, vmmu_gfn_t gfn, union vmmu_role role,
					 struct vmmu_page **spare);
/*
 * Take @page out of everything. A root that is in use stays readable until its contexts drop it. Context: vm any, rcu,
 * no page's lock. Return: false if another is at it, who may not have got to its entries yet.
 */
bool vmmu_shadow_zap(struct vmmu_page *page, struct vmmu_flush *debt);
/*
 * All pages there are go on the list of those to be zapped; which of them is the next, NULL: none is left.
 * Context: vm excl.
 */
void vmmu_shadow_condemn_all(struct vmmu_vm *vm);
struct vmmu_page *vmmu_shadow_condemned(struct vmmu_vm *vm);
/*
 * Take pages out, coldest first, until none can go or no more than @most are left of those there were. Context: vm
 * shared, which is yielded; not rcu. Return: how many went.
 */
uint64_t vmmu_shadow_evict(struct vmmu_vm *vm, uint64_t most);

/* Does @page mirror a guest table? */
static inline bool shadow_mirrors(const struct vmmu_page *page)
{
	return !vmmu_role_is_direct(page->role) && !page->s.own;
}

/*
 * No table leads to @page, and no context has it as a root: a guest that writes to the frame hardly uses it as a table
 * still. A guess, since that may change at any time.
 */
static inline bool shadow_is_orphan(const struct vmmu_page *page)
{
	return __atomic_load_n(&page->root_refs, __ATOMIC_RELAXED) <= 1 &&
	       entry_set_is_empty(&page->s.parents);
}

/* A fault goes through @page: the frame is a table still, however often it was written. */
static inline void shadow_is_in_use(struct vmmu_page *page)
{
	__atomic_store_n(&page->s.writes, 0, __ATOMIC_RELAXED);
}

/* --- Tables of a context's own (shadow_own.c) ------------------------------------------------ */

/* What such tables are made for, from the root down: two trees with equal values are interchangeable. */
struct vmmu_own_tree {
	union vmmu_role role;		/* of the root */
	vmmu_gfn_t gfn;			/* of the guest's table */
	int lowest;			/* level of the lowest of them, whose entries follow;
					 * those above have one entry each */
	unsigned int present;		/* bit i: entry i points at the page (child_gfn[i], child_role[i]) */
	vmmu_gfn_t child_gfn[4];
	union vmmu_role child_role[4];
};

/*
 * No context remembers @root any more: keep it as it is, linked and kept true, until somebody wants the same tree or
 * its memory. Takes over the context's reference; an invalid one is only put. Context: vm shared, rcu. Adds to @debt.
 */
void vmmu_own_park(struct vmmu_page *root, struct vmmu_flush *debt);
/* A parked root of tree @t, with its reference; NULL if there is none. It has to be synced. Context: vm shared, rcu. */
struct vmmu_page *vmmu_own_unpark(struct vmmu_vm *vm, const struct vmmu_own_tree *t);
/* The root parked longest goes. Return: how many tables went with it, 0 if there was none. Context: vm any, rcu. */
unsigned int vmmu_own_drop_parked(struct vmmu_vm *vm, struct vmmu_flush *debt);
/*
 * @root and the tables of the context's own below it go.
 * Return: how many, less those another is at. Context: vm any, rcu.
 */
unsigned int vmmu_own_zap(struct vmmu_page *root, struct vmmu_flush *debt);
/* A page that is being zapped cannot be parked any longer. Context: rcu. */
void vmmu_own_forget(struct vmmu_page *page);

/* --- Tracking (shadow_track.c) ------------------------------------------------------------ */

/* The frame @page mirrors loses W everywhere and does not get it back while tracked. Context: locked. Adds to @debt. */
void vmmu_shadow_track(struct vmmu_page *page, struct vmmu_flush *debt);
void vmmu_shadow_untrack(struct vmmu_page *page);
/* Large pages may not cover the frame @page mirrors, from its making to its end: @delta 1, -1. */
void vmmu_shadow_count_huge(struct vmmu_page *page, int delta);
/*
 * May @gfn become writable: are all pages that mirror it unsync, or can they be made so, or be let go? Context: vm
 * shared, rcu, no page's lock.
 */
bool vmmu_shadow_try_unsync(struct vmmu_vcpu *v, vmmu_gfn_t gfn);
/* Something at or below @page is unsync: let every page above know. Context: rcu. */
void vmmu_shadow_mark_above(struct vmmu_page *page);

/* --- Sync (shadow_sync.c) ----------------------------------------------------------------- */

/*
 * The guest flushes what @root shows. Return: may anything below be unsync, so that vmmu_shadow_sync_page() has to
 * follow? Context: any; the caller has a reference to @root.
 */
VMMU_MUST_CHECK bool vmmu_shadow_flush_begins(struct vmmu_vm *vm, const struct vmmu_page *root);
/* Bring all that is unsync at or below @page up to date with the guest's tables. Context: vm shared, no page's lock. */
void vmmu_shadow_sync_page(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_page *page);
/*
 * The same of a root to which the caller has a reference, after vmmu_shadow_flush_begins(); the lock is yielded.
 * Context: vm shared, not rcu.
 */
void vmmu_shadow_sync_root(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_page *root);

/* --- Faults (shadow_fault.c) -------------------------------------------------------------- */

/*
 * Install the translation @w found for @f. @f->gfn is the frame, @f->goal_level the size to install at most.
 * Context: vm shared; the root is valid; the frame was seen not to be invalidated under this hold of the lock.
 */
enum vmmu_fault_result vmmu_shadow_map(struct vmmu_vcpu *v, struct vmmu_context *c, struct vmmu_fault *f,
				       const struct vmmu_gwalk *w);

/* Map neighbours of entry @i of @page that are at hand. Context: page's lock, vm shared, rcu. */
void vmmu_shadow_prefetch(struct vmmu_vcpu *v, const struct vmmu_mode *mode, struct vmmu_page *page, unsigned int i,
			  struct vmmu_flush *debt);

/*
 * A root was made for @page: where @like, a root before it, has links, link the pages there are for @page's entries,
 * too. Processes share the tables of their kernel. Context: vm shared, rcu, no page's lock.
 */
void vmmu_shadow_prefetch_links(struct vmmu_vcpu *v, const struct vmmu_mode *mode, struct vmmu_page *page,
				const struct vmmu_page *like);

/* --- Writes of the guest (shadow_write.c) ------------------------------------------------- */

/*
 * The guest wrote @bytes at @gpa, and the bytes are there: entries made from them go. A frame that is written again and
 * again without being used as a table is let go. Context: vm shared, not rcu.
 */
void vmmu_shadow_written(struct vmmu_vm *vm, vmmu_gpa_t gpa, unsigned int bytes);
/* Let go of all pages that mirror @gfn. Return: was there one? Context: as above; flushes. */
bool vmmu_shadow_unprotect(struct vmmu_vm *vm, vmmu_gfn_t gfn);
/* Entry for @addr below @root goes, if it comes from an unsync table. Context: vm shared, not rcu. */
void vmmu_shadow_invalidate_address(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_page *root,
				    uint64_t addr);
/*
 * Is the flush of what a flush of the guest's takes from tables that mirror those of @mode the guest's own affair (see
 * engine/flush.h)? A flush of L1's for L2 leaves it to us, since the CPU knows those translations by their root.
 */
static inline bool flush_is_guests(const struct vmmu_mode *mode)
{
	return !vmmu_format_is_nested_tdp(mode->format);
}

/* --- Memory of a slot, by reverse map (shadow_slot.c) -------------------------------------- */

/* What is done to each leaf at @entry. Return: its new value; 0 to drop it. */
typedef uint64_t (*vmmu_leaf_fn)(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
/*
 * Do @fn to each leaf that maps a frame of [@start, @end) of @slot in a size from @min_level up. @yield: as in struct
 * vmmu_op.
 * @flush_later: the caller flushes in the end. Context: vm any, not rcu. Return: something changed.
 */
bool vmmu_shadow_for_leaves(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end, int min_level,
			    vmmu_leaf_fn fn, void (*yield)(struct vmmu_vm *vm), bool flush_later,
			    struct vmmu_flush *debt);
uint64_t vmmu_leaf_dropped(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
uint64_t vmmu_leaf_wrprotected(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
uint64_t vmmu_leaf_wrprotected_for_good(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
/* 4K leaves lose D, or W where D cannot be used. */
uint64_t vmmu_leaf_cleaned(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
/* The same where the CPU logs by D, else W; larger leaves lose W. */
uint64_t vmmu_leaf_logged_again(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
uint64_t vmmu_leaf_aged(const struct vmmu_vm *vm, const uint64_t *entry, uint64_t spte, int level);
/*
 * Zapping (shadow_zap.c). Pages that mirror tables in @slot go, and leaves that map its frames. Context: vm shared, not
 * rcu; no vCPU can look the slot up any more. What others have taken out may be theirs to flush and to finish.
 */
void vmmu_shadow_zap_slot(struct vmmu_vm *vm, struct vmmu_slot *slot, void (*yield)(struct vmmu_vm *vm),
			  struct vmmu_flush *debt);
/* If somebody waits: pay @debt, leave the read section, @yield, and come back. @yield NULL: never. Context: rcu. */
void vmmu_shadow_give_way(struct vmmu_vm *vm, void (*yield)(struct vmmu_vm *vm), struct vmmu_flush *debt);
/* Leaves and MMIO entries of frames [@start, @end) go, whatever their address space. Context: vm excl, not rcu. */
void vmmu_shadow_zap_frames(struct vmmu_vm *vm, vmmu_gfn_t start, vmmu_gfn_t end, void (*yield)(struct vmmu_vm *vm),
			    struct vmmu_flush *debt);
/* Is a leaf young? Context: vm any, not rcu. */
bool vmmu_shadow_young(struct vmmu_vm *vm, struct vmmu_slot *slot, vmmu_gfn_t start, vmmu_gfn_t end);
/* Was there ever a shadow page, so that reverse maps and track words mean something? */
static inline bool shadow_in_use(const struct vmmu_vm *vm)
{
	return __atomic_load_n(&vm->index, __ATOMIC_ACQUIRE);
}

#endif
