// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What the tests of tables work on: an arena of frames, each of which knows its own address, and a window of 2 MiB
 * with a chain of tables of its own.
 */
#pragma once
#include "memory.h"
#include "print.h"
#include "types.h"

enum { SLOT = 512, ARENA_PAGES = 4096, RIGHTS = PTE_P | PTE_W | PTE_U };

#define WINDOW 0x100000000000ull		/* slot 32 of the top table */
#define SIDE_WINDOW 0x110000000000ull		/* slot 34: for a second way to the same thing */

struct window {
	u64 *root, *pdpt, *pd, *pt;		/* of WINDOW */
};

extern struct window window;
extern u8 *arena;				/* 16 MiB, aligned to its size */

/* A new root with a new window, and the CPU on it. */
void window_begin(void);

/* Frame n of the arena, with its first words as they were at the start. */
u64 *arena_frame(u32 n);

/* An entry that maps it with these bits. */
static inline u64 arena_entry(u32 n, u64 bits)
{
	return (uptr)(arena + (uptr)(n % ARENA_PAGES) * PAGE_BYTES) | bits;
}

static inline uptr window_page(u32 n)
{
	return WINDOW + (uptr)n * PAGE_BYTES;
}

static inline void set(u64 *entry, u64 value)
{
	WRITE_ONCE(*entry, value);
}

/* Set an entry of the window's last table, and flush its page. */
void window_map(u32 n, u64 entry);

u32 random_below(u32 limit);

/* The tests, by file. */
void test_writes(void);
void test_shapes(void);
void test_reuse(void);
void test_storms(void);
void test_random(void);
void test_two_cpus(void);
