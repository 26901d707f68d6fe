/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * PAE paging, as the guest writes it (Intel SDM vol. 3 "PAE Paging", AMD APM vol. 2 "Legacy-Mode PAE
 * Paging"). The root is four PDPTEs in 32 bytes, loaded into registers by MOV to CR3; they grant
 * everything and have no A flag.
 */
#ifndef VMMU_FORMAT_GUEST_PAE_H
#define VMMU_FORMAT_GUEST_PAE_H

#include "format/guest.h"

enum {
	GPAE_ENTRY_BYTES = 8,
	GPAE_INDEX_BITS = 9,
	GPAE_TOP_LEVEL = 3,
	GPAE_TOP_INDEX_BITS = 2,
};
#define GPAE_P		BIT64(0)
#define GPAE_W		BIT64(1)
#define GPAE_U		BIT64(2)
#define GPAE_A		BIT64(5)
#define GPAE_D		BIT64(6)
#define GPAE_NX		BIT64(63)
#define GPAE_ADDRESS	BITS64(51, 12)
#define GPAE_ROOT	BITS64(31, 5)

static const struct vmmu_gfmt vmmu_gfmt_pae = {
	.entry_bytes = GPAE_ENTRY_BYTES,
	.index_bits = GPAE_INDEX_BITS,
	.top_level = GPAE_TOP_LEVEL,
	.top_index_bits = GPAE_TOP_INDEX_BITS,
	.root_mask = GPAE_ROOT,
	.address_mask = GPAE_ADDRESS,
	.present = GPAE_P,
	.writable = GPAE_W,
	.user = GPAE_U,
	.no_execute = GPAE_NX,
	.accessed = GPAE_A,
	.dirty = GPAE_D,
	.restricted = BITS64(62, 52),
	.rights_at_top = false,
};

STATIC_CHECK(GPAE_ENTRY_BYTES << GPAE_INDEX_BITS == VMMU_PAGE_SIZE);
STATIC_CHECK(VMMU_PAGE_SHIFT + (GPAE_TOP_LEVEL - 1) * GPAE_INDEX_BITS + GPAE_TOP_INDEX_BITS == 32);
/* The root is aligned to its own size, so that no PDPTE crosses a page. */
STATIC_CHECK((GPAE_ROOT & -GPAE_ROOT) == GPAE_ENTRY_BYTES << GPAE_TOP_INDEX_BITS);
STATIC_CHECK(!(GPAE_ADDRESS & (GPAE_P | GPAE_W | GPAE_U | GPAE_A | GPAE_D | GPAE_NX | GPTE_LEAF_BIT)));

#endif
