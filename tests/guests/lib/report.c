// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Results, counted and printed. CPUs other than the first may only call report_wrong(). */
#include "boot.h"
#include "cpu.h"
#include "print.h"
#include "report.h"

enum { SHOWN = 5 };		/* parts of one check that are printed in full */

static unsigned int passed, failed, skipped;
static const char *running;
static u64 began;
static unsigned long wrongs;
static char first_wrong[240];

void report_ok(const char *name)
{
	passed++;
	print("ok %s\n", name);
}

void report_skip(const char *name, const char *why)
{
	skipped++;
	print("skip %s: %s\n", name, why);
}

static void report_failure_list(const char *name, const char *format, va_list list)
{
	char why[sizeof(first_wrong) + 40];

	vprint_to(why, sizeof(why), format, list);
	failed++;
	print("not ok %s: %s\n", name, why);
}

void report_failure(const char *name, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	report_failure_list(name, format, list);
	va_end(list);
}

bool check(bool good, const char *name, const char *format, ...)
{
	va_list list;

	if (good) {
		report_ok(name);
		return true;
	}
	va_start(list, format);
	report_failure_list(name, format, list);
	va_end(list);
	return false;
}

void report_begin(const char *name)
{
	running = name;
	began = rdtsc();
	WRITE_ONCE(wrongs, 0);
}

void report_wrong(const char *format, ...)
{
	char why[sizeof(first_wrong)];
	unsigned long number = __atomic_fetch_add(&wrongs, 1, __ATOMIC_RELAXED);
	va_list list;

	if (number >= SHOWN)
		return;
	va_start(list, format);
	vprint_to(why, sizeof(why), format, list);
	va_end(list);
	if (number == 0)
		memcpy(first_wrong, why, sizeof(why));
	print("  %s: %s\n", running, why);
}

unsigned long report_wrongs(void)
{
	return READ_ONCE(wrongs);
}

bool report_end(void)
{
	print("  %s: %lu million cycles\n", running, (unsigned long)((rdtsc() - began) >> 20));
	if (wrongs)
		report_failure(running, "%lu wrong, first: %s", wrongs, first_wrong);
	else
		report_ok(running);
	return !wrongs;
}

void report_finish(void)
{
	print("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	guest_exit(failed ? 1 : passed ? 0 : 2);
}

/* Where a word of the command line that begins with `word` goes on, or NULL. */
static const char *find_option(const char *word)
{
	const char *at = boot_command_line();
	size_t length = strlen(word);

	while (*at) {
		if (strlen(at) >= length && memcmp(at, word, length) == 0)
			return at + length;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

bool option(const char *word)
{
	const char *end = find_option(word);

	return end && (*end == 0 || *end == ' ');
}

u64 option_number(const char *name, u64 otherwise)
{
	const char *at = find_option(name);
	u64 value = 0;

	if (!at || *at != '=')
		return otherwise;
	for (at++; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + *at - '0';
	return value;
}
