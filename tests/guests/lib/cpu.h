// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What only an instruction can do, and the bits of the registers that control paging.
 *
 * Functions here take what the manuals allow and what they do not: an exception goes to trap_catch() if one is active.
 */
#pragma once
#include "types.h"

enum {
	CR0_PE = 1u << 0, CR0_MP = 1u << 1, CR0_ET = 1u << 4, CR0_NE = 1u << 5, CR0_WP = 1u << 16, CR0_NW = 1u << 29,
	CR0_CD = 1u << 30,
};
#define CR0_PG BIT(31)

enum {
	CR4_PSE = 1u << 4, CR4_PAE = 1u << 5, CR4_PGE = 1u << 7, CR4_OSFXSR = 1u << 9, CR4_LA57 = 1u << 12,
	CR4_VMXE = 1u << 13, CR4_FSGSBASE = 1u << 16, CR4_PCIDE = 1u << 17, CR4_SMEP = 1u << 20, CR4_SMAP = 1u << 21,
	CR4_PKE = 1u << 22,
};
#define CR3_NO_FLUSH BIT(63)

enum { EFER_SCE = 1u << 0, EFER_LME = 1u << 8, EFER_LMA = 1u << 10, EFER_NXE = 1u << 11, EFER_SVME = 1u << 12 };

enum { FLAGS_FIXED = 1u << 1, FLAGS_TF = 1u << 8, FLAGS_IF = 1u << 9, FLAGS_AC = 1u << 18 };

enum {
	MSR_APIC_BASE = 0x1b, MSR_PAT = 0x277, MSR_EFER = 0xc0000080, MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082,
	MSR_FS_BASE = 0xc0000100, MSR_GS_BASE = 0xc0000101,
};

/* Error code of a page fault. */
enum { PF_P = 1u << 0, PF_W = 1u << 1, PF_U = 1u << 2, PF_RSVD = 1u << 3, PF_FETCH = 1u << 4, PF_PK = 1u << 5 };

enum {
	VEC_DE = 0, VEC_DB = 1, VEC_BP = 3, VEC_UD = 6, VEC_NM = 7, VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12,
	VEC_GP = 13, VEC_PF = 14, VEC_AC = 17,
};

struct cpuid {
	u32 a, b, c, d;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
	return r;
}

/* All zero if the CPU has no such leaf. */
static inline struct cpuid cpuid_or_zero(u32 leaf, u32 subleaf)
{
	if (cpuid(leaf & 0x80000000, 0).a < leaf)
		return (struct cpuid){ 0 };
	return cpuid(leaf, subleaf);
}

static inline bool cpu_has_pse(void) { return cpuid(1, 0).d & BIT(3); }
static inline bool cpu_has_pae(void) { return cpuid(1, 0).d & BIT(6); }
static inline bool cpu_has_pge(void) { return cpuid(1, 0).d & BIT(13); }
static inline bool cpu_has_pat(void) { return cpuid(1, 0).d & BIT(16); }
static inline bool cpu_has_pse36(void) { return cpuid(1, 0).d & BIT(17); }
static inline bool cpu_has_vmx(void) { return cpuid(1, 0).c & BIT(5); }
static inline bool cpu_has_pcid(void) { return cpuid(1, 0).c & BIT(17); }
static inline bool cpu_has_x2apic(void) { return cpuid(1, 0).c & BIT(21); }
static inline bool cpu_has_smep(void) { return cpuid_or_zero(7, 0).b & BIT(7); }
static inline bool cpu_has_invpcid(void) { return cpuid_or_zero(7, 0).b & BIT(10); }
static inline bool cpu_has_smap(void) { return cpuid_or_zero(7, 0).b & BIT(20); }
static inline bool cpu_has_pku(void) { return cpuid_or_zero(7, 0).c & BIT(3); }
static inline bool cpu_has_la57(void) { return cpuid_or_zero(7, 0).c & BIT(16); }
static inline bool cpu_has_svm(void) { return cpuid_or_zero(0x80000001, 0).c & BIT(2); }
static inline bool cpu_has_nx(void) { return cpuid_or_zero(0x80000001, 0).d & BIT(20); }
static inline bool cpu_has_1g(void) { return cpuid_or_zero(0x80000001, 0).d & BIT(26); }
static inline bool cpu_is_amd(void) { return cpuid(0, 0).b == 0x68747541; }

/* MAXPHYADDR. */
static inline int cpu_address_bits(void)
{
	int bits = cpuid_or_zero(0x80000008, 0).a & 0xff;

	return bits ? bits : 36;
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" :: "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

#define DEFINE_CR_ACCESS(n)								\
	static inline uptr read_cr##n(void)						\
	{										\
		uptr value;								\
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(value) :: "memory");	\
		return value;								\
	}										\
	static inline void write_cr##n(uptr value)					\
	{										\
		__asm__ volatile("mov %0, %%cr" #n :: "r"(value) : "memory");		\
	}
DEFINE_CR_ACCESS(0)
DEFINE_CR_ACCESS(2)
DEFINE_CR_ACCESS(3)
DEFINE_CR_ACCESS(4)

static inline void invlpg(uptr address)
{
	__asm__ volatile("invlpg (%0)" :: "r"(address) : "memory");
}

enum { INVPCID_ADDRESS = 0, INVPCID_CONTEXT = 1, INVPCID_ALL = 2, INVPCID_ALL_BUT_GLOBAL = 3 };

static inline void invpcid(uptr type, u64 pcid, u64 address)
{
	struct { u64 pcid, address; } descriptor = { pcid, address };

	__asm__ volatile("invpcid %0, %1" :: "m"(descriptor), "r"(type) : "memory");
}

static inline void stac(void) { __asm__ volatile("stac" ::: "memory"); }
static inline void clac(void) { __asm__ volatile("clac" ::: "memory"); }
static inline void pause(void) { __asm__ volatile("pause" ::: "memory"); }
static inline void mfence(void) { __asm__ volatile("mfence" ::: "memory"); }
static inline void irq_enable(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void irq_disable(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void wbinvd(void) { __asm__ volatile("wbinvd" ::: "memory"); }

/* Interrupts on and the CPU asleep, with nothing between the two. Off again after the one that woke it. */
static inline void irq_await(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }

static inline u32 read_pkru(void)
{
	u32 value;

	__asm__ volatile("rdpkru" : "=a"(value) : "c"(0) : "edx");
	return value;
}

static inline void write_pkru(u32 value)
{
	__asm__ volatile("wrpkru" :: "a"(value), "c"(0), "d"(0) : "memory");
}

#define DEFINE_PORT_ACCESS(type, suffix)						\
	static inline void out##suffix(u16 port, type value)				\
	{										\
		__asm__ volatile("out" #suffix " %0, %1" :: "a"(value), "Nd"(port));	\
	}										\
	static inline type in##suffix(u16 port)						\
	{										\
		type value;								\
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port));	\
		return value;								\
	}
DEFINE_PORT_ACCESS(u8, b)
DEFINE_PORT_ACCESS(u16, w)
DEFINE_PORT_ACCESS(u32, l)
