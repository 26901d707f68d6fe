/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What happens, in words, for who replays a failure: machine_sayer is NULL but then. */
#ifndef MACHINE_SAY_H
#define MACHINE_SAY_H

#include <stddef.h>

extern void (*machine_sayer)(const char *what);

void machine_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define MACHINE_SAY(...) (machine_sayer ? machine_say(__VA_ARGS__) : (void)0)

#endif
