// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Page frames, and page tables. Physical addresses are pointers: the boot tables map RAM to itself. */
#pragma once
#include "types.h"

enum { PAGE_BYTES = 4096, PAGE_SHIFT = 12 };
#define LARGE_BYTES ((uptr)2 << 20)

/* One zeroed page, below 4 GiB; n contiguous ones, aligned to `align` bytes. They panic if there is no more. */
void *alloc_page(void);
void *alloc_pages(size_t n, size_t align);

/* Only single pages come back. */
void free_page(void *page);
size_t free_pages(void);

/* Bits of an entry in 64-bit form. */
enum {
	PTE_P = 1u << 0, PTE_W = 1u << 1, PTE_U = 1u << 2, PTE_PWT = 1u << 3, PTE_PCD = 1u << 4, PTE_A = 1u << 5,
	PTE_D = 1u << 6, PTE_PS = 1u << 7, PTE_G = 1u << 8,
};
#define PTE_NX BIT(63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#ifdef __x86_64__
/* The first GiB once more, for ring 3, which may do anything there. */
#define USER_ALIAS 0x600000000000ull

static inline u64 user_alias(const void *at)
{
	return USER_ALIAS + (uptr)at;
}

/* Index of an address in a table; level 1 is the last. */
static inline int pt_index(u64 address, int level)
{
	return address >> (12 + 9 * (level - 1)) & 511;
}

/* A new address space that has what the boot tables have: its top table, which shares theirs below. */
u64 *space_new(void);

/*
 * The entry of an address at a level of a tree whose top table is at level `top`. Tables on the way that are missing
 * are made, and linked with `rights`; those there are left as they are. It panics at a large page.
 */
u64 *pt_entry(u64 *top_table, int top, u64 address, int level, u64 rights);
#endif
