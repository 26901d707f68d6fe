// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a guest kernel tells: lines "ok NAME", "not ok NAME: WHY" and "skip NAME: WHY", and at the end
 * "N passed, N failed, N skipped". The exit status is 1 if something failed, 0 if something passed, else 2.
 */
#pragma once
#include "types.h"

void report_ok(const char *name);
void report_skip(const char *name, const char *why);
void report_failure(const char *name, const char *format, ...) PRINTF_LIKE(2, 3);

/* One check: ok if `good`, else a failure with what the format says. Returns good. */
bool check(bool good, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

/*
 * A check made of many parts: begin, say each thing that is wrong, end. Only the first few failures are printed in
 * full; the end prints one line for all of it, with their number.
 */
void report_begin(const char *name);
void report_wrong(const char *format, ...) PRINTF_LIKE(1, 2);
bool report_end(void);
unsigned long report_wrongs(void);

/* Print the sum and end the guest. */
NORETURN void report_finish(void);

/* True if the command line has this word; the number of "NAME=NUMBER" on it, or `otherwise`. */
bool option(const char *word);
u64 option_number(const char *name, u64 otherwise);
