// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a guest may do with its live page tables, and rarely does. After each change, with the flush the manuals ask
 * for, accesses are compared with the tables as they are in memory.
 *
 * Options: writes, shapes, reuse, storms, cpus: only these; turns=N, rounds=N, forks=N, tables=N, switches=N: how much.
 */
#include "boot.h"
#include "report.h"
#include "window.h"

void guest_main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} part[] = {
		{ "writes", test_writes }, { "shapes", test_shapes }, { "reuse", test_reuse },
		{ "storms", test_storms }, { "cpus", test_two_cpus },
	};
	bool some = false;

	for (u32 i = 0; i < ARRAY_SIZE(part); i++)
		some |= option(part[i].name);
	for (u32 i = 0; i < ARRAY_SIZE(part); i++) {
		if (!some || option(part[i].name))
			part[i].run();
	}
}
