/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two-level 32-bit paging, as the guest writes it (Intel SDM vol. 3 "32-Bit Paging", AMD APM vol. 2
 * "Legacy-Mode Non-PAE Paging"). There is no execute right to take away, and nothing is reserved
 * but in a 4 MiB page, whose bits 20:13 are address bits 39:32 (PSE-36).
 */
#ifndef VMMU_FORMAT_GUEST_PT32_H
#define VMMU_FORMAT_GUEST_PT32_H

#include "format/guest.h"

enum {
	GPT32_ENTRY_BYTES = 4,
	GPT32_INDEX_BITS = 10,
	GPT32_TOP_LEVEL = 2,
	GPT32_HIGH_LOW_BIT = 13,	/* of a 4 MiB page: where address bits 39:32 begin */
	GPT32_HIGH_SHIFT = 32,
	GPT32_HIGH_BITS = 8,
};
#define GPT32_P		BIT64(0)
#define GPT32_W		BIT64(1)
#define GPT32_U		BIT64(2)
#define GPT32_A		BIT64(5)
#define GPT32_D		BIT64(6)
#define GPT32_ADDRESS	BITS64(31, 12)

static const struct vmmu_gfmt vmmu_gfmt_pt32 = {
	.entry_bytes = GPT32_ENTRY_BYTES,
	.index_bits = GPT32_INDEX_BITS,
	.top_level = GPT32_TOP_LEVEL,
	.top_index_bits = GPT32_INDEX_BITS,
	.root_mask = GPT32_ADDRESS,
	.address_mask = GPT32_ADDRESS,
	.present = GPT32_P,
	.writable = GPT32_W,
	.user = GPT32_U,
	.accessed = GPT32_A,
	.dirty = GPT32_D,
	.high_shift = GPT32_HIGH_SHIFT,
	.high_bits = GPT32_HIGH_BITS,
	.rights_at_top = true,
};

STATIC_CHECK(GPT32_ENTRY_BYTES << GPT32_INDEX_BITS == VMMU_PAGE_SIZE);
/* The two levels decode a 32-bit address exactly. */
STATIC_CHECK(VMMU_PAGE_SHIFT + GPT32_TOP_LEVEL * GPT32_INDEX_BITS == 32);
/* The high address bits of a 4 MiB page end below its own address bits. */
STATIC_CHECK(GPT32_HIGH_LOW_BIT + GPT32_HIGH_BITS < VMMU_PAGE_SHIFT + GPT32_INDEX_BITS);
STATIC_CHECK(!(GPT32_ADDRESS & (GPT32_P | GPT32_W | GPT32_U | GPT32_A | GPT32_D | GPTE_LEAF_BIT)));

#endif
