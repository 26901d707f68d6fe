// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Page tables of every format that the CPU knows, made by hand: nested ones for a guest, a guest's own, and those of
 * another mode of the host. Tables lie in memory that is mapped to itself.
 */
#pragma once
#include "types.h"

enum nested_format { NESTED_32, NESTED_PAE, NESTED_4, NESTED_5 };

struct nested {
	enum nested_format format;
	int levels;
	uptr root;
};

enum {
	ENTRY_P = 1u << 0, ENTRY_W = 1u << 1, ENTRY_U = 1u << 2, ENTRY_A = 1u << 5, ENTRY_D = 1u << 6,
	ENTRY_LARGE = 1u << 7,
	ENTRY_ALL = ENTRY_P | ENTRY_W | ENTRY_U,
	ENTRY_USED = ENTRY_ALL | ENTRY_A | ENTRY_D,
};
#define ENTRY_NX BIT(63)
#define ENTRY_ADDRESS 0x000ffffffffff000ull

struct nested nested_make(enum nested_format format);

/* Log2 of the bytes that an entry of a level maps. Levels count from 1. */
int nested_shift(const struct nested *n, int level);

/* The entry of a level for an address; reading one below an absent table gives 0, writing makes the tables. */
u64 nested_get(const struct nested *n, u64 address, int level);
void nested_set(const struct nested *n, u64 address, int level, u64 entry);

/* Where the entry is in memory; the tables above are there. */
uptr nested_slot(const struct nested *n, u64 address, int level);

/* Map one page of the size of a level; `flags` of the leaf, but for ENTRY_LARGE. */
void nested_map(const struct nested *n, u64 address, u64 to, int level, u64 flags);

/* The first GiB to itself, in large pages that were used before. */
void nested_map_low(const struct nested *n);
