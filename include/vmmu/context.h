/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Paging contexts and their roots.
 *
 * A context needs the root that its role (and, where guest tables are shadowed, its page-table address) names.
 * It remembers the roots it used before, so that a switch back costs neither lock nor walk. A root that became
 * obsolete (zap-all) is dropped at the next vmmu_roots_drop_obsolete() and never found again.
 *
 * Context of all: the vCPU's own thread, or the vCPU cannot run.
 */
#ifndef VMMU_CONTEXT_H
#define VMMU_CONTEXT_H

#include <vmmu/types.h>
#include <vmmu/vm.h>

/* What a switch found. */
enum vmmu_switch {
	VMMU_SWITCH_SAME,	/* the current root fits */
	VMMU_SWITCH_HIT,	/* a cached root fits and is current now */
	VMMU_SWITCH_MISS,	/* no current root: vmmu_root_load() before the guest runs */
};

/*
 * From now on @c needs the root (@role, @pgd). @pgd: CR3, EPTP or nCR3 of the tables that are shadowed; ignored
 * for direct roots. A hit takes no lock; a miss may drop the coldest cached root, see below. Does not load the root into the CPU and does not flush: the host does.
 */
enum vmmu_switch vmmu_context_switch(struct vmmu_vcpu *v, struct vmmu_context *c, union vmmu_role role, uint64_t pgd);

/*
 * Give the current context of @v a root if it has none. May sleep; takes vm (shared). Return: VMMU_OK; VMMU_ENOMEM; VMMU_EFAULT:
 * the guest's tables are not in its memory. Nothing changed then. A root that mirrors may have been another vCPU's, which has not
 * flushed: vmmu_sync() follows before the guest runs on it. Context: inside the slot read section.
 */
VMMU_MUST_CHECK int vmmu_root_load(struct vmmu_vcpu *v);

/* Physical address of the context's current root, VMMU_HPA_INVALID if there is none. */
vmmu_hpa_t vmmu_root_hpa(const struct vmmu_context *c);
/* May no vCPU go on with the context's current root? True without one. Readable under vm shared or when nothing zaps. */
bool vmmu_root_is_obsolete(const struct vmmu_context *c);

/* Drop the current root / the cached ones / those that are obsolete, in one context. May take vm (shared), and flush. */
void vmmu_root_drop_current(struct vmmu_vcpu *v, struct vmmu_context *c);
void vmmu_roots_drop_cached(struct vmmu_vcpu *v, struct vmmu_context *c);
/* The @i-th cached root, most recent first; nothing if there are fewer. */
void vmmu_root_drop_cached_one(struct vmmu_vcpu *v, struct vmmu_context *c, unsigned int i);
/* Return: was the current root among them? */
bool vmmu_roots_drop_obsolete(struct vmmu_vcpu *v, struct vmmu_context *c);

/*
 * The guest flushed its translations, all or that of @addr, for what @c translates: tables that mirror the guest's follow.
 * The host flushes the CPU's TLB. Context: takes vm (shared). No-op for direct roots.
 * @cached: the guest may come back to a root in the cache without another flush.
 */
void vmmu_sync(struct vmmu_vcpu *v, struct vmmu_context *c);
void vmmu_sync_cached(struct vmmu_vcpu *v, struct vmmu_context *c);
void vmmu_invalidate_address(struct vmmu_vcpu *v, struct vmmu_context *c, uint64_t addr, bool cached);

#endif
