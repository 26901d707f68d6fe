// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Output to QEMU's debug console, strings, and the way out. */
#pragma once
#include "types.h"

/*
 * A subset of printf: %d %u %x %c %s %p %%, with l or ll, a width, and - or 0 before it.
 *
 * CPUs may print at once: a call's text stays together.
 */
void print(const char *format, ...) PRINTF_LIKE(1, 2);
void vprint(const char *format, va_list list);

/* As print(), into a buffer of `size` bytes, cut to fit and always ended by a zero. */
void print_to(char *buffer, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
void vprint_to(char *buffer, size_t size, const char *format, va_list list);

/* Ends QEMU, with exit status 2 * status + 1. */
NORETURN void guest_exit(int status);

/* Says why, and ends with status 1: for what the kernel itself cannot go on without. */
NORETURN void guest_panic(const char *format, ...) PRINTF_LIKE(1, 2);

void *memset(void *to, int byte, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
int strcmp(const char *a, const char *b);
size_t strlen(const char *text);
