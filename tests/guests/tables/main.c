// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a guest may do with its live page tables, and rarely does. After each change, with the flush the manuals ask
 * for, accesses are compared with the tables as they are in memory.
 *
 * Options: writes, shapes, reuse, storms, random: only these; cpus: what takes two CPUs; turns=N, rounds=N, forks=N,
 * tables=N, switches=N, steps=N: how much.
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
		{ "storms", test_storms },
		{ "random", test_random },
	};
	bool some = false;

	if (option("cpus"))
		return test_two_cpus();

	for (u32 i = 0; i < ARRAY_SIZE(part); i++)
		some |= option(part[i].name);
	for (u32 i = 0; i < ARRAY_SIZE(part); i++) {
		if (!some || option(part[i].name))
			part[i].run();
	}
}
