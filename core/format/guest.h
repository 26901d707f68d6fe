/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a guest's table entry means, for any guest format: the constant descriptor and the accessors over it.
 *
 * A descriptor holds what is the same for every guest of a format: geometry and bit positions. What a
 * guest configures (NX, PSE, address width, page sizes, A and D flags of EPT) is in struct vmmu_mode.
 * The descriptor is the first parameter of everything and is never stored: a function that is inlined with
 * a descriptor known at compile time keeps nothing of it. Pure: reads no guest memory, calls no host.
 */
#ifndef VMMU_FORMAT_GUEST_H
#define VMMU_FORMAT_GUEST_H

#include <vmmu/mode.h>
#include "base/bits.h"

#define VMMU_ALWAYS_INLINE static inline __attribute__((always_inline))

/* Bit 7 makes a leaf of an entry above level 1 in every format, if the mode has leaves on that level. */
#define GPTE_LEAF_BIT BIT64(7)

struct vmmu_gfmt {
	unsigned int entry_bytes;	/* 4 or 8 */
	unsigned int index_bits;	/* address bits a level decodes: log2 of the entries in a table */
	unsigned int top_level;		/* highest level the format knows */
	unsigned int top_index_bits;	/* address bits the top level decodes, where the root is smaller than a table */
	uint64_t root_mask;		/* address bits of CR3, nCR3 or the EPT pointer */
	uint64_t address_mask;		/* address bits of an entry that points at a table or a 4 KiB page */
	uint64_t present;		/* present if any of these bits is set */
	uint64_t readable;		/* rights, by the bit that grants them; 0: granted with present */
	uint64_t writable;
	uint64_t user;
	uint64_t executable;
	uint64_t no_execute;		/* or by the bit that takes it away */
	uint64_t accessed;
	uint64_t dirty;
	unsigned int key_shift;		/* lowest bit of the four of the protection key, 0: no keys */
	unsigned int high_shift;	/* in a level 2 leaf, bits [13, 13 + high_bits) are address bits */
	unsigned int high_bits;		/* [high_shift, high_shift + high_bits); 0: none */
	uint64_t restricted;		/* further bits of a last-level entry of which not every value is legal */
	bool rights_at_top;		/* the top level's entries have rights and an A flag */
	bool logs_dirty;		/* L1 can have a log of the pages whose D flag gets set */
};

/* log2 of the 4 KiB frames an entry of @level covers. */
VMMU_ALWAYS_INLINE unsigned int gfmt_frames_lg2(const struct vmmu_gfmt *f, int level)
{
	return f->index_bits * (unsigned int)(level - 1);
}

/* Index of the entry for @va in a table of @level. */
VMMU_ALWAYS_INLINE unsigned int gfmt_index(const struct vmmu_gfmt *f, int level, vmmu_gva_t va)
{
	const unsigned int bits = level == (int)f->top_level ? f->top_index_bits : f->index_bits;

	return (unsigned int)(va >> (VMMU_PAGE_SHIFT + gfmt_frames_lg2(f, level))) & ((1u << bits) - 1);
}

/* Offset of entry @index in its table, in bytes. */
VMMU_ALWAYS_INLINE uint64_t gfmt_offset(const struct vmmu_gfmt *f, unsigned int index)
{
	return (uint64_t)index * f->entry_bytes;
}

VMMU_ALWAYS_INLINE bool gfmt_is_present(const struct vmmu_gfmt *f, uint64_t entry)
{
	return entry & f->present;
}

/* Does @entry, present and without reserved bits set, map memory? A level 1 entry always does. */
VMMU_ALWAYS_INLINE bool gfmt_is_leaf(const struct vmmu_mode *m, int level, uint64_t entry)
{
	return level == VMMU_LEVEL_4K || ((entry & GPTE_LEAF_BIT) && ((m->huge_levels >> level) & 1));
}

/* Address of the table @entry points at. */
VMMU_ALWAYS_INLINE vmmu_gpa_t gfmt_table(const struct vmmu_gfmt *f, uint64_t entry)
{
	return entry & f->address_mask;
}

/* First frame of the page that @entry, a leaf of @level, maps. */
VMMU_ALWAYS_INLINE vmmu_gfn_t gfmt_leaf_gfn(const struct vmmu_gfmt *f, int level, uint64_t entry)
{
	vmmu_gfn_t gfn = (entry & f->address_mask) >> VMMU_PAGE_SHIFT;

	/* Low address bits of a large leaf have other meanings: its memory type index, high address bits, reserved. */
	gfn &= ~(BIT64(gfmt_frames_lg2(f, level)) - 1);
	if (f->high_bits && level == VMMU_LEVEL_2M)
		gfn |= ((entry >> 13) & (BIT64(f->high_bits) - 1)) << (f->high_shift - VMMU_PAGE_SHIFT);
	return gfn;
}

/* Frame of the 4 KiB page at @va, which @entry, a leaf of @level, maps. */
VMMU_ALWAYS_INLINE vmmu_gfn_t gfmt_leaf_gfn_at(const struct vmmu_gfmt *f, int level, uint64_t entry, vmmu_gva_t va)
{
	const uint64_t inside = BIT64(gfmt_frames_lg2(f, level)) - 1;

	return gfmt_leaf_gfn(f, level, entry) | ((va >> VMMU_PAGE_SHIFT) & inside);
}

/*
 * Rights that @entry of @level gives by itself, VMMU_ACC_*. With NX off, the no-execute bit is reserved,
 * so an entry that has it never comes here. Formats without a user bit give U, without a read bit R.
 */
VMMU_ALWAYS_INLINE unsigned int gfmt_access(const struct vmmu_gfmt *f, int level, uint64_t entry)
{
	unsigned int acc = 0;

	if (level == (int)f->top_level && !f->rights_at_top)
		return VMMU_ACC_ALL;

	if (!f->readable || (entry & f->readable))
		acc |= VMMU_ACC_R;
	if (entry & f->writable)
		acc |= VMMU_ACC_W;
	if (!f->user || (entry & f->user))
		acc |= VMMU_ACC_U;
	if (f->executable ? (entry & f->executable) != 0 : !(entry & f->no_execute))
		acc |= VMMU_ACC_X;
	return acc;
}

/* Protection key of a leaf. */
VMMU_ALWAYS_INLINE unsigned int gfmt_key(const struct vmmu_gfmt *f, const struct vmmu_mode *m, uint64_t entry)
{
	return f->key_shift && m->pke ? (unsigned int)(entry >> f->key_shift) & 0xf : 0;
}

/* The A flag of an entry of @level, 0 if it has none. */
VMMU_ALWAYS_INLINE uint64_t gfmt_accessed(const struct vmmu_gfmt *f, const struct vmmu_mode *m, int level)
{
	if (!m->accessed_dirty || (level == (int)f->top_level && !f->rights_at_top))
		return 0;
	return f->accessed;
}

/* The D flag of a leaf, 0 if it has none. */
VMMU_ALWAYS_INLINE uint64_t gfmt_dirty(const struct vmmu_gfmt *f, const struct vmmu_mode *m)
{
	return m->accessed_dirty ? f->dirty : 0;
}

#endif
