/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ledger of a shadow entry: every bit that we, not the guest, give a meaning, the predicates over entries,
 * and the functions that make and change their values. Pure: no memory is touched.
 *
 * An entry is one of
 *   absent    0
 *   frozen    SPTE_FROZEN: its table is being taken away; only who froze it may change it
 *   MMIO      faults in a way of its own; not present
 *   table     points at a lower table
 *   leaf      maps memory. It may be absent for the CPU (access tracking) and still be a leaf for us
 *
 * SPTE_PRESENT is software's own and stands at one place in every format, so that no walk asks which format
 * it is in. Bit 11 is ignored by the CPU in legacy entries of every size, and in EPT entries.
 *
 * The PAE form of legacy entries reserves bits 62:52, so a legacy entry may use bits 9, 10 and 11 only; an EPT
 * entry has its D bit at 9, so the two writable bits stand high there.
 */
#ifndef VMMU_FORMAT_SPTE_H
#define VMMU_FORMAT_SPTE_H

#include <vmmu/types.h>
#include <vmmu/spte_format.h>
#include "base/bits.h"

/* Software: the entry is a table or a leaf. */
#define SPTE_PRESENT		BIT64(11)
/* Same meaning and place in both formats. */
#define SPTE_W			BIT64(1)
#define SPTE_LARGE		BIT64(7)

/* Legacy (AMD APM vol. 2 "Page-Translation-Table Entry Fields"; Intel SDM vol. 3 "Hierarchical Paging Structures"). */
#define SPTE_LEGACY_P		BIT64(0)
#define SPTE_LEGACY_U		BIT64(2)
#define SPTE_LEGACY_A		BIT64(5)
#define SPTE_LEGACY_D		BIT64(6)
#define SPTE_LEGACY_HOST_W	BIT64(9)
#define SPTE_LEGACY_MMU_W	BIT64(10)
#define SPTE_LEGACY_NX		BIT64(63)

/* EPT (Intel SDM vol. 3 "EPT Translation Mechanism"). */
#define SPTE_EPT_R		BIT64(0)
#define SPTE_EPT_X		BIT64(2)
#define SPTE_EPT_MEMTYPE	BITS64(6, 3)
#define SPTE_EPT_A		BIT64(8)
#define SPTE_EPT_D		BIT64(9)
#define SPTE_EPT_HOST_W		BIT64(57)
#define SPTE_EPT_MMU_W		BIT64(58)

/*
 * How A and D of a leaf are kept. Only EPT entries need the two other ways, so the tag is 0, which every format
 * can hold, where the CPU keeps them.
 *   SPTE_AD_OFF     no A/D bits: an aged leaf loses R, W and X, which SPTE_EPT_SAVED remembers
 *   SPTE_AD_WRPROT  A is the CPU's; writes are logged by write protection, since the CPU's log would hold L2's
 *                   addresses
 */
#define SPTE_AD_MASK		BITS64(53, 52)
#define SPTE_AD_CPU		0ull
#define SPTE_AD_OFF		BIT64(52)
#define SPTE_AD_WRPROT		BIT64(53)
/* R and X of an aged leaf without A bit; W comes back through a fault. */
#define SPTE_EPT_SAVED_LG2	54
#define SPTE_EPT_SAVED		((SPTE_EPT_R | SPTE_EPT_X) << SPTE_EPT_SAVED_LG2)

/* Absent for the CPU in both formats (bits 2:0), not SPTE_PRESENT, points at frame 0, equal to no MMIO value. */
#define SPTE_FROZEN		(BIT64(6) | BIT64(8) | BIT64(10))

STATIC_CHECK(!(SPTE_FROZEN & (SPTE_PRESENT | BITS64(2, 0) | BITS64(51, 12))));
STATIC_CHECK(!((SPTE_LEGACY_HOST_W | SPTE_LEGACY_MMU_W | SPTE_PRESENT) & ~BITS64(11, 9)));
STATIC_CHECK(!(SPTE_LEGACY_HOST_W & SPTE_LEGACY_MMU_W));
STATIC_CHECK(!((SPTE_AD_MASK | SPTE_EPT_SAVED) & (SPTE_EPT_HOST_W | SPTE_EPT_MMU_W)));
STATIC_CHECK(!(SPTE_AD_MASK & SPTE_EPT_SAVED));
STATIC_CHECK(!((SPTE_AD_MASK | SPTE_EPT_SAVED | SPTE_EPT_HOST_W | SPTE_EPT_MMU_W | SPTE_PRESENT) &
	       (SPTE_EPT_A | SPTE_EPT_D | SPTE_EPT_MEMTYPE | SPTE_LARGE | BITS64(51, 12) | BITS64(2, 0))));

/* The generation in an MMIO entry: 8 bits at 3..10, below SPTE_PRESENT, and 11 at 52..62, below NX. */
#define SPTE_MMIO_GEN_LOW	BITS64(10, 3)
#define SPTE_MMIO_GEN_HIGH	BITS64(62, 52)
#define SPTE_MMIO_GEN_LOW_BITS	8
STATIC_CHECK(!(SPTE_MMIO_GEN_LOW & SPTE_PRESENT));
STATIC_CHECK(VMMU_MMIO_GEN_BITS == SPTE_MMIO_GEN_LOW_BITS + 11);

static inline bool spte_is_present(uint64_t spte) { return spte & SPTE_PRESENT; }
static inline bool spte_is_frozen(uint64_t spte) { return spte == SPTE_FROZEN; }

static inline bool spte_is_leaf(uint64_t spte, int level)
{
	return spte_is_present(spte) && (level == VMMU_LEVEL_4K || (spte & SPTE_LARGE));
}

static inline bool spte_is_table(uint64_t spte, int level)
{
	return spte_is_present(spte) && !spte_is_leaf(spte, level);
}

static inline bool spte_is_mmio(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return fmt->mmio_value && (spte & fmt->mmio_mask) == fmt->mmio_value && !spte_is_present(spte);
}

/* Is there an entry that makes the CPU fault at @gfn, and that says @gfn? */
static inline bool spte_mmio_can_be(const struct vmmu_spte_format *fmt, vmmu_gfn_t gfn)
{
	return fmt->mmio_value && !(gfn >> (fmt->phys_bits - VMMU_PAGE_SHIFT));
}

/* Host address of the table or of the first frame an entry points at. */
static inline vmmu_hpa_t spte_address(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte & fmt->address;
}

static inline vmmu_pfn_t spte_pfn(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte_address(fmt, spte) >> VMMU_PAGE_SHIFT;
}

/* Does the CPU keep the A bit of this leaf? */
static inline bool spte_has_accessed(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return fmt->accessed && (spte & SPTE_AD_MASK) != SPTE_AD_OFF;
}

/* Does the CPU keep the D bit of this leaf, and may it be relied on for the dirty log? */
static inline bool spte_has_dirty(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return fmt->dirty && (spte & SPTE_AD_MASK) == SPTE_AD_CPU;
}

/* Aged without A bit: absent for the CPU until the next access faults. */
static inline bool spte_is_access_tracked(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return fmt->ept && spte_is_present(spte) && !spte_has_accessed(fmt, spte) && !(spte & BITS64(2, 0));
}

/* Was the page accessed since the leaf was made or aged? */
static inline bool spte_is_accessed(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte_has_accessed(fmt, spte) ? spte & fmt->accessed : !spte_is_access_tracked(fmt, spte);
}

/* May the page have been written since the leaf was made or cleaned? Without a D bit whatever can be written counts. */
static inline bool spte_is_dirty(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return fmt->dirty && (spte & SPTE_AD_MASK) != SPTE_AD_OFF ? spte & fmt->dirty : spte & SPTE_W;
}

static inline bool spte_is_writable(uint64_t spte) { return spte & SPTE_W; }

static inline bool spte_is_mmu_writable(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte & fmt->mmu_writable;
}

static inline bool spte_is_executable(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return (spte & (fmt->exec | fmt->nx)) == fmt->exec;
}

/* Does the CPU let an access of kind @pf (VMMU_PF_W, VMMU_PF_F) through this leaf? Direct tables: U is always set. */
static inline bool spte_allows(const struct vmmu_spte_format *fmt, uint64_t spte, uint64_t pf)
{
	if (pf & VMMU_PF_F)
		return spte_is_executable(fmt, spte);
	if (pf & VMMU_PF_W)
		return spte_is_writable(spte);
	return fmt->ept ? spte & SPTE_EPT_R : spte & SPTE_LEGACY_P;
}

/* What a leaf is made from. */
struct vmmu_leaf {
	vmmu_pfn_t pfn;		/* first frame, aligned to the level */
	uint8_t level;
	uint8_t access;		/* VMMU_ACC_X, _W, _U: rights it may have at most */
	bool host_writable;	/* the host may write the frame */
	bool write_now;		/* set W; otherwise W waits for a write fault (dirty log),
				 * given access and host allow it */
	bool tracked;		/* the frame is write-tracked: no fault may set W */
	bool accessed;		/* set A */
	bool dirty;		/* set D, where W is set */
	bool ad_off;		/* no A/D bits: role.ad_off */
	bool wrprot_log;	/* log by write protection though the CPU has D bits */
	bool plain_memory;	/* memory encryption applies */
	uint64_t memtype;	/* bits from the host */
};

uint64_t vmmu_spte_make_leaf(const struct vmmu_spte_format *fmt, const struct vmmu_leaf *leaf);
/* An entry for the table at @table, with all rights: leaves decide. @ad_off: its level below keeps no A/D. */
uint64_t vmmu_spte_make_table(const struct vmmu_spte_format *fmt, vmmu_hpa_t table, bool ad_off);
/* A PAE page-directory-pointer entry for the table at @table: no rights, no A. */
uint64_t vmmu_spte_make_pdpte(const struct vmmu_spte_format *fmt, vmmu_hpa_t table);
/* An MMIO entry for @gfn with rights @access, good while the memslots' generation is @generation. */
uint64_t vmmu_spte_make_mmio(const struct vmmu_spte_format *fmt, vmmu_gfn_t gfn, unsigned int access,
			     uint64_t generation);
vmmu_gfn_t vmmu_spte_mmio_gfn(const struct vmmu_spte_format *fmt, uint64_t spte);
unsigned int vmmu_spte_mmio_access(const struct vmmu_spte_format *fmt, uint64_t spte);
uint64_t vmmu_spte_mmio_generation(uint64_t spte);
/* The leaf at @level - 1 that maps part @index (0..511) of the large leaf @spte at @level, rights and A/D unchanged. */
uint64_t vmmu_spte_split_part(uint64_t spte, int level, unsigned int index);

/* W off, for the dirty log: a write fault may set it again. */
static inline uint64_t spte_without_write(uint64_t spte) { return spte & ~SPTE_W; }

/* W off for good: the frame holds a guest table, or the host forbids writes. */
static inline uint64_t spte_without_write_for_good(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte & ~(SPTE_W | fmt->mmu_writable);
}

static inline uint64_t spte_without_dirty(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return spte & ~fmt->dirty;
}

/* A leaf that keeps of its rights X, W and U those in @access (VMMU_ACC_*). Not for one that is access-tracked. */
uint64_t vmmu_spte_narrowed(const struct vmmu_spte_format *fmt, uint64_t spte, unsigned int access);
/* Aged: A off, or, without A bits, absent for the CPU with R and X put by. */
uint64_t vmmu_spte_without_accessed(const struct vmmu_spte_format *fmt, uint64_t spte);
/* Executable, at once or, where it is absent for the CPU, when it comes back. */
uint64_t vmmu_spte_with_exec(const struct vmmu_spte_format *fmt, uint64_t spte);
/* No longer aged, since an access is being served: A set, or R and X back, while W waits for a write fault. */
uint64_t vmmu_spte_with_accessed(const struct vmmu_spte_format *fmt, uint64_t spte);
/* The bits of a present entry that the CPU must find 0; anything but 0 is a bug of ours. */
uint64_t vmmu_spte_reserved(const struct vmmu_spte_format *fmt, uint64_t spte, int level);

#endif
