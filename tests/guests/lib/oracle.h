// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An access made for real, and beside it what the tables in memory say it must come to. */
#pragma once
#include "model.h"
#include "trap.h"

/*
 * Make an access; true if it was done, else the trap says why not. A fetch finds a frame that begins as fetch_target()
 * has left it. ac: with RFLAGS.AC set, for a supervisor's access. Ring 3 only in 64-bit kernels.
 */
bool access_try(uptr address, struct access access, bool ac, struct trap *trap);
void fetch_target(void *frame);

/* How this CPU translates now, by its registers. PKRU is read, RFLAGS.AC is left clear. */
struct paging paging_now(void);

/* The entries on the way of an address, by this CPU's CR3; those below one that is not present or a leaf are zero. */
void entries_of(const struct paging *paging, uptr address, u64 *entry);

/* Where the leaf among these entries maps the address. */
u64 leaf_address(const struct paging *paging, const u64 *entry, uptr address);

/*
 * Make an access to an 8-byte word, 4 in a 32-bit kernel, and compare what comes of it with the tables: done or not,
 * error code and CR2, the word that is read, the A and D flags. A write writes the address, mixed with what was there.
 * What differs is told by report_wrong(), with `what`. Returns true if all is right.
 *
 * What the tables say must have been flushed, and nobody else may change them meanwhile.
 */
bool oracle_access(const char *what, uptr address, struct access access);
bool oracle_read(const char *what, uptr address);
bool oracle_write(const char *what, uptr address);
