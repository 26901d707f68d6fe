// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A hypervisor that runs L2s whose EPT it changes, and checks every exit. */
#include "boot.h"
#include "mark.h"
#include "report.h"
#include "world.h"

/* In the order of what they take for granted. */
static const struct test {
	const char *name;
	void (*run)(void);
	bool without_ept;		/* it needs none */
} tests[] = {
	{ "rotate", test_rotate, false },
	{ "cold", test_cold, false },
	{ "rights", test_rights, false },
	{ "walks", test_walks, false },
	{ "misconfig", test_misconfig, false },
	{ "change", test_change, false },
	{ "writes", test_writes, false },
	{ "share", test_share, false },
	{ "many", test_many, false },
	{ "mmio", test_mmio, false },
	{ "function", test_function, false },
	{ "pml", test_pml, false },
	{ "unpaged", test_unpaged, false },
	{ "random", test_random, false },
	{ "legacy", test_legacy, true },
};

/* The command line names those to run; none: all. */
static bool is_wanted(const char *name)
{
	bool named = false;

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		named |= option(tests[i].name);
	return !named || option(name);
}

void guest_main(void)
{
	if (!vmx_start())
		return;
	print("EPT and VPID: %llx, address bits: %d\n", (unsigned long long)vmx_ept_caps(), cpu_address_bits());
	mark("ready");
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!is_wanted(tests[i].name))
			continue;
		if (tests[i].without_ept || vmx_offers_proc2(PROC2_EPT))
			tests[i].run();
		else
			report_skip(tests[i].name, "there is no EPT");
	}
}
