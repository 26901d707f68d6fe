// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Figures that only L0 has: it reads them at a mark. */
#pragma once

/*
 * Print "@@mark NAME" and wait for a byte on COM1, if the command line says "marks": L0 has read its counters by then.
 */
void mark(const char *format, ...) __attribute__((format(printf, 1, 2)));
