// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What an access through page tables comes to, by the manuals: Intel's "Paging" and AMD's "Page Translation and
 * Protection". It shares nothing with the code under test, and knows no memory: the entries on the way are its input.
 */
#pragma once
#include "types.h"

enum { LEVELS = 6 };		/* levels 1 to 5; 0 is not used */

enum kind { PT32, PAE, PT64 };

/* How addresses are translated, and what is switched on. */
struct paging {
	enum kind kind;
	int top;		/* level of the top table */
	bool wp, nxe, smep, smap, pke;
	bool ac;		/* RFLAGS.AC, in supervisor mode */
	u32 pkru;
	bool off, no_pse;	/* no paging; 32-bit tables without 4 MiB pages */
	bool pse36, gigabyte;	/* what the CPU has */
	int address_bits;
	bool tcg;		/* QEMU's own walker, which strays from the manuals; see tcg_walks() */
};

struct access {
	bool write, fetch, user;
};

struct outcome {
	bool fault;
	u32 error;
	int last;		/* level of the entry that ended the walk: leaf, not present or reserved */
};

/*
 * True if the command line has "tcg": then the guest's tables are walked by QEMU's TCG itself, which leaves P out of
 * the error code where a bit is reserved, sets A in PDPTEs, and in an entry of a 1 GiB page before it looks at its
 * rights.
 */
bool tcg_walks(void);

/* True if an entry at this level maps a page; it is present. */
bool model_is_leaf(const struct paging *paging, int level, u64 entry);

/* entry[level]: the entries on the way; those below a leaf are not read. */
struct outcome model_access(const struct paging *paging, const u64 *entry, struct access access);

/*
 * True if the entry at this level may hold `after` when it held `before` and an access had this outcome: A and D are
 * set where a translation used them. Where an access faults, entries above the last one may have A set or not.
 */
bool model_flags_right(const struct paging *paging, int level, u64 before, u64 after, struct access access,
		       struct outcome outcome);
