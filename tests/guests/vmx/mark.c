// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Marks on the console, and the answer on COM1. */
#include "cpu.h"
#include "print.h"
#include "report.h"
#include "mark.h"

enum { COM1_DATA = 0x3f8, COM1_STATUS = 0x3fd, COM1_READY = 1 };

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
	while (!(inb(COM1_STATUS) & COM1_READY))
		pause();
	inb(COM1_DATA);
}
