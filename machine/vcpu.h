/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A virtual CPU: the hardware's side (TLB, paging-structure cache, page walker, log of D bits) and the host's loop
 * around it.
 *
 * The hardware keeps every translation it has read until it is told to flush or has no room, and uses it or walks
 * anew as chance has it. All it does in one go is under cpu_lock; a flush takes that lock, as an IPI waits for the CPU.
 */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include "guest.h"
#include "say.h"
#include "vm.h"

#define CPU_TLB		32
#define CPU_WALKS	16
#define CPU_PML		16

/* A translation; valid for the root it was read from. */
struct cpu_translation {
	uint64_t root;			/* 0: none */
	vmmu_gfn_t gfn;			/* first frame; where addresses are linear, or L2's physical: of them */
	uint64_t pfn;
	uint8_t level;
	bool read, write, user, exec, dirty;
	bool encrypted;
};

/* A table that a walk may begin at. */
struct cpu_walk {
	uint64_t root;			/* 0: none */
	vmmu_gfn_t gfn;
	uint64_t table;
	uint8_t level;			/* of the table */
};

enum cpu_result {
	CPU_DONE,
	CPU_FAULT,			/* error code in vcpu->error */
	CPU_LOG_FULL,
	CPU_REQUEST,			/* the host wants something first */
};

struct machine_vcpu {
	struct vmmu_vcpu v;
	struct machine_vm *m;

	/* Which memory it sees. */
	int space;
	bool guest_view;
	uint8_t level;
	bool ac;			/* EFLAGS.AC */

	pthread_mutex_t cpu_lock;	/* guards the rest of the hardware's side */
	bool obsolete;			/* request: drop roots that are obsolete */
	uint64_t root;			/* table the CPU walks from; 0: it may not run */
	int root_level;
	bool linear;			/* addresses are linear, and accesses a user's or the supervisor's */
	bool mirrors;			/* the tables mirror a guest's */
	bool ad;			/* A and D are in use: EPT may go without */
	bool smep, smap;		/* CR4 as it is loaded; CR0.WP always is set */
	uint64_t pdpte[4];		/* linear, with three levels: read when the root was loaded */
	struct cpu_translation tlb[CPU_TLB];
	struct cpu_walk walk[CPU_WALKS];
	struct {
		vmmu_gfn_t gfn;
		int space;
	} pml[CPU_PML];
	unsigned int pml_count;
	uint64_t error;			/* VMMU_PF_* of the last fault */
	uint64_t reached;		/* page of the host's that the last access led to */
	uint64_t random;

	struct machine_guest g;

	uint64_t accesses, faults, rounds_max;
	int last_error;
};

static inline struct machine_vcpu *machine_vcpu_of(struct vmmu_vcpu *v)
{
	return (struct machine_vcpu *)((char *)v - offsetof(struct machine_vcpu, v));
}

struct machine_vcpu *machine_vcpu_add(struct machine_vm *m);
static inline unsigned int machine_vcpu_number(const struct machine_vcpu *c)
{
	unsigned int n = 0;

	while (n < c->m->vcpus && c->m->vcpu[n] != c)
		n++;
	return n;
}

/* The last one added goes. */
void machine_vcpu_remove(struct machine_vm *m);

/* What this vCPU looks at from now on: address space, a nested guest's view or not, levels of its tree. */
void machine_vcpu_switch(struct machine_vcpu *c, int space, bool guest_view, int level);

enum machine_access_result {
	MACHINE_ACCESS_DONE,		/* by the CPU */
	MACHINE_ACCESS_EMULATED,	/* by the host: read-only or tracked memory */
	MACHINE_ACCESS_MMIO,		/* by the host: there is no memory */
	MACHINE_ACCESS_NO_MEMORY,	/* the host ran out of memory for tables: c->last_error */
	MACHINE_ACCESS_GAVE_UP,		/* @rounds faults and no end */
	MACHINE_ACCESS_INJECTED,	/* the fault is the guest's own: c->g.injected */
	MACHINE_ACCESS_NO_ROOT,		/* the guest's tables are no memory */
};

/*
 * The guest accesses @addr, a physical address or what its tables translate: the CPU tries, the host serves its faults.
 * @pf: 0, VMMU_PF_W or VMMU_PF_F; of a linear address with VMMU_PF_U for a user's; with EPT VMMU_PF_W | VMMU_PF_U is a
 * write that reads as well. Context: may sleep.
 */
enum machine_access_result machine_access(struct machine_vcpu *c, vmmu_gpa_t addr, uint64_t pf, unsigned int rounds);
/* The host asks for @gfn ahead of the guest. */
enum vmmu_fault_result machine_prefetch(struct machine_vcpu *c, vmmu_gfn_t gfn);
/* Have a root, and nothing obsolete. Return: VMMU_OK or VMMU_ENOMEM. */
int machine_vcpu_load(struct machine_vcpu *c);
/* Tell the CPU where to walk from. */
void machine_vcpu_load_root(struct machine_vcpu *c);
/* The CPU's log is handed over before it looks elsewhere. */
void machine_vcpu_drain_log(struct machine_vcpu *c);
/* guest.c: what has to be known when a root is made. */
void machine_guest_before_load(struct machine_vcpu *c);
/* Give to the dirty log what the CPU has logged. Context: slots; takes cpu_lock. */
void machine_vcpu_sync_log(struct machine_vcpu *c);

/* --- cpu.c: the hardware alone --- */

enum cpu_result machine_cpu_access(struct machine_vcpu *c, vmmu_gpa_t addr, uint64_t pf);
/* Number of the page at @addr, as the CPU that walks so many levels sees it. */
vmmu_gfn_t machine_cpu_frame(const struct machine_vcpu *c, uint64_t addr);
/* Does the translation allow the access? Context: cpu_lock. */
bool machine_cpu_allows(const struct machine_vcpu *c, const struct cpu_translation *t, uint64_t pf);
void machine_cpu_flush(struct machine_vcpu *c, uint64_t root, vmmu_gfn_t start, vmmu_gfn_t end);
/* Every translation and every table this CPU may use: does it stand for what the VM has now? Complains if not. */
void machine_cpu_check(struct machine_vcpu *c);

/* --- walker.c: one walk through the tables in memory --- */

enum walker_result {
	WALKER_OK,
	WALKER_NOT_PRESENT,
	WALKER_DENIED,			/* rights */
	WALKER_RESERVED,		/* reserved bits, or a misconfigured entry */
	WALKER_AGAIN,			/* an entry changed while its A or D bit was set */
	WALKER_LOG_FULL,
};
/* From @start down. Sets A and D as the CPU would; fills @t on success. */
enum walker_result machine_walk(struct machine_vcpu *c, const struct cpu_walk *start, vmmu_gfn_t gfn, uint64_t pf,
				struct cpu_translation *t);

#include "shadow.h"

#endif
