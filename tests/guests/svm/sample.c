// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Turns of the kernel and of who runs it: see sample.h. */
#include "cpu.h"
#include "print.h"
#include "report.h"
#include "sample.h"

enum { SERIAL = 0x3f8, SERIAL_STATUS = SERIAL + 5, SERIAL_READY = 1 };
#define PATIENCE 20000000ull		/* cycles between two looks, each of which is an exit */

static void wait_for_byte(void)
{
	while (!(inb(SERIAL_STATUS) & SERIAL_READY)) {
		u64 start = rdtsc();

		while (rdtsc() - start < PATIENCE)
			pause();
	}
	inb(SERIAL);
}

void sample(const char *format, ...)
{
	va_list list;

	if (!option("samples"))
		return;
	va_start(list, format);
	print("sample ");
	vprint(format, list);
	print("\n");
	va_end(list);
	wait_for_byte();
}
