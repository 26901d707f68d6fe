/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a guest's tables allow, read slowly and plainly after the manuals: AMD APM vol. 2 "Page Translation and
 * Protection", "Nested Paging"; Intel SDM vol. 3 "Paging", "Extended Page Table Mechanism". Knows nothing of the core.
 *
 * The past counts: a CPU may use what the tables gave at any time since the last flush that covers an address, and may
 * have kept the upper entries of a walk from another time than the lower ones. So the oracle remembers every value that
 * a word of guest memory has had. A walk through the past tries them all.
 *
 * A write that nobody tells the MMU of (a device's) is not noticed where the tables are mirrored: the value before
 * stays allowed until the word is written again with a word about it.
 */
#ifndef MACHINE_ORACLE_H
#define MACHINE_ORACLE_H

#include <stdbool.h>
#include <stdint.h>
#include "vm.h"

enum oracle_kind {
	ORACLE_NO_PAGING,		/* an address is what it is */
	ORACLE_32BIT,
	ORACLE_PAE,
	ORACLE_LONG,
	ORACLE_EPT,
};

/* Guest tables, and the CPU that walks them. */
struct oracle_tables {
	enum oracle_kind kind;
	int levels;
	int space;			/* address space in which the tables and what they map are */
	uint64_t root;			/* CR3, nCR3 or EPTP */
	uint64_t pdpte[4];		/* PAE: the registers */
	bool pdpte_in_memory;		/* PAE under NPT: no registers */
	bool nested_amd;		/* NPT: every access is a user's, and CR0.WP, SMEP and SMAP mean nothing */
	bool wp, nxe, smep, smap, pse, gb, amd;
	bool exec_only, ept_ad;
	int ept_largest;
	int width;			/* of a physical address */
	/*
	 * L2's own tables: they and what they map lie in what these translate. Who reads an entry of theirs writes it
	 * there, too, if @outer_writes. Now only: what a CPU may remember of such a walk is judged access by access.
	 */
	const struct oracle_tables *outer;
	bool outer_writes;
};

struct oracle_access {
	bool write, fetch, user, ac, implicit, also_read;
};

/* Who says no. */
enum oracle_stage { ORACLE_OWN, ORACLE_OUTER_TABLE, ORACLE_OUTER_FINAL };

/* What the tables say now. */
struct oracle_now {
	bool ok;
	enum oracle_stage stage;	/* beyond ORACLE_OWN: the outer tables, and the rest is theirs */
	uint64_t gfn;			/* of the 4 KiB frame */
	uint64_t error;			/* of the page fault: P 1, W 2, U 4, reserved 8, fetch 16 */
	bool misconfig;
	uint8_t qualification;		/* EPT: bits 5:0 */
	bool read, write, user, exec;
};

struct oracle;

struct oracle *oracle_new(struct machine_vm *m);
void oracle_free(struct oracle *o);

/* The time, and a moment later: what happens from now on happens after it. */
uint64_t oracle_tick(struct oracle *o);
/* Nobody looks further back than @time any more. */
void oracle_forget_before(struct oracle *o, uint64_t time);

/* Write @bytes (1..8, inside a page) of @value to a page of the host's. @told: by a CPU, or the MMU hears of it. */
void oracle_store(struct oracle *o, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes, bool told);
/*
 * The MMU has heard of a store that was not told when it was made, in a report that began at @began: its instruction is
 * done now. What has been written since is another's to tell.
 */
void oracle_told(struct oracle *o, uint64_t page, unsigned int offset, unsigned int bytes, uint64_t began);
/* A walk set flags in the entry at @offset. */
void oracle_flags_set(struct oracle *o, uint64_t page, unsigned int offset);
/* A page that will hold tables, before anybody looks: no past. */
void oracle_start_page(struct oracle *o, uint64_t page);

/* Context of the rest: slots. */
struct oracle_now oracle_walk(struct oracle *o, const struct oracle_tables *t, uint64_t addr,
			      const struct oracle_access *access);
/* May a CPU that flushed @addr last at @since reach page @page of the host's? */
bool oracle_allows(struct oracle *o, const struct oracle_tables *t, uint64_t addr, const struct oracle_access *access,
		   uint64_t page, uint64_t since);
/* May it find guest frame @gfn at @addr, for whatever access? */
bool oracle_allows_gfn(struct oracle *o, const struct oracle_tables *t, uint64_t addr, uint64_t gfn, uint64_t since);
/*
 * The CPU made the access. If the tables have said one thing only since @since, their A flags are set by now, and D
 * after a write. Return: false if they are not.
 */
bool oracle_flags_are_set(struct oracle *o, const struct oracle_tables *t, uint64_t addr,
			  const struct oracle_access *access, uint64_t since);

/* Have they said one thing only? */
bool oracle_is_settled(struct oracle *o, const struct oracle_tables *t, uint64_t addr, uint64_t since);

/* Say on stderr what the entries on the way to @addr are and were. */
void oracle_explain(struct oracle *o, const struct oracle_tables *t, uint64_t addr, uint64_t since);

struct oracle_count {
	uint64_t checks, given_up, flags, stores, most_values;
};
struct oracle_count oracle_counts(const struct oracle *o);

#endif
