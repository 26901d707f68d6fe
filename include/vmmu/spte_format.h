/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the 64 bits of our own entries mean on this CPU: legacy entries (AMD NPT, and shadow tables on both
 * vendors) or EPT entries, with or without hardware A/D bits, and where the software's own bits live.
 *
 * A host makes one description when it learns what the CPU can do, and hands it, constant from then on, to
 * each VM. All functions are pure but for the description they fill.
 */
#ifndef VMMU_SPTE_FORMAT_H
#define VMMU_SPTE_FORMAT_H

#include <vmmu/types.h>

/* MMIO entries carry this many bits of the memslots' generation. */
#define VMMU_MMIO_GEN_BITS 19
#define VMMU_MMIO_GEN_MASK ((1ull << VMMU_MMIO_GEN_BITS) - 1)

struct vmmu_spte_format {
	bool ept;

	/* Bits the CPU reads. A mask of 0: the format does not have it. */
	uint64_t present;	/* set in every present entry: P; EPT: R,
				 * or 0 where the CPU takes execute-only entries */
	uint64_t readable;	/* EPT: R */
	uint64_t writable;
	uint64_t user;		/* legacy U */
	uint64_t exec;		/* EPT X */
	uint64_t nx;		/* legacy NX */
	uint64_t accessed;	/* 0: the CPU sets no A and D bits */
	uint64_t dirty;

	/* Bits only software reads. */
	uint64_t host_writable;	/* the host allows writes to the frame */
	uint64_t mmu_writable;	/* a write fault may set W again without more ado:
				 * W is only off for the dirty log or aging */

	/* Memory encryption: SME's C bit, a MKTME key. */
	uint64_t me_value;	/* in every entry that points at encrypted memory */
	uint64_t me_mask;	/* all bits that encryption may use; never part of an address */

	/* MMIO entries: (entry & mmio_mask) == mmio_value. mmio_value 0: MMIO entries cannot be made on this CPU. */
	uint64_t mmio_value, mmio_mask;
	uint64_t mmio_access;	/* VMMU_ACC_W and VMMU_ACC_U, as far as an MMIO entry has room for them */

	/*
	 * Entries the CPU takes for absent while they hold an address must not point at memory it
	 * could have cached (L1TF).
	 */
	uint64_t l1tf_mask;	/* 5 high bits of the address, set in such entries; 0: the CPU needs no such care */

	uint64_t address;	/* bits of a frame's address in a present entry */
	uint64_t reserved_leaf[VMMU_LEVEL_MAX + 1];	/* bits that must be 0 in a leaf at a level;
							 * all where no leaf can be */
	uint64_t reserved_table[VMMU_LEVEL_MAX + 1];	/* bits that must be 0 in an entry that points at a table */
	uint8_t phys_bits;	/* width of a host physical address, encryption bits included */
};

/*
 * Legacy entries. @phys_bits: CPUID's width of a host physical address; @l1tf_cache_bits: 0, or on a CPU with
 * L1TF the address width its L1 data cache compares.
 */
void vmmu_spte_format_init_legacy(struct vmmu_spte_format *fmt, unsigned int phys_bits, unsigned int l1tf_cache_bits);
/* EPT entries. @ad: the CPU sets A and D bits; @exec_only: it takes X without R. */
void vmmu_spte_format_init_ept(struct vmmu_spte_format *fmt, unsigned int phys_bits, unsigned int l1tf_cache_bits,
			       bool ad, bool exec_only);
/* Memory encryption: @value inside @mask. Return: false, and encryption bits 0, where it is not. */
bool vmmu_spte_format_set_me(struct vmmu_spte_format *fmt, uint64_t value, uint64_t mask);
/*
 * How an MMIO entry looks, so that the CPU always faults on it: reserved bit set, or misconfigured.
 * @access: rights kept in the entry. Return: false, and MMIO entries off, where the value collides with bits we need.
 */
bool vmmu_spte_format_set_mmio(struct vmmu_spte_format *fmt, uint64_t value, uint64_t mask, uint64_t access);

#endif
