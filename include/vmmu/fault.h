/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One fault in, one result out. */
#ifndef VMMU_FAULT_H
#define VMMU_FAULT_H

#include <vmmu/types.h>
#include <vmmu/vm.h>
#include <vmmu/walk.h>

/* One fault, on its way through vmmu_fault(). The host fills the first group and zeroes the rest. */
struct vmmu_fault {
	/* What happened. */
	vmmu_gpa_t addr;		/* guest physical for a direct root,
					 * linear or L2 physical where tables are mirrored */
	uint64_t error_code;		/* VMMU_PF_* */
	bool prefetch;			/* asked for by the host ahead of the guest: installs with the A bit clear,
					 * counts nothing */
	bool ahead;			/* of vmmu_fault_ahead(): as prefetch, but A is set,
					 * since the access comes at once */
	uint8_t max_level;		/* largest page the host allows here (memory types), 1..VMMU_LEVEL_HUGE_MAX */

	/* Set by the core before it asks the host. */
	vmmu_gfn_t gfn;
	struct vmmu_slot *slot;		/* NULL where no memory is: MMIO; the host may take it away */
	unsigned int access;		/* VMMU_ACC_*: what the guest's tables allow at addr;
					 * all where the CPU checks them itself */
	uint64_t generation;		/* of the memslots, read before the slot was looked up */
	uint64_t mark;			/* what the host had invalidated when the look-up began: vmmu_fault_mark() */

	/* Filled by vmmu_host_fault_in(). */
	vmmu_pfn_t pfn;			/* frame behind gfn itself */
	bool writable;			/* the host may write pfn */
	void *host;			/* the host's own */

	/* Derived by the core. */
	uint8_t req_level;		/* largest page slot and host allow */
	uint8_t goal_level;		/* page size to install */
	bool huge_disallowed;		/* goal_level is below req_level since large pages must not be executable */
	bool fast;			/* decided without any lock */
	bool mmio_made;			/* an MMIO entry was made */
	bool own_table;			/* a write to a table that the access itself was translated by */
	struct vmmu_guest_fault guest;	/* with VMMU_FAULT_INJECT: what the guest is told */
	int error;			/* with VMMU_FAULT_ERROR: a negative enum vmmu_status or the host's own */
};

static inline bool vmmu_fault_is_write(const struct vmmu_fault *f) { return f->error_code & VMMU_PF_W; }
static inline bool vmmu_fault_is_fetch(const struct vmmu_fault *f) { return f->error_code & VMMU_PF_F; }
static inline bool vmmu_fault_is_present(const struct vmmu_fault *f) { return f->error_code & VMMU_PF_P; }

/*
 * The memory behind @f->gfn in @f->slot is about to be looked up: from now on it counts what the host invalidates
 * there. The core does it before it calls vmmu_host_fault_in(), which does it again before it looks up once more.
 * Context: no lock of the core is held. Return: false if that very memory is being invalidated, so that it is of no
 * use.
 */
bool vmmu_fault_mark(struct vmmu_vcpu *v, struct vmmu_fault *f);

/*
 * Is it worth looking up again? True if something was invalidated since the mark, perhaps by the look-up itself when it
 * copied a page. A hint, which saves the guest a second fault. Context: none needed.
 */
bool vmmu_fault_look_again(const struct vmmu_vcpu *v, const struct vmmu_fault *f);

enum vmmu_fault_event {
	VMMU_FAULT_EV_REQUESTED,	/* level and frame are chosen, nothing is installed yet */
	VMMU_FAULT_EV_INSTALLED,
	VMMU_FAULT_EV_FAST,
	VMMU_FAULT_EV_MMIO_SET,
};

/*
 * Serve @f on the current context of @v. The context's root is loaded (vmmu_root_load()).
 * Context: may sleep; the host's slot read section is open. Return: what to do next; f->error with VMMU_FAULT_ERROR.
 */
enum vmmu_fault_result vmmu_fault(struct vmmu_vcpu *v, struct vmmu_fault *f);

/*
 * L1 is about to run L2 again: if it was told of a fault in the tables that are current now, and has made an entry for
 * it meanwhile, install what that gives, so that L2 does not fault a second time. Sets no flags in L1's tables and
 * tells nobody anything: where that would be needed, nothing is done. @max_level: as in struct vmmu_fault.
 * Context: as vmmu_fault(); the nested context is current.
 */
void vmmu_fault_ahead(struct vmmu_vcpu *v, int max_level);

/* What vmmu_mmio_lookup() found at an address whose access faulted on a reserved bit or a misconfiguration. */
enum vmmu_mmio_result {
	VMMU_MMIO_NONE,			/* no MMIO entry: a fault like any other */
	VMMU_MMIO_VALID,		/* an MMIO entry of the present memslots: emulate */
	VMMU_MMIO_STALE,		/* memslots changed since: serve it as a fault */
	VMMU_MMIO_BUG,			/* an entry that no code of ours makes */
};

/*
 * Look at our entry for @addr without any lock. @generation: the memslots' generation now.
 * With VMMU_MMIO_VALID: @gfn and @access of the entry; @spte always (0 where there is none). Context: the vCPU's own
 * thread; takes no lock.
 */
enum vmmu_mmio_result vmmu_mmio_lookup(struct vmmu_vcpu *v, vmmu_gpa_t addr, uint64_t generation,
				       vmmu_gfn_t *gfn, unsigned int *access, uint64_t *spte);

#endif
