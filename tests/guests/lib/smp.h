// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The other CPUs, and the local APIC (by MMIO at its usual place, which must be mapped to itself). */
#pragma once
#include "types.h"

/* Start all other CPUs; returns how many there are with this one. They run on the boot tables, with interrupts off. */
int smp_start(void);

/* Which CPU this is, from 0. */
int smp_cpu(void);

/* Let another CPU run fn(arg), once what it did before is done; and wait until it is done. */
void smp_run(int cpu, void (*fn)(void *), void *arg);
void smp_wait(int cpu);

/* Interrupt another CPU. An idle CPU takes interrupts; one in smp_run() only if fn() enables them. */
void smp_interrupt(int cpu, int vector);

void apic_eoi(void);
