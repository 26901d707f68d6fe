// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* VMX: names of fields, controls, capabilities and exits, and the instructions (Intel SDM vol. 3, "VMX"). */
#pragma once
#include "cpu.h"
#include "print.h"

enum {
	MSR_FEATURE_CONTROL = 0x3a, MSR_VMX_BASIC = 0x480, MSR_VMX_PIN = 0x481, MSR_VMX_PROC = 0x482,
	MSR_VMX_EXIT = 0x483, MSR_VMX_ENTRY = 0x484, MSR_VMX_CR0_FIXED0 = 0x486, MSR_VMX_CR0_FIXED1 = 0x487,
	MSR_VMX_CR4_FIXED0 = 0x488, MSR_VMX_CR4_FIXED1 = 0x489, MSR_VMX_PROC2 = 0x48b, MSR_VMX_EPT_VPID = 0x48c,
	MSR_VMX_FUNCTIONS = 0x491, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176,
};
enum { FEATURE_LOCKED = 1u << 0, FEATURE_VMX = 1u << 2 };

/* MSR_VMX_EPT_VPID. */
#define EPT_CAP_EXEC_ONLY	BIT(0)
#define EPT_CAP_2M		BIT(16)
#define EPT_CAP_1G		BIT(17)
#define EPT_CAP_INVEPT		BIT(20)
#define EPT_CAP_AD		BIT(21)
#define EPT_CAP_INVEPT_ONE	BIT(25)
#define EPT_CAP_INVEPT_ALL	BIT(26)
#define EPT_CAP_INVVPID		BIT(32)
#define EPT_CAP_INVVPID_ADDRESS	BIT(40)
#define EPT_CAP_INVVPID_ONE	BIT(41)
#define EPT_CAP_INVVPID_ALL	BIT(42)
#define EPT_CAP_INVVPID_LOCAL	BIT(43)

enum vmcs_field {
	VMCS_VPID = 0x0000,
	VMCS_GUEST_ES = 0x0800, VMCS_GUEST_CS = 0x0802, VMCS_GUEST_SS = 0x0804, VMCS_GUEST_DS = 0x0806,
	VMCS_GUEST_FS = 0x0808, VMCS_GUEST_GS = 0x080a, VMCS_GUEST_LDTR = 0x080c, VMCS_GUEST_TR = 0x080e,
	VMCS_PML_INDEX = 0x0812,
	VMCS_HOST_ES = 0x0c00, VMCS_HOST_CS = 0x0c02, VMCS_HOST_SS = 0x0c04, VMCS_HOST_DS = 0x0c06,
	VMCS_HOST_FS = 0x0c08, VMCS_HOST_GS = 0x0c0a, VMCS_HOST_TR = 0x0c0c,
	VMCS_PML_ADDRESS = 0x200e, VMCS_FUNCTIONS = 0x2018, VMCS_EPTP = 0x201a, VMCS_EPTP_LIST = 0x2024,
	VMCS_PHYSICAL_ADDRESS = 0x2400, VMCS_LINK = 0x2800, VMCS_GUEST_EFER = 0x2806, VMCS_PDPTE0 = 0x280a,
	VMCS_HOST_EFER = 0x2c02,
	VMCS_PIN = 0x4000, VMCS_PROC = 0x4002, VMCS_EXCEPTIONS = 0x4004, VMCS_PF_MASK = 0x4006, VMCS_PF_MATCH = 0x4008,
	VMCS_EXIT = 0x400c, VMCS_ENTRY = 0x4012, VMCS_ENTRY_EVENT = 0x4016, VMCS_PROC2 = 0x401e,
	VMCS_ERROR = 0x4400, VMCS_REASON = 0x4402, VMCS_EVENT = 0x4404, VMCS_EVENT_ERROR = 0x4406,
	VMCS_INSTRUCTION_LENGTH = 0x440c,
	VMCS_GUEST_LIMITS = 0x4800,		/* one a segment register, in the order of the selectors */
	VMCS_GUEST_GDTR_LIMIT = 0x4810, VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_RIGHTS = 0x4814,		/* in the same order */
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824, VMCS_GUEST_ACTIVITY = 0x4826,
	VMCS_CR0_MASK = 0x6000, VMCS_CR4_MASK = 0x6002, VMCS_CR0_SHADOW = 0x6004, VMCS_CR4_SHADOW = 0x6006,
	VMCS_QUALIFICATION = 0x6400, VMCS_LINEAR_ADDRESS = 0x640a,
	VMCS_GUEST_CR0 = 0x6800, VMCS_GUEST_CR3 = 0x6802, VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_BASES = 0x6806,		/* in the same order, then GDTR and IDTR */
	VMCS_GUEST_GDTR_BASE = 0x6816, VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a, VMCS_GUEST_RSP = 0x681c, VMCS_GUEST_RIP = 0x681e, VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_HOST_CR0 = 0x6c00, VMCS_HOST_CR3 = 0x6c02, VMCS_HOST_CR4 = 0x6c04, VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08, VMCS_HOST_TR_BASE = 0x6c0a, VMCS_HOST_GDTR_BASE = 0x6c0c,
	VMCS_HOST_IDTR_BASE = 0x6c0e, VMCS_HOST_RSP = 0x6c14, VMCS_HOST_RIP = 0x6c16,
};

#define PROC_HLT		BIT(7)
#define PROC_SECONDARY		BIT(31)
enum {
	PROC2_EPT = 1u << 1, PROC2_VPID = 1u << 5, PROC2_UNRESTRICTED = 1u << 7, PROC2_FUNCTIONS = 1u << 13,
	PROC2_PML = 1u << 17,
};
enum { EXIT_HOST_64 = 1u << 9, EXIT_LOAD_EFER = 1u << 21 };
enum { ENTRY_GUEST_64 = 1u << 9, ENTRY_LOAD_EFER = 1u << 15 };
enum { FUNCTION_EPTP_SWITCH = 1u << 0 };

enum exit_reason {
	EXIT_EXCEPTION = 0, EXIT_INTERRUPT = 1, EXIT_TRIPLE_FAULT = 2, EXIT_HLT = 12, EXIT_VMCALL = 18,
	EXIT_INVALID_STATE = 33, EXIT_EPT_VIOLATION = 48, EXIT_EPT_MISCONFIG = 49, EXIT_VMFUNC = 59, EXIT_PML_FULL = 62,
	EXIT_ENTRY_FAILED = 1u << 31,
};

/* Of the exit qualification of an EPT violation. */
enum {
	QUAL_READ = 1u << 0, QUAL_WRITE = 1u << 1, QUAL_FETCH = 1u << 2, QUAL_READABLE = 1u << 3,
	QUAL_WRITABLE = 1u << 4, QUAL_EXECUTABLE = 1u << 5, QUAL_LINEAR_VALID = 1u << 7, QUAL_TRANSLATED = 1u << 8,
};

/* Of the EPT pointer. */
enum { EPTP_WB = 6, EPTP_FOUR_LEVELS = 3u << 3, EPTP_AD = 1u << 6 };

static inline bool vmxon(u64 region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccna"(failed) : "m"(region) : "memory");
	return !failed;
}

static inline bool vmclear(u64 region)
{
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccna"(failed) : "m"(region) : "memory");
	return !failed;
}

static inline bool vmptrld(u64 region)
{
	bool failed;

	__asm__ volatile("vmptrld %1" : "=@ccna"(failed) : "m"(region) : "memory");
	return !failed;
}

static inline u64 vmread(enum vmcs_field field)
{
	u64 value;
	bool failed;

	__asm__ volatile("vmread %2, %0" : "=r"(value), "=@ccna"(failed) : "r"((u64)field));
	if (failed)
		guest_panic("vmread of %x fails", field);
	return value;
}

static inline void vmwrite(enum vmcs_field field, u64 value)
{
	bool failed;

	__asm__ volatile("vmwrite %1, %2" : "=@ccna"(failed) : "r"(value), "r"((u64)field) : "memory");
	if (failed)
		guest_panic("vmwrite of %llx to %x fails: error %llu", (unsigned long long)value, field,
			    (unsigned long long)vmread(VMCS_ERROR));
}

enum invept_type { INVEPT_ONE = 1, INVEPT_ALL = 2 };
enum invvpid_type { INVVPID_ADDRESS = 0, INVVPID_ONE = 1, INVVPID_ALL = 2, INVVPID_ONE_LOCAL = 3 };

/* False if the CPU refuses. */
static inline bool invept(enum invept_type type, u64 eptp)
{
	struct { u64 eptp, zero; } descriptor = { eptp, 0 };
	bool failed;

	__asm__ volatile("invept %1, %2" : "=@ccna"(failed) : "m"(descriptor), "r"((u64)type) : "memory");
	return !failed;
}

static inline bool invvpid(enum invvpid_type type, u64 vpid, u64 linear)
{
	struct { u64 vpid, linear; } descriptor = { vpid, linear };
	bool failed;

	__asm__ volatile("invvpid %1, %2" : "=@ccna"(failed) : "m"(descriptor), "r"((u64)type) : "memory");
	return !failed;
}
