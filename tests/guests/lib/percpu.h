// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What each CPU has for itself; for the library's own files. */
#pragma once
#include "boot.h"
#include "types.h"

enum { CPUS_MAX = 8, TRAP_STACK_BYTES = 8192 };

struct cpu {
	struct catch *catch;		/* the innermost trap_catch() or user_run() */
	void (*fn)(void *);		/* smp_run(); NULL: idle */
	void *arg;
	u32 apic_id;
	bool online;
	u32 tss[26] __attribute__((aligned(16)));
	u8 trap_stacks[2][TRAP_STACK_BYTES] __attribute__((aligned(16)));
};

extern struct cpu cpus[CPUS_MAX];

/* The task register says which CPU this is: reading it needs no memory and causes no exit. */
static inline int cpu_number(void)
{
	u16 selector;

	__asm__ volatile("str %0" : "=r"(selector));
	return (selector - SEL_TSS) / 16;
}

static inline struct cpu *this_cpu(void)
{
	return &cpus[cpu_number()];
}
