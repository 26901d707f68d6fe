// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The address space of the test: RAM mapped to itself, and one page frame, the target, at one address of its own, which
 * goes through tables nobody else uses.
 *
 * The address is chosen so that the same frame is behind it whatever the size of the page.
 */
#pragma once
#include "model.h"
#include "trap.h"

enum { SPACE_WORD = 16 };	/* offset of what is read and written in the target; in front is code */

/* Switch to it. Only once for each kind. */
void space_begin(struct paging *paging);

/* The target's address, and a rightful entry at a level: a table, or a leaf. */
uptr space_address(void);
u64 space_table(int level);
u64 space_leaf(int level);

u64 space_read(int level);
void space_write(int level, u64 value);

/* The access; true if it was made, else the trap says why not. */
bool space_access(const struct paging *paging, struct access access, struct trap *trap);

/* Make WP, NXE, SMEP, SMAP, PKE and PKRU so. */
void space_apply(const struct paging *paging);
