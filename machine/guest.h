/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A guest that has tables of its own which the core mirrors: those of L1, where the CPU has no nested paging
 * (machine_config.shadow), or L1's nested ones for L2. What the guest does to its registers, and what the host makes of
 * it: which root a context needs, what it syncs, what it flushes.
 *
 * A *space* is what the architecture would know by a tag: translations of one set of tables, in one mode, on one vCPU.
 * It remembers the flush that came last.
 */
#ifndef MACHINE_GUEST_H
#define MACHINE_GUEST_H

#include <vmmu/context.h>
#include <vmmu/mode.h>
#include <vmmu/walk.h>
#include "oracle.h"

struct machine_vcpu;

/* L1's. MOV to CR3 has loaded the PDPTE registers. */
struct machine_regs {
	uint64_t cr0, cr4, efer, cr3;
	uint64_t pdpte[4];
};

/* Nested tables, as L1's VMCB or VMCS names them. */
struct machine_nested {
	bool ept;
	uint64_t root;
	/* EPT */
	bool exec_only, ad;
	bool logs;			/* by page-modification logging */
	uint8_t level, largest;
	/* NPT: L1's registers as they are now say how its tables are read. */
};

#define GUEST_SPACES	48
#define GUEST_INVLPGS	8
#define GUEST_L1_LOG	6	/* entries of L1's page-modification log */
struct guest_space {
	bool used, nested;
	uint32_t role;
	uint8_t levels;			/* of the guest's tables */
	uint64_t pgd, pdpte[4];
	uint64_t since, last_used;
	bool unknown;			/* memslots changed under the tables since the last flush */
	struct {
		uint64_t frame, since;
	} invlpg[GUEST_INVLPGS];
	unsigned int invlpgs;
};

/* Of a vCPU. Its own thread's. */
struct machine_guest {
	struct machine_regs regs;
	struct machine_nested nested;
	bool in_l2;
	/* L2's own tables, which nobody mirrors: its CPU walks them, and the host's emulator. */
	struct machine_regs l2;
	struct vmmu_mode l2_mode;
	struct oracle_tables l2_tables;
	unsigned int l1_logged;		/* writes of L2's in L1's log, which L1 empties when it is full */
	bool log_is_ahead;		/* L1's log has the page whose D is about to be set */
	struct oracle_tables tables;	/* those that are mirrored now */
	struct guest_space *space;	/* NULL: nothing is mirrored */
	struct guest_space spaces[GUEST_SPACES];
	uint64_t uses;
	struct vmmu_guest_fault injected;	/* the last fault that was the guest's own */
	/* What an access with VMMU_PF_W writes; 0 bytes: nothing in particular. */
	uint64_t store_value;
	unsigned int store_bytes;
};

/* Is there an oracle? Then stores and what CPUs do are judged. */
void machine_oracle_on(struct machine_vm *m);

/*
 * L1 sets its registers, and flushes. machine_config.shadow only. Return: false if a CPU would refuse them (PDPTEs with
 * reserved bits, tables that are no memory).
 */
bool machine_guest_set_regs(struct machine_vcpu *c, const struct machine_regs *regs, int space);
/* MOV to CR3; @flush: the no-flush bit is clear. Return: as above. */
bool machine_guest_load_cr3(struct machine_vcpu *c, uint64_t cr3, bool flush);
/* L2 begins to run on nested tables of L1's; @flush: L1 asks for it. Not with machine_config.shadow. */
void machine_guest_enter(struct machine_vcpu *c, const struct machine_nested *nested, const struct machine_regs *l1,
			 bool flush);
/* And ends. */
void machine_guest_leave(struct machine_vcpu *c);
/* INVLPG; of L2's physical address INVLPGA and the like. */
void machine_guest_invlpg(struct machine_vcpu *c, uint64_t addr);
/* All translations of the current space, or of all. */
void machine_guest_flush(struct machine_vcpu *c);
void machine_guest_flush_all(struct machine_vcpu *c);
/* The root was made anew, and all that was before it is synced and flushed: since @time. */
void machine_guest_is_flushed(struct machine_vcpu *c, uint64_t time);
/* L2 is about to run: what L1 was told is missing may be there by now. Context: slots. */
void machine_guest_ahead(struct machine_vcpu *c);
/* Memslots changed. */
void machine_guest_slots_changed(struct machine_vm *m);

/* The guest's access in the oracle's words. */
struct oracle_access machine_guest_access(const struct machine_vcpu *c, uint64_t pf);
/* What its tables say now. Context: slots. */
struct oracle_now machine_guest_now(struct machine_vcpu *c, uint64_t addr, uint64_t pf);
/* The CPU has reached @page of the host's: was it allowed to? Context: slots. */
void machine_guest_check(struct machine_vcpu *c, uint64_t addr, uint64_t pf, uint64_t page);
/* May a CPU believe that frame @gfn is at @addr? Context: slots. */
bool machine_guest_may_find(struct machine_vcpu *c, uint64_t addr, uint64_t gfn);
/* Have the tables said one thing only about @addr since the last flush? */
bool machine_guest_is_settled(struct machine_vcpu *c, uint64_t addr);
/*
 * Where the host's emulator finds @addr: an L1 physical address, or VMMU_GPA_INVALID with c->g.injected.
 * Context: slots.
 */
vmmu_gpa_t machine_guest_translate(struct machine_vcpu *c, uint64_t addr, uint64_t pf);

/*
 * The host writes guest memory for a guest's instruction, and tells the core. The instruction ends when the core has
 * heard: a flush before that does not cover the write. @bytes 0: nothing in particular. Context: slots. Return: false,
 * and nothing is written, while somebody else changes memory.
 */
bool machine_write_for_guest(struct machine_vm *m, const struct vmmu_slot *slot, vmmu_gpa_t gpa, uint64_t value,
			     unsigned int bytes);
/* Does MOV to CR3 load PDPTEs? */
bool machine_uses_pdptes(const struct machine_regs *r);
/* How tables are read with these registers, in the core's words and the oracle's. */
void machine_guest_describe(const struct machine_vcpu *c, const struct machine_regs *r, struct vmmu_mode *mode,
			    struct oracle_tables *tables);
/* L2 sets its registers: how its own tables are read. Return: false if a CPU would refuse them. */
bool machine_guest_l2_regs(struct machine_vcpu *c, const struct machine_regs *regs);
/* Where the host's emulator finds L2's linear address @addr. Context: slots. */
vmmu_gpa_t machine_guest_l2_translate(struct machine_vcpu *c, uint64_t addr, uint64_t pf,
				      struct vmmu_guest_fault *fault);
/* Where L1's nested tables have L2's physical address: services of the contract. */
vmmu_gpa_t machine_translate_nested(struct machine_vcpu *c, vmmu_gpa_t gpa, uint64_t pf, struct vmmu_guest_fault *why);
int machine_log_nested_write(struct machine_vcpu *c, vmmu_gpa_t gpa);
/* An entry of L1's tables is about to become @value. */
void machine_guest_entry_changes(struct machine_vcpu *c, uint64_t old, uint64_t value);

/* Write guest memory, by a CPU (@told), or so that nobody hears of it. */
void machine_store(struct machine_vm *m, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes,
		   bool told);

#endif
