// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A hypervisor that runs guests of a few instructions. Words of the command line choose: rights, random, special,
 * beyond, rotation (its parts: rotate, cold), crowd, parallel.
 */
#include "boot.h"
#include "cpu.h"
#include "mark.h"
#include "print.h"
#include "report.h"
#include "setting.h"

static void on_each_setting(void (*test)(struct setting *s))
{
	static const struct {
		u8 format, paging;
		const char *word;
	} kinds[] = {
		{ NESTED_4, L2_FLAT, "4-flat" }, { NESTED_4, L2_32, "4-2" }, { NESTED_4, L2_PAE, "4-pae" },
		{ NESTED_4, L2_LONG, "4-4" }, { NESTED_5, L2_FLAT, "5-flat" }, { NESTED_5, L2_LONG, "5-4" },
		{ NESTED_PAE, L2_FLAT, "pae-flat" }, { NESTED_PAE, L2_PAE, "pae-pae" },
		{ NESTED_32, L2_FLAT, "2-flat" }, { NESTED_32, L2_32, "2-2" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct setting s = { 0 };

		if (kinds[i].format == NESTED_5 && !cpu_has_la57()) {
			report_skip("5 levels", "the CPU has 4");
			continue;
		}
		setting_make(&s, kinds[i].format, kinds[i].paging);
		mark("setting-%s", kinds[i].word);
		test(&s);
		mark("setting.end");
	}
}

void guest_main(void)
{
	const char *why = svm_enable();

	if (why) {
		report_skip("SVM", why);
		return;
	}
	mark("ready");
	if (option("rotation") || option("rotate"))
		test_rotation(option("rotation"));
	if (!svm_has_nested_paging()) {
		report_skip("nested paging", "the CPU has none");
		return;
	}
	if (option("rotation") || option("cold"))
		test_cold();
	if (option("rights"))
		on_each_setting(test_rights);
	if (option("random"))
		on_each_setting(test_random);
	if (option("special"))
		test_special();
	if (option("beyond"))
		test_beyond();
	if (option("crowd"))
		test_crowd();
	if (option("parallel"))
		test_parallel();
}
