/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Breaking a rule of the machine by hand, to see that it says so. Where a test's own headers are; after setjmp.h, cmocka.h. */
#ifndef TESTS_SUPPORT_COMPLAINS_H
#define TESTS_SUPPORT_COMPLAINS_H

#include <string.h>

static jmp_buf complains_back;
static char complains_said[512];
/* What a complaint leaves behind, half done; may be NULL. */
static void (*complains_tidy)(void);

static void complains_note(const char *what)
{
	strncpy(complains_said, what, sizeof(complains_said) - 1);
	longjmp(complains_back, 1);
}

/* @statement has to end in a complaint that contains @word. */
#define COMPLAINS(word, statement) do { \
	complains_said[0] = 0; \
	machine_on_bug = complains_note; \
	if (!setjmp(complains_back)) { \
		statement; \
	} \
	machine_on_bug = NULL; \
	if (complains_tidy) \
		complains_tidy(); \
	if (!strstr(complains_said, word)) \
		fail_msg("'%s' was expected to say '%s', said '%s'", #statement, word, complains_said); \
} while (0)

#endif
