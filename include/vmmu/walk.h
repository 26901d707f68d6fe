/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Walking the guest's own tables, as the CPU would: for faults of the shadow engine, for emulators and for
 * debuggers. A walk reads guest memory through the host contract, may set A and D flags in it, and touches
 * nothing else: no shadow page, no lock.
 *
 * Words: a *table address* is where a table lies, a *step* is one entry used by a walk. With
 * vmmu_mode.nested set, addresses found in the tables are L2 physical; each is put through
 * vmmu_host_translate_nested() before use, and every gfn in the result is L1's.
 */
#ifndef VMMU_WALK_H
#define VMMU_WALK_H

#include <vmmu/types.h>
#include <vmmu/mode.h>

struct vmmu_vcpu;

/*
 * A guest table entry that was located in host memory. Filled by vmmu_host_gpte_locate() and
 * vmmu_host_gpte_locate_in(); valid as long as the host's slot read section in which it was located. What @host points
 * at is the host's affair. The core only asks whether it is NULL, and for another entry of the same page adds to @host
 * and @gpa the bytes between the two.
 */
struct vmmu_gpte {
	void *host;		/* where the host finds the bytes, never NULL; in a kernel a user address */
	vmmu_gpa_t gpa;		/* L1 guest physical address of the entry */
	bool writable;		/* false: the memory is read-only to the guest, A and D flags stay as they are. Not
				 * looked at where the entry was located for reading */
};

/* Which part of a translation failed. */
enum vmmu_walk_stage {
	VMMU_STAGE_TABLES = 0,		/* the tables that were walked say no */
	VMMU_STAGE_NESTED_TABLE,	/* L1's nested tables, for the address of a table */
	VMMU_STAGE_NESTED_FINAL,	/* L1's nested tables, for the address the tables gave */
};

/* Bits of an EPT violation's exit qualification (Intel SDM vol. 3, "Exit Qualification for EPT Violations"). */
#define VMMU_EPT_QUAL_READ		(1u << 0)	/* what the access was */
#define VMMU_EPT_QUAL_WRITE		(1u << 1)
#define VMMU_EPT_QUAL_FETCH		(1u << 2)
#define VMMU_EPT_QUAL_READABLE		(1u << 3)	/* what the entries used allow, all of them together */
#define VMMU_EPT_QUAL_WRITABLE		(1u << 4)
#define VMMU_EPT_QUAL_EXECUTABLE	(1u << 5)

/*
 * A fault that is the guest's own, in the words the guest must hear.
 *
 * error_code is a #PF error code, or with @stage beyond VMMU_STAGE_TABLES or an NPT mode the error code of
 * a nested page fault; VMMU_PF_FINAL or VMMU_PF_TABLE is set for the two nested stages only. Who walks an
 * NPT for a hardware exit adds the one of the two that the exit reported.
 * ept_qual has bits 5:0 only; bits 7 and 8 (linear address valid, and whether it was the final access or
 * a guest table) are known to the caller alone, who merges them.
 */
struct vmmu_guest_fault {
	uint64_t error_code;
	uint64_t address;	/* what could not be translated: the walked address,
				 * or an L2 physical address in a nested stage */
	uint64_t linear;	/* the address the walk began with */
	uint8_t stage;		/* enum vmmu_walk_stage */
	uint8_t ept_qual;	/* VMMU_EPT_QUAL_*; 0 in other formats */
	bool misconfig;		/* EPT: misconfiguration, not a violation */
	bool log_full;		/* EPT: L1's page-modification log is full; deliver that instead of the fault */
	bool race;		/* too many lost races; no fault at all, let the guest execute the instruction again */
};

/* Progress of walks, for trace points. Arguments a, b, c of vmmu_host_trace_walk(); absent ones are 0. */
enum vmmu_walk_event {
	VMMU_WALK_START,		/* address, VMMU_PF_* of the access */
	VMMU_WALK_ELEMENT,		/* entry, level */
	VMMU_WALK_SET_ACCESSED,		/* gfn of the table, index of the entry, bytes of an entry */
	VMMU_WALK_SET_DIRTY,		/* the same */
	VMMU_WALK_ERROR,		/* error code */
	VMMU_WALK_EVENT_COUNT
};

/* Name of @event; "?" for a value that is none. Context: any. */
const char *vmmu_walk_event_name(enum vmmu_walk_event event);

enum vmmu_gwalk_result {
	VMMU_GWALK_OK = 0,
	VMMU_GWALK_FAULT,	/* w->fault says what the guest is told */
	VMMU_GWALK_RETRY,	/* entries kept changing under the walk: let the guest run into it again */
	VMMU_GWALK_UNFLAGGED,	/* the access would set A or D flags, which vmmu_access.no_flags forbids */
};

/* One entry used by a walk. */
struct vmmu_gwalk_step {
	uint64_t entry;		/* its value, with A and D as the walk left them */
	vmmu_gfn_t table_gfn;	/* L1 frame of the table; meaningless for a PDPTE that came from a register */
	struct vmmu_gpte at;	/* to read it again later, see vmmu_gwalk_step_changed(); host NULL for such a PDPTE */
	uint16_t index;		/* of the entry in its table */
	uint8_t access;		/* rights of this entry and of all above it: what a table it points at passes on */
};

/*
 * A walk and its result. The walk fills it from nothing; what a failed walk reached is valid down to
 * @level, the level of the entry that failed.
 */
struct vmmu_gwalk {
	vmmu_gfn_t gfn;		/* L1 frame of the 4 KiB page at the address, also inside a larger page */
	vmmu_gfn_t ngfn;	/* the same before nested translation; equal to @gfn without */
	uint8_t level;		/* of the leaf, in the format's own sizes; VMMU_LEVEL_HUGE_MAX without paging */
	uint8_t root_level;
	uint8_t access;		/* VMMU_ACC_*: rights of all entries together. U is always set for EPT,
				 * R for all others */
	uint8_t pkey;		/* protection key of the leaf; 0 where there is none */
	bool clean;		/* D of the leaf is clear and the access did not write: map read-only,
				 * so that a write comes back */
	uint8_t races;		/* how often a compare-and-exchange was lost and the walk began again */
	struct vmmu_gwalk_step step[VMMU_LEVEL_MAX + 1];	/* by level; valid from root_level down to level */
	struct vmmu_guest_fault fault;
};

/* Walks begin again this often after a lost race before they give up. */
#define VMMU_GWALK_RACES_MAX 16

/*
 * Translate @va by the tables at @root as the CPU would for @access, and set A and D flags on success.
 *
 * @root:	CR3, EPT pointer or nCR3; bits that are no address are ignored
 * @pdptrs:	the four PDPTE registers of a PAE mode, or NULL to read them from memory at @root (NPT_PAE);
 *		ignored by other formats
 * @va:		within the address width of the mode: canonical, below 4 GiB for PT32 and PAE. For NPT32 and NPT_PAE
 *		any: above 4 GiB nothing is present
 *
 * Checks in order, from the root down: present, reserved bits; then, with all entries read, the rights and
 * the protection key. No A or D flag is set unless the access is allowed. An entry in memory the guest can
 * only read keeps its flags and the walk succeeds; an entry where no memory is counts as not present.
 * Does not check that the resulting frame is memory. Context: may sleep, inside a slot read section.
 */
VMMU_MUST_CHECK enum vmmu_gwalk_result
vmmu_gwalk(struct vmmu_vcpu *v, const struct vmmu_mode *mode, uint64_t root, const uint64_t *pdptrs, vmmu_gva_t va,
	   const struct vmmu_access *access, struct vmmu_gwalk *w);

/*
 * Has the entry of @w at @level changed since the walk, other than by A and D flags being set?
 * An entry that cannot be read at once has changed. A PDPTE from a register has not. Context: atomic.
 */
bool vmmu_gwalk_step_changed(const struct vmmu_mode *mode, const struct vmmu_gwalk *w, int level);

/*
 * vmmu_gwalk() for whoever needs the address only. @access has no no_flags: there is no fault to tell of then.
 * Return: the L1 guest physical address, or VMMU_GPA_INVALID with @fault filled. Context: as vmmu_gwalk().
 */
vmmu_gpa_t vmmu_translate(struct vmmu_vcpu *v, const struct vmmu_mode *mode, uint64_t root, const uint64_t *pdptrs,
			  vmmu_gva_t va, const struct vmmu_access *access, struct vmmu_guest_fault *fault);

#endif
