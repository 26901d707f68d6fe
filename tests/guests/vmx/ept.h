// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Extended page tables, which L1 makes for L2. Level 4 is the top table's, 1 the last. */
#pragma once
#include "memory.h"
#include "vmx.h"

enum {
	EPT_R = 1u << 0, EPT_W = 1u << 1, EPT_X = 1u << 2, EPT_RWX = EPT_R | EPT_W | EPT_X, EPT_WB = 6u << 3,
	EPT_LEAF = 1u << 7, EPT_A = 1u << 8, EPT_D = 1u << 9,
};
enum { EPT_TOP = 4 };

static inline u64 ept_page_bytes(int level)
{
	return (u64)PAGE_BYTES << 9 * (level - 1);
}

/* The EPT pointer of a top table. ad: with A and D flags, if offered. */
u64 ept_pointer(const u64 *top, bool ad);
bool ept_has_ad(void);
bool ept_has_exec_only(void);

/* The largest level of a leaf. */
int ept_largest(void);

/* The entry of a gpa at a level; tables on the way that are missing are made, with all rights. */
u64 *ept_entry(u64 *top, u64 gpa, int level);

/* A leaf's value. rights may hold any other bits, too. */
u64 ept_leaf(u64 hpa, int level, u64 rights);
void ept_map(u64 *top, u64 gpa, u64 hpa, int level, u64 rights);

/* A new top table that maps all of RAM to itself, with all rights, in pages of 2 MiB. */
u64 *ept_identity(void);

/* Drop what is cached of one EPT pointer. */
void ept_flush(u64 eptp);
