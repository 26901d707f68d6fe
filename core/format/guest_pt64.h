/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * 4- and 5-level paging, as the guest writes it (Intel SDM vol. 3 "4-Level Paging and 5-Level Paging",
 * AMD APM vol. 2 "Long-Mode Page Translation"). The mode's root level says how many levels there are.
 */
#ifndef VMMU_FORMAT_GUEST_PT64_H
#define VMMU_FORMAT_GUEST_PT64_H

#include "format/guest.h"

enum {
	GPT64_ENTRY_BYTES = 8,
	GPT64_INDEX_BITS = 9,
	GPT64_TOP_LEVEL = 5,
	GPT64_KEY_SHIFT = 59,
	GPT64_KEY_BITS = 4,
};
#define GPT64_P		BIT64(0)
#define GPT64_W		BIT64(1)
#define GPT64_U		BIT64(2)
#define GPT64_A		BIT64(5)
#define GPT64_D		BIT64(6)
#define GPT64_NX	BIT64(63)
#define GPT64_ADDRESS	BITS64(51, 12)

static const struct vmmu_gfmt vmmu_gfmt_pt64 = {
	.entry_bytes = GPT64_ENTRY_BYTES,
	.index_bits = GPT64_INDEX_BITS,
	.top_level = GPT64_TOP_LEVEL,
	.top_index_bits = GPT64_INDEX_BITS,
	.root_mask = GPT64_ADDRESS,
	.address_mask = GPT64_ADDRESS,
	.present = GPT64_P,
	.writable = GPT64_W,
	.user = GPT64_U,
	.no_execute = GPT64_NX,
	.accessed = GPT64_A,
	.dirty = GPT64_D,
	.key_shift = GPT64_KEY_SHIFT,
	.rights_at_top = true,
};

STATIC_CHECK(GPT64_ENTRY_BYTES << GPT64_INDEX_BITS == VMMU_PAGE_SIZE);
STATIC_CHECK(VMMU_PAGE_SHIFT + GPT64_TOP_LEVEL * GPT64_INDEX_BITS == 57);
STATIC_CHECK(GPT64_TOP_LEVEL == (int)VMMU_LEVEL_MAX);
/* The key stands between the address and NX. */
STATIC_CHECK(GPT64_KEY_SHIFT + GPT64_KEY_BITS == 63 && BIT64(GPT64_KEY_SHIFT) > GPT64_ADDRESS);
STATIC_CHECK(!(GPT64_ADDRESS & (GPT64_P | GPT64_W | GPT64_U | GPT64_A | GPT64_D | GPT64_NX | GPTE_LEAF_BIT)));

#endif
