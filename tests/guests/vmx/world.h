// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What most tests begin with: an L2 that runs in an EPT that maps RAM to itself, and addresses to play with. L2's
 * address LINEAR goes to the guest-physical address that the test says, by tables that are mapped to themselves.
 */
#pragma once
#include "ept.h"
#include "predict.h"

#define LINEAR 0x10000000000ull

struct world {
	struct vm vm;
	u64 *ept;			/* the top table */
};

void world_make(struct world *w, bool ad);

/* A gpa outside of RAM whose entry at each level serves nothing else; 2^39 if addresses are that wide, else below. */
u64 world_window(void);

/* The highest level at which that is so. */
int world_window_top(void);

/* Let L2's linear address (a page) be this gpa. The entry has A and D set. */
void world_map_linear(struct world *w, u64 linear, u64 gpa);

/* 2 MiB of RAM at a multiple of 2 MiB, each page with a tag of its own: TAG + its number. */
u8 *world_frames(void);
enum { TAG = 0x7a0000, FRAMES = 512 };

/* The gpa at which a leaf of this level at the window's start maps `frame`, and the hpa of such a leaf. */
u64 world_gpa(int level, const void *frame);
u64 world_leaf_hpa(int level, const void *frame);

/* Clear A and D in the entries for a gpa, from the top down to this level. */
void world_forget_flags(struct world *w, u64 gpa, int level);

/* The tests, one file each. */
void test_rights(void);
void test_walks(void);
void test_misconfig(void);
void test_change(void);
void test_share(void);
void test_mmio(void);
void test_function(void);
void test_pml(void);
void test_unpaged(void);
void test_legacy(void);
void test_rotate(void);
void test_cold(void);
void test_random(void);
void test_many(void);
void test_writes(void);
