// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Exceptions that a test expects, code in ring 3, and interrupts. */
#pragma once
#include "types.h"

/* Vectors of the kernel's own. */
enum { VEC_USER_RETURN = 0x80, VEC_WAKE = 0xf0, VEC_CALL = 0xf1 };

struct trap {
	u32 vector, error;
	uptr cr2;			/* of a page fault */
	uptr rip, rsp, flags, ax;	/* as they were; rsp and flags only in 64-bit kernels */
};

/*
 * Run fn(arg). An exception ends it, wherever it is: true, and what it was. May be nested. Not for interrupts.
 *
 * CR2 is set to a value that no test uses before fn() runs, so that a fault that leaves it alone is seen.
 */
bool trap_catch(void (*fn)(void *), void *arg, struct trap *trap);

enum { CR2_UNUSED = 0x5eed0bad };

/* Loads the IDT; the library does it, and who loaded another one. */
void trap_init(void);

#ifdef __x86_64__
/*
 * Run code in ring 3 until it executes INT VEC_USER_RETURN or takes an exception. rip, rsp: linear addresses that ring
 * 3 may use; see user_alias(). arg: in RDI. flags: added to RFLAGS, such as FLAGS_AC. Interrupts are off.
 */
void user_run(u64 rip, u64 arg, u64 rsp, u64 flags, struct trap *trap);

/* Handle a vector above 31 from now on, on all CPUs. The local APIC is told that the interrupt ended. */
void irq_handle(int vector, void (*handler)(void));
#endif
