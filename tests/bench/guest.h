/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What runs on a vCPU of the benchmark: processes that touch fresh memory, a kernel that maps it for them and unmaps it
 * again, flushes and switches. Each guest has its own processes, tables and frames; it shares nothing with another but the VM.
 *
 * BENCH_DIRECT	nothing but touches of fresh frames: what processes do is not seen
 * BENCH_SHADOW	the processes' tables are mirrored
 * BENCH_NESTED	a process is an L2, its tables L1's NPT for it; the kernel is L1, which itself runs on a direct tree
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#include "machine.h"

enum bench_engine {
	BENCH_DIRECT,
	BENCH_SHADOW,
	BENCH_NESTED,
	BENCH_ENGINES
};

#define GUEST_PROCESSES	4u
#define GUEST_WINDOW	4096u		/* pages of addresses a process uses, over and over: 8 last-level tables */
#define GUEST_LIVE	256u		/* pages of a process that are mapped */
#define GUEST_BATCH	64u		/* pages that come and go at once: so many that a kernel flushes all */
#define GUEST_MOVED	4u		/* of these, pages that get another frame, as by copy-on-write, flushed one by one */

struct guest_process {
	vmmu_gfn_t root, upper, middle;	/* tables of levels 4, 3, 2 */
	vmmu_gfn_t last[GUEST_WINDOW / VMMU_TABLE_ENTRIES];
	vmmu_gfn_t frame[GUEST_WINDOW];	/* 0: nothing is mapped there */
	unsigned int head, tail;	/* the next page to touch; the next to unmap */
};

struct guest {
	struct bench_vcpu *c;
	enum bench_engine engine;
	vmmu_gfn_t first;		/* of its frames */
	uint64_t touched;		/* pages brought in */
	uint64_t steps;

	/* BENCH_DIRECT */
	vmmu_gfn_t next;

	/* The others. */
	struct guest_process process[GUEST_PROCESSES], *current;
	unsigned int free_tables, free_frames;	/* stacks */
	vmmu_gfn_t free_table[BENCH_TABLE_FRAMES];
	vmmu_gfn_t free_frame[GUEST_PROCESSES * (GUEST_LIVE + GUEST_BATCH) + 1];
};

/* What it costs to leave the guest for the host, and to come back; a real processor takes some 1000. Set before all else. */
extern uint64_t guest_exit_ns;

/* A guest on a new vCPU of @m, on thread @thread; nothing runs yet. */
struct guest *guest_new(struct bench_vm *m, unsigned int thread, enum bench_engine engine);
void guest_free(struct guest *g);
/*
 * A batch of pages is touched for the first time, another is unmapped; now and then the next process runs. Whatever is reached
 * has to be what the guest has mapped there. Context: its own thread.
 */
void guest_step(struct guest *g);
/* Is there memory for another step? */
bool guest_goes_on(const struct guest *g);
/* For a guest whose memory runs out: the host unmaps all of it. Context: its own thread, and no other thread is here. */
void guest_renew(struct guest *g);

#endif
