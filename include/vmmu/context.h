/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Paging contexts and their roots.
 *
 * A context needs the root that its role (and, where guest tables are shadowed, its page-table address) names.
 * It remembers the roots it used before, so that a switch back costs neither lock nor walk. A root that became
 * obsolete (zap-all) is dropped at the next vmmu_roots_drop_obsolete() and never found again.
 *
 * Context of all: the vCPU's own thread, or the vCPU cannot run. "slots": inside the host's slot read section, or where
 * slots cannot change; only contexts whose roots mirror tables, or map gva = gpa, need it.
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
 * for direct roots. A hit takes no lock; a miss may drop the coldest cached root, see below. Does not load the root
 * into the CPU and does not flush it: the host does. Context: slots.
 */
enum vmmu_switch vmmu_context_switch(struct vmmu_vcpu *v, struct vmmu_context *c, union vmmu_role role, uint64_t pgd);

/*
 * Give the current context of @v a root if it has none. A root that mirrors may have been another vCPU's, which has not
 * flushed: vmmu_sync() follows before the guest runs on it. Context: may sleep; slots; takes vm shared, and, until a
 * root of the VM that is not direct has been made, exclusive for a moment. Return: VMMU_OK; or, with no root,
 * VMMU_ENOMEM, or VMMU_EFAULT: the guest's tables are not in its memory.
 */
VMMU_MUST_CHECK int vmmu_root_load(struct vmmu_vcpu *v);

/* Physical address of the context's current root, VMMU_HPA_INVALID if there is none. */
vmmu_hpa_t vmmu_root_hpa(const struct vmmu_context *c);
/*
 * May no vCPU go on with the context's current root? True without one. Readable under vm shared or when nothing zaps.
 */
bool vmmu_root_is_obsolete(const struct vmmu_context *c);

/*
 * Drop the current root / the cached ones / those that are obsolete, in one context. Context: slots; may take vm
 * shared, and flush.
 */
void vmmu_root_drop_current(struct vmmu_vcpu *v, struct vmmu_context *c);
void vmmu_roots_drop_cached(struct vmmu_vcpu *v, struct vmmu_context *c);
/* The @i-th cached root, most recent first; nothing if there are fewer. */
void vmmu_root_drop_cached_one(struct vmmu_vcpu *v, struct vmmu_context *c, unsigned int i);
/* Return: was the current root among them? */
bool vmmu_roots_drop_obsolete(struct vmmu_vcpu *v, struct vmmu_context *c);

/*
 * The guest flushed its translations, all or that of @addr, for what @c translates: tables that mirror the guest's
 * follow. The host flushes the CPU's TLB. No-op for direct roots. vmmu_sync_cached() drops cached roots of another role
 * than the context has now, whose tables cannot be read by its mode. @cached: in the cached roots, too, since the
 * guest may come back to one without another flush.
 * Context: slots; takes vm shared, which vmmu_sync() and vmmu_sync_cached() yield; may flush other CPUs.
 */
void vmmu_sync(struct vmmu_vcpu *v, struct vmmu_context *c);
void vmmu_sync_cached(struct vmmu_vcpu *v, struct vmmu_context *c);
void vmmu_invalidate_address(struct vmmu_vcpu *v, struct vmmu_context *c, uint64_t addr, bool cached);

#endif
