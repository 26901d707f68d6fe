// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What the loader and QEMU tell, and where memory is. */
#pragma once
#include "selectors.h"
#include "types.h"

/* The test itself; it may end by returning, which is report_finish(). */
void guest_main(void);

/* Keeps what the loader left; the library calls it before anything else. */
void boot_copy(void);

const char *boot_command_line(void);

/* The end of RAM above 1 MiB, which has no holes below it. */
uptr boot_memory_end(void);

/* How many CPUs QEMU was told to make. */
int boot_cpus(void);

#ifdef __x86_64__
/* The page tables that boot.S made: 4 GiB mapped to themselves. */
uptr boot_root(void);

/* Leave long mode and enter it again with other tables and CR4, both below 4 GiB; RAM is mapped to itself in them. */
void long_restart(uptr cr3, uptr cr4);
#endif
