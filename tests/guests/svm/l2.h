// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Guests of a few instructions. One is given an access or a loop to do, and ends it by VMMCALL or by an exit.
 *
 * A guest's physical memory: below 1 GiB what is there in the host, to itself; at L2_TEST + x again x, as the test
 * likes to map it. Its linear memory is the same, if it has page tables of its own.
 */
#pragma once
#include "nested.h"
#include "svm.h"
#include "types.h"

#define L2_TEST 0x40000000ull

/* How the guest has its own paging set up. */
enum l2_paging { L2_FLAT, L2_32, L2_PAE, L2_LONG };

struct svm_registers {
	u64 rbx, rcx, rdx, rsi, rdi;
};

/* A mode of the host's to run guests in: control registers that svm_run_mode() loads. */
struct svm_host_mode {
	u64 cr4, cr3, efer;
};

struct l2 {
	struct svm_vmcb *vmcb;
	struct svm_registers registers;
	const struct svm_host_mode *host;	/* NULL: as the host is */
	struct nested own;			/* its page tables, if it has some */
};

extern const u8 l2_begin[], l2_read[], l2_write[], l2_jump[], l2_touch[], l2_copy[], l2_idle[], l2_end[];

/* Ready this CPU for guests. Returns why it cannot have any, or NULL. */
const char *svm_enable(void);
bool svm_has_nested_paging(void);

/* svm_enable(), for smp_run(). */
void svm_enable_here(void *why);

/* The host in another mode, with low memory mapped to itself. */
struct svm_host_mode host_mode(enum nested_format format);

/* Its code is where it is in the host. nested: NULL without nested paging; the guest then has page tables, `own`. */
struct l2 l2_make(enum l2_paging paging, const struct nested *nested, u32 asid);
struct l2 l2_make_unnested(const struct nested *own, u32 asid);

/* Begin at a piece of code and run to the next exit. */
void l2_start(struct l2 *l2, const u8 *code);

/* Go on where the guest is. */
void l2_resume(struct l2 *l2);

/* Touch `count` words, `stride` apart; true if it came to the end. */
bool l2_touches(struct l2 *l2, u64 address, u64 stride, u64 count);
