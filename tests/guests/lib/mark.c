// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Marks on the console, and the answer on COM1. */
#include "cpu.h"
#include "mark.h"
#include "print.h"
#include "report.h"

enum { COM1_DATA = 0x3f8, COM1_STATUS = 0x3fd, COM1_READY = 1 };
#define PATIENCE 4000000ull		/* cycles between two looks, each of which is an exit */

static void wait_for_answer(void)
{
	while (!(inb(COM1_STATUS) & COM1_READY)) {
		u64 start = rdtsc();

		while (rdtsc() - start < PATIENCE)
			pause();
	}
	inb(COM1_DATA);
}

void mark(const char *format, ...)
{
	char name[64];
	va_list list;

	if (!option("marks"))
		return;
	va_start(list, format);
	vprint_to(name, sizeof(name), format, list);
	va_end(list);
	print("@@mark %s\n", name);
	wait_for_answer();
}
