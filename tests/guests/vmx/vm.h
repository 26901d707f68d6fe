// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L2: a virtual machine of this kernel, which runs the short programs of entry.S at the addresses its tables give. */
#pragma once

/* Offsets in struct vm, for entry.S. */
#define VM_HOST_RSP 128
#define VM_LAUNCHED 136

#ifndef __ASSEMBLER__
#include "vmx.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

enum l2_access { L2_READ, L2_WRITE, L2_FETCH, L2_ACCESSES };
enum l2_width { L2_64, L2_32, L2_16 };

struct vm_exit {
	u32 reason;
	u64 qualification, gpa, linear, rip;
};

struct vm {
	u64 gpr[16];			/* not RSP */
	u64 host_rsp;
	u64 launched;
	u64 vmcs;
	u64 *space;			/* L2's own top table: as the boot tables, until a test adds to it */
	u64 cr3;			/* L2's physical address of it */
	u64 stack;			/* its end */
	u64 eptp;
	u16 vpid;
	u32 proc2;			/* secondary controls: to read a VMCS is an exit to L0 */
	enum l2_width width;		/* of its code */
	bool unpaged;			/* L2 has paging off */
	u64 base;			/* of its segments */
	struct vm_exit exit;
};

/* VMX operation on, and what the CPU offers of it; false if there is none, which is reported. */
bool vmx_start(void);

u64 vmx_ept_caps(void);
bool vmx_offers_proc2(u32 controls);

/* A 64-bit L2 with interrupts off that shows every exception to L1. eptp: 0 for none. It is current afterwards. */
void vm_init(struct vm *vm, u64 eptp);
void vm_load(struct vm *vm);
void vm_set_eptp(struct vm *vm, u64 eptp);
void vm_set_proc2(struct vm *vm, u32 set);

/* Run L2 from where it is until it exits; the exit is left in vm->exit. An entry that fails panics. */
void vm_resume(struct vm *vm);

/* True if the CPU refuses to enter L2, for its controls. */
bool vm_is_refused(struct vm *vm);

/* Run L2 from `rip`. */
void vm_run(struct vm *vm, const void *rip);

/* Accesses of L2, each one instruction and then VMCALL. */
void vm_access(struct vm *vm, enum l2_access access, u64 linear, u64 value);
const char *vm_program(const struct vm *vm, enum l2_access access);

/* The programs of entry.S: RDI is the address, RAX the value. The fetch is a call. */
extern const char l2_read[], l2_write[], l2_fetch[], l2_vmcall[], l2_touch_pages[], l2_vmfunc[],
	l2_write_device[];
extern const char l2_read32[], l2_write32[], l2_fetch32[], l2_read16[], l2_write16[], l2_fetch16[];
#endif
