/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A paging mode: everything that decides how guest tables are read, computed once from the registers.
 *
 * A mode is a value. A constructor builds it from zero out of its arguments alone, so two modes made from
 * equal arguments are equal and nothing of an earlier mode survives. Walks and permission checks look at
 * the mode only, never at a register. The mode says how tables are *read*; what names a shadow page is
 * the role, which takes from the mode no more than the format needs.
 */
#ifndef VMMU_MODE_H
#define VMMU_MODE_H

#include <vmmu/types.h>

/*
 * Who wrote the table and in which shape. 4- and 5-level tables share a format: a table of level 4 or
 * below is the same thing in both, and the root level tells them apart. NPT formats have the bits of
 * their legacy twins, but none of CR0.WP, SMEP, SMAP and PKE, and every access is a user access.
 * Values stay below 16: a role keeps them in four bits.
 */
enum vmmu_format {
	VMMU_FORMAT_NONE = 0,	/* mirrors no guest table: paging is off, or none is needed; addresses pass unchanged */
	VMMU_FORMAT_PT32,	/* two levels of 1024 4-byte entries, PSE and PSE-36 */
	VMMU_FORMAT_PAE,	/* four PDPTEs over two levels of 512 8-byte entries */
	VMMU_FORMAT_PT64,	/* 4- and 5-level paging */
	VMMU_FORMAT_EPT,	/* L1's EPT for L2 */
	VMMU_FORMAT_NPT32,	/* L1's NPT for L2, L1 in 32-bit paging */
	VMMU_FORMAT_NPT_PAE,	/* the same, L1 in PAE paging */
	VMMU_FORMAT_NPT64,	/* the same, L1 in 4- or 5-level paging */
	VMMU_FORMAT_COUNT
};

/* Name of @format for traces and reports; "?" for a value that is none. Context: any. */
const char *vmmu_format_name(enum vmmu_format format);

static inline bool vmmu_format_is_npt(enum vmmu_format format)
{
	return format >= VMMU_FORMAT_NPT32 && format <= VMMU_FORMAT_NPT64;
}

/* Is it a table of L1 that maps L2's physical addresses? */
static inline bool vmmu_format_is_nested_tdp(enum vmmu_format format)
{
	return format == VMMU_FORMAT_EPT || vmmu_format_is_npt(format);
}

/* Register bits that the constructors look at; all others are ignored. */
#define VMMU_CR0_WP	(1ull << 16)
#define VMMU_CR0_PG	(1ull << 31)
#define VMMU_CR4_PSE	(1ull << 4)
#define VMMU_CR4_PAE	(1ull << 5)
#define VMMU_CR4_LA57	(1ull << 12)
#define VMMU_CR4_SMEP	(1ull << 20)
#define VMMU_CR4_SMAP	(1ull << 21)
#define VMMU_CR4_PKE	(1ull << 22)
#define VMMU_EFER_LMA	(1ull << 10)
#define VMMU_EFER_NXE	(1ull << 11)

/* What a constructor reads: control registers, and what the guest's CPU can do. */
struct vmmu_regs {
	uint64_t cr0;
	uint64_t cr4;
	uint64_t efer;
	uint64_t reserved_gpa_bits;	/* physical address bits that are illegal besides those from maxphyaddr up */
	uint8_t maxphyaddr;		/* physical address width in bits, 32..52; 0: reserved_gpa_bits says it all */
	bool gbpages;			/* 1 GiB pages exist. A host where hardware walks the guest's tables passes
					 * what that hardware does, whatever CPUID tells the guest */
	bool pse36;			/* 4 MiB pages reach above 4 GiB */
	bool amd;			/* reserved bits as in AMD's manual where the vendors differ */
};

/* L1's EPT pointer, decoded, and what L1's virtual CPU advertises. */
struct vmmu_ept_config {
	uint64_t reserved_gpa_bits;	/* as in struct vmmu_regs */
	uint8_t maxphyaddr;		/* as in struct vmmu_regs */
	uint8_t root_level;		/* 4 or 5 */
	uint8_t huge_level;		/* largest leaf: VMMU_LEVEL_4K, _2M or _1G */
	bool execonly;			/* execute-only entries are legal */
	bool accessed_dirty;		/* A and D flags are enabled in the EPT pointer */
};

/* Does a table address of this mode have to be translated by L1's nested tables before it can be read? */
enum vmmu_nested {
	VMMU_NESTED_NONE = 0,	/* no: addresses in the tables are L1 physical */
	VMMU_NESTED_READ,	/* yes; reading an entry is a read there: EPT without A and D flags */
	VMMU_NESTED_WRITE,	/* yes; reading an entry is a write there: NPT always, EPT with A and D flags */
};

/*
 * Reserved bits. mask[b][level] are the bits that must be zero in a present entry of a @level table whose
 * bit 7 is b. Bit 7 set makes a leaf on the levels in huge_levels; where it must be zero it is in mask[1].
 * Bit n of bad_ept: bits 5:0 of an EPT entry (memory type and rights) must not be n. Zero in other formats.
 */
struct vmmu_rsvd {
	uint64_t mask[2][VMMU_LEVEL_MAX + 1];
	uint64_t bad_ept;
};

/*
 * Permission table: fault[i] bit a is set if an access of kind i to a page with rights a faults.
 *   i: bits 4:1 of the page-fault error code, W = 1, U = 2, F = 8. 4 stands in the place of RSVD and says
 *      that SMAP does not apply: EFLAGS.AC is set and the access is explicit.
 *   a: VMMU_ACC_X | VMMU_ACC_W | VMMU_ACC_U.
 * pkru_mask: two bits, AD and WD, for each i, where 4 now stands for the page's U right: which bits of the
 * page's key in PKRU forbid the access. Zero where protection keys are off.
 * KVM's inline permission_fault() reads exactly this layout. The EPT format does not use the table: its
 * rights are compared directly, see vmmu_perm_check().
 */
struct vmmu_perm {
	uint8_t fault[16];
	uint32_t pkru_mask;
};

struct vmmu_mode {
	uint8_t format;		/* enum vmmu_format */
	uint8_t root_level;	/* 0 no paging, 2 PT32, 3 PAE, 4 or 5 */
	uint8_t huge_levels;	/* bit n: bit 7 of a level n entry makes it a leaf (if it is not reserved) */
	uint8_t nested;		/* enum vmmu_nested; VMMU_NESTED_NONE out of every constructor */

	/* Control bits as they act in this format: never set where the format or the CPU mode ignores them. */
	bool wp;
	bool nx;
	bool smep;
	bool smap;
	bool pke;
	bool pse;		/* PT32 formats: 4 MiB pages exist */
	bool user_always;	/* NPT: every access counts as a user access */
	bool accessed_dirty;	/* entries have A and D flags: every format but EPT without them */
	bool execonly;		/* EPT: X without R is legal */

	struct vmmu_perm perm;
	struct vmmu_rsvd rsvd;
};

/* Mode of a guest's own tables, or VMMU_FORMAT_NONE while CR0.PG is clear. Context: any. */
void vmmu_mode_init_legacy(struct vmmu_mode *mode, const struct vmmu_regs *regs);

/* Mode of an NPT that L1, whose registers are @l1, made for L2. CR0.PG is assumed. Context: any. */
void vmmu_mode_init_npt(struct vmmu_mode *mode, const struct vmmu_regs *l1);

/* Mode of an EPT that L1 made for L2. Context: any. */
void vmmu_mode_init_ept(struct vmmu_mode *mode, const struct vmmu_ept_config *config);

/*
 * The same for a @mode that the constructor of that name made from *@last, or that is all zero: it becomes what the
 * constructor would make of the new arguments, which *@last holds then. Costs next to nothing if none that counts has
 * changed, as at most switches between L1 and L2; nested is left alone then. Context: any.
 */
void vmmu_mode_update_legacy(struct vmmu_mode *mode, struct vmmu_regs *last, const struct vmmu_regs *regs);
void vmmu_mode_update_npt(struct vmmu_mode *mode, struct vmmu_regs *last, const struct vmmu_regs *l1);
void vmmu_mode_update_ept(struct vmmu_mode *mode, struct vmmu_ept_config *last, const struct vmmu_ept_config *config);

/*
 * CR0.WP changed and nothing else did. Rebuilds the permission table, touches nothing else but wp; no-op
 * for NPT, EPT and no paging, where WP means nothing, and if nothing changes. Context: any.
 */
void vmmu_mode_set_wp(struct vmmu_mode *mode, bool wp);

/* Does @entry, present in a table of @level, have a bit set that must be zero (EPT: is it misconfigured)? */
static inline bool vmmu_mode_reserved(const struct vmmu_mode *mode, int level, uint64_t entry)
{
	const uint64_t mask = mode->rsvd.mask[(entry >> 7) & 1][level];

	return ((entry & mask) | ((mode->rsvd.bad_ept >> (entry & 0x3f)) & 1)) != 0;
}

/* One access, as the CPU or an emulator makes it. */
struct vmmu_access {
	uint64_t pf;		/* VMMU_PF_W, _U, _F and _IMPLICIT; a read is none of W and F. Others are ignored */
	uint32_t pkru;		/* PKRU of the vCPU; looked at only if the mode has protection keys */
	bool ac;		/* EFLAGS.AC */
	bool read_too;		/* with W: reads as well. EPT: a guest-table access under A and D flags reports both */
	bool no_flags;		/* asked ahead of the access: A and D flags stay as they are */
};

/*
 * May @access touch a page with the accumulated rights @acc and protection key @pkey?
 * Return: 0 if so, else the error code bits VMMU_PF_P and, if the key forbids it too, VMMU_PF_PK.
 * Context: any. Does not add W, U and F, which depend on the mode in their own way: see vmmu_perm_error().
 */
static inline uint64_t vmmu_perm_check(const struct vmmu_mode *mode, unsigned int acc, unsigned int pkey,
				       const struct vmmu_access *access)
{
	unsigned int kind = (unsigned int)(access->pf & (VMMU_PF_W | VMMU_PF_U | VMMU_PF_F)) >> 1;
	unsigned int key_bits;
	uint64_t error;

	if (mode->format == VMMU_FORMAT_EPT) {
		unsigned int need = 0;

		if (access->pf & VMMU_PF_W)
			need |= VMMU_ACC_W;
		if (access->pf & VMMU_PF_F)
			need |= VMMU_ACC_X;
		if (!need || access->read_too)
			need |= VMMU_ACC_R;
		return (need & ~acc) ? VMMU_PF_P : 0;
	}

	if (mode->user_always)
		kind |= (unsigned int)VMMU_PF_U >> 1;

	acc &= VMMU_ACC_X | VMMU_ACC_W | VMMU_ACC_U;
	key_bits = (access->pkru >> (pkey * 2)) & 3 &
		   (mode->perm.pkru_mask >> (2 * (kind | (acc & VMMU_ACC_U))));
	error = key_bits ? VMMU_PF_P | VMMU_PF_PK : 0;

	if (access->ac && !(access->pf & VMMU_PF_IMPLICIT))
		kind |= (unsigned int)VMMU_PF_RSVD >> 1;
	if ((mode->perm.fault[kind] >> acc) & 1)
		error |= VMMU_PF_P;
	return error;
}

/*
 * The part of a page-fault error code that describes the access @pf and not the reason: W, U, and F where
 * the mode can tell a fetch from a read, that is with NX, with SMEP and in EPT. Context: any.
 */
static inline uint64_t vmmu_perm_error(const struct vmmu_mode *mode, uint64_t pf)
{
	uint64_t error = pf & (VMMU_PF_W | VMMU_PF_U);

	if (mode->nx || mode->smep || mode->format == VMMU_FORMAT_EPT)
		error |= pf & VMMU_PF_F;
	if (mode->user_always)
		error |= VMMU_PF_U;
	return error;
}

#endif
