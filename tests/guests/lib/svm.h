// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * AMD's secure virtual machine, as the architecture manual lays it out: the control block, intercepts, exit codes, and
 * the instructions. Nothing here knows what runs in a guest.
 */
#pragma once
#include "types.h"

#define MSR_VM_CR		0xc0010114u
#define MSR_VM_HSAVE_PA		0xc0010117u

#define VM_CR_SVMDIS		(1ull << 4)

/* CPUID: who may run guests, and with what. */
#define CPUID_FEATURES		0x80000001u
#define CPUID_FEATURES_ECX_SVM	(1u << 2)
#define CPUID_SVM		0x8000000au
#define CPUID_SVM_EDX_NPT	(1u << 0)
#define CPUID_SVM_EDX_FLUSH_BY_ASID (1u << 6)
#define CPUID_ADDRESS_SIZES	0x80000008u

struct svm_segment {
	u16 selector;
	u16 attributes;		/* bits 55..52 and 47..40 of a descriptor */
	u32 limit;
	u64 base;
} __attribute__((packed));

/* Exceptions, then two words of instructions and events. */
#define INTERCEPT_INTR		(1u << 0)
#define INTERCEPT_NMI		(1u << 1)
#define INTERCEPT_HLT		(1u << 24)
#define INTERCEPT_SHUTDOWN	(1u << 31)
#define INTERCEPT2_VMRUN	(1u << 0)
#define INTERCEPT2_VMMCALL	(1u << 1)

#define TLB_CONTROL_NOTHING	0u
#define TLB_CONTROL_ALL		1u
#define TLB_CONTROL_ASID	3u
#define TLB_CONTROL_ASID_LOCAL	7u	/* what is not global */

#define EXIT_EXCEPTION		0x40u	/* plus the vector */
#define EXIT_INTR		0x60u
#define EXIT_HLT		0x78u
#define EXIT_SHUTDOWN		0x7fu
#define EXIT_VMMCALL		0x81u
#define EXIT_NPF		0x400u
#define EXIT_INVALID		(~0ull)

/* EXITINFO1 of a nested page fault. */
#define NPF_P			(1ull << 0)
#define NPF_W			(1ull << 1)
#define NPF_U			(1ull << 2)
#define NPF_RSVD		(1ull << 3)
#define NPF_FETCH		(1ull << 4)
#define NPF_FINAL		(1ull << 32)
#define NPF_WALK		(1ull << 33)

struct svm_vmcb {
	u32 intercept_cr;
	u32 intercept_dr;
	u32 intercept_exceptions;
	u32 intercept;
	u32 intercept2;
	u8 reserved1[0x40 - 0x14];
	u64 iopm_base;
	u64 msrpm_base;
	u64 tsc_offset;
	u32 asid;
	u32 tlb_control;
	u64 virtual_interrupt;
	u64 interrupt_shadow;
	u64 exit_code;
	u64 exit_info1;
	u64 exit_info2;
	u64 exit_interrupt_info;
	u64 nested_control;	/* bit 0: nested paging */
	u64 avic_bar;
	u64 ghcb;
	u64 event_injection;
	u64 nested_cr3;
	u64 virtual_ext;
	u64 clean;
	u64 next_rip;
	u8 reserved2[0x400 - 0xd0];

	struct svm_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved3[0xcb - 0xa0];
	u8 cpl;
	u32 reserved4;
	u64 efer;
	u8 reserved5[0x148 - 0xd8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved6[0x1d8 - 0x180];
	u64 rsp;
	u8 reserved7[0x1f8 - 0x1e0];
	u64 rax;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;
	u8 reserved8[0x268 - 0x248];
	u64 pat;
	u8 reserved9[0x1000 - 0x400 - 0x270];
} __attribute__((packed));

_Static_assert(sizeof(struct svm_vmcb) == 0x1000, "a page");
_Static_assert(offsetof(struct svm_vmcb, exit_code) == 0x70, "as the manual has it");
_Static_assert(offsetof(struct svm_vmcb, nested_cr3) == 0xb0, "as the manual has it");
_Static_assert(offsetof(struct svm_vmcb, next_rip) == 0xc8, "as the manual has it");
_Static_assert(offsetof(struct svm_vmcb, efer) == 0x400 + 0xd0, "as the manual has it");
_Static_assert(offsetof(struct svm_vmcb, rsp) == 0x400 + 0x1d8, "as the manual has it");
_Static_assert(offsetof(struct svm_vmcb, pat) == 0x400 + 0x268, "as the manual has it");

static inline void svm_invlpga(u64 address, u32 asid)
{
	__asm__ volatile("invlpga %%rax, %%ecx" : : "a"(address), "c"(asid) : "memory");
}
