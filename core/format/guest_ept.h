/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * EPT, as L1 writes it for L2 (Intel SDM vol. 3 "The Extended Page Table Mechanism (EPT)"). Three rights
 * of their own, an entry without any of them is not present; A and D at their own places, where enabled.
 */
#ifndef VMMU_FORMAT_GUEST_EPT_H
#define VMMU_FORMAT_GUEST_EPT_H

#include "format/guest.h"

enum {
	GEPT_ENTRY_BYTES = 8,
	GEPT_INDEX_BITS = 9,
	GEPT_TOP_LEVEL = 5,
	GEPT_MEMTYPE_SHIFT = 3,		/* of a leaf: three bits */
};
#define GEPT_R		BIT64(0)
#define GEPT_W		BIT64(1)
#define GEPT_X		BIT64(2)
#define GEPT_A		BIT64(8)
#define GEPT_D		BIT64(9)
#define GEPT_ADDRESS	BITS64(51, 12)

static const struct vmmu_gfmt vmmu_gfmt_ept = {
	.entry_bytes = GEPT_ENTRY_BYTES,
	.index_bits = GEPT_INDEX_BITS,
	.top_level = GEPT_TOP_LEVEL,
	.top_index_bits = GEPT_INDEX_BITS,
	.root_mask = GEPT_ADDRESS,
	.address_mask = GEPT_ADDRESS,
	.present = GEPT_R | GEPT_W | GEPT_X,
	.readable = GEPT_R,
	.writable = GEPT_W,
	.executable = GEPT_X,
	.accessed = GEPT_A,
	.dirty = GEPT_D,
	.restricted = 7u << GEPT_MEMTYPE_SHIFT,
	.rights_at_top = true,
	.logs_dirty = true,
};

STATIC_CHECK(GEPT_ENTRY_BYTES << GEPT_INDEX_BITS == VMMU_PAGE_SIZE);
STATIC_CHECK(VMMU_PAGE_SHIFT + GEPT_TOP_LEVEL * GEPT_INDEX_BITS == 57);
STATIC_CHECK(GEPT_TOP_LEVEL == (int)VMMU_LEVEL_MAX);
STATIC_CHECK(!(GEPT_ADDRESS & (GEPT_R | GEPT_W | GEPT_X | GEPT_A | GEPT_D | GPTE_LEAF_BIT)));
/* Rights and memory type are bits 5:0, the index into vmmu_rsvd.bad_ept. */
STATIC_CHECK((GEPT_R | GEPT_W | GEPT_X | 7u << GEPT_MEMTYPE_SHIFT) == 0x3f);

#endif
