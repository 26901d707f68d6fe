/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/* The permission table over every input, against the rules of the manual as data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vmmu/mode.h>
#include "../../tables/access_rights.h"

/* Everything a rule can ask about. */
struct facts {
	bool wp, nx, smep, smap, pke;
	bool w, x;
	bool ac;		/* set and explicit */
	bool ad, wd;
};

static bool fact(const struct facts *k, const char *name, size_t len)
{
	const struct { const char *name; bool value; } all[] = {
		{ "wp", k->wp }, { "nx", k->nx }, { "smep", k->smep }, { "smap", k->smap }, { "w", k->w }, { "x", k->x },
		{ "ac", k->ac }, { "ad", k->ad }, { "wd", k->wd }, { "yes", true }, { "no", false },
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strlen(all[i].name) == len && !memcmp(all[i].name, name, len))
			return all[i].value;
	fail_msg("unknown condition in a rule: %.*s", (int)len, name);
	return false;
}

static bool holds(const struct facts *k, const char *rule)
{
	bool all = true;

	for (;;) {
		size_t len;
		bool negate;

		rule += strspn(rule, " ");
		if (!*rule)
			return all;
		if (*rule == '|') {
			if (all)
				return true;
			all = true;
			rule++;
			continue;
		}
		negate = *rule == '!';
		rule += negate;
		len = strcspn(rule, " |");
		if (fact(k, rule, len) == negate)
			all = false;
		rule += len;
	}
}

static bool allowed(const struct access_rule *rules, size_t n, const struct facts *k, char mode, char page, char what)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rules[i].mode == mode && rules[i].page == page && rules[i].what == what)
			return holds(k, rules[i].allowed);
	fail_msg("no rule for %c %c %c", mode, page, what);
	return false;
}

#define ALLOWED(rules, k, mode, page, what) allowed(rules, sizeof(rules) / sizeof(rules[0]), k, mode, page, what)

static struct vmmu_mode legacy_mode(const struct facts *k, uint64_t cr4_extra, uint64_t lma)
{
	const struct vmmu_regs regs = {
		.cr0 = 1u << 31 | (k->wp ? 1u << 16 : 0),
		.cr4 = cr4_extra | (k->smep ? 1u << 20 : 0) | (k->smap ? 1u << 21 : 0) | (k->pke ? 1u << 22 : 0),
		.efer = lma | (k->nx ? 1u << 11 : 0),
		.maxphyaddr = 40,
		.gbpages = true,
		.pse36 = true,
	};
	struct vmmu_mode mode;

	vmmu_mode_init_legacy(&mode, &regs);
	return mode;
}

/* One access against one page: the check and the raw table, in the layout that other readers rely on. */
static void check_one(const struct vmmu_mode *mode, struct facts k, char who, char what, bool ac, bool implicit,
		      bool user_page, unsigned int key, unsigned long *seen)
{
	const char page = user_page ? 'U' : 'S';
	const unsigned int acc = (k.x ? 1 : 0) | (k.w ? 2 : 0) | (user_page ? 4 : 0);
	const uint64_t pf = (what == 'w' ? 2 : 0) | (who == 'U' ? 4 : 0) | (what == 'f' ? 16 : 0);
	const struct vmmu_access access = {
		.pf = pf | (implicit ? VMMU_PF_IMPLICIT : 0),
		.pkru = (uint32_t)((k.ad ? 1u : 0) | (k.wd ? 2u : 0)) << (2 * key),
		.ac = ac,
	};
	bool may, key_may, raw, raw_key;
	uint64_t expect;
	unsigned int index;

	k.ac = ac && !implicit;
	may = ALLOWED(access_rules, &k, who, page, what);
	key_may = !k.pke || ALLOWED(key_rules, &k, who, page, what);
	expect = (may && key_may ? 0 : 1) | (key_may ? 0 : 1u << 5);
	if (vmmu_perm_check(mode, acc | VMMU_ACC_R, key, &access) != expect)
		fail_msg("%c %c page %c%s%s, ac %d implicit %d, wp %d nx %d smep %d smap %d pke %d ad %d wd %d key %u: "
			 "got %lx, want %lx",
			 who, what, page, k.w ? " w" : "", k.x ? " x" : "", ac, implicit, k.wp, k.nx, k.smep, k.smap,
			 k.pke, k.ad, k.wd, key, (unsigned long)vmmu_perm_check(mode, acc | VMMU_ACC_R, key, &access),
			 (unsigned long)expect);

	index = (unsigned int)(pf | (k.ac ? 8 : 0)) >> 1;
	raw = (mode->perm.fault[index] >> acc) & 1;
	raw_key = (mode->perm.pkru_mask >> ((pf & ~1ull) + (user_page ? 8 : 0))) & ((k.ad ? 1 : 0) | (k.wd ? 2 : 0));
	assert_int_equal(raw, !may);
	assert_int_equal(raw_key, !key_may);
	seen[expect ? 1 : 0]++;
}

/* All accesses and pages for one setting of the control bits. */
static void check_mode(const struct vmmu_mode *mode, struct facts k, bool npt, unsigned long *seen)
{
	unsigned int i;

	for (i = 0; i < 1u << 9; i++) {
		const char whats[] = "rwf";
		unsigned int what, key;

		k.w = i & 1;
		k.x = i & 2;
		k.ad = i & 4;
		k.wd = i & 8;
		for (what = 0; what < 3; what++)
			for (key = 0; key < 16; key++) {
				const char who = i & 16 ? 'U' : 'S';

				/* An NPT takes every access for a user's; the raw table of the manual is asked as one. */
				if (npt && who == 'S')
					continue;
				check_one(mode, k, who, whats[what], i & 32, i & 64, i & 128, key, seen);
			}
	}
}

static void test_legacy_exhaustive(void **state)
{
	unsigned long seen[2] = { 0, 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < 32; i++) {
		const struct facts k = { .wp = i & 1, .nx = i & 2, .smep = i & 4, .smap = i & 8, .pke = i & 16 };
		struct facts short_entries = k, pae = k;
		struct vmmu_mode mode;

		mode = legacy_mode(&k, 1u << 5, 1u << 10);
		assert_int_equal(mode.format, VMMU_FORMAT_PT64);
		check_mode(&mode, k, false, seen);

		pae.pke = false;
		mode = legacy_mode(&k, 1u << 5, 0);
		assert_int_equal(mode.format, VMMU_FORMAT_PAE);
		check_mode(&mode, pae, false, seen);

		short_entries.pke = false;
		short_entries.nx = false;
		mode = legacy_mode(&k, 0, 0);
		assert_int_equal(mode.format, VMMU_FORMAT_PT32);
		check_mode(&mode, short_entries, false, seen);
	}
	assert_true(seen[0] > 100000 && seen[1] > 100000);
}

static void test_npt_exhaustive(void **state)
{
	unsigned long seen[2] = { 0, 0 };
	unsigned int i, acc, what;

	(void)state;
	for (i = 0; i < 64; i++) {
		const struct vmmu_regs regs = {
			.cr0 = i & 1 ? 1u << 16 : 0,
			.cr4 = 1u << 5 | (i & 4 ? 1u << 20 : 0) | (i & 8 ? 1u << 21 : 0) | (i & 16 ? 1u << 22 : 0),
			.efer = (i & 32 ? 1u << 10 : 0) | (i & 2 ? 1u << 11 : 0),
			.maxphyaddr = 40,
		};
		const struct facts k = { .wp = true, .nx = i & 2 };
		struct vmmu_mode mode;

		vmmu_mode_init_npt(&mode, &regs);
		check_mode(&mode, k, true, seen);
		/* What comes in as a supervisor's is a user's too. */
		for (acc = 0; acc < 8; acc++)
			for (what = 0; what < 3; what++) {
				const uint64_t pf = what == 1 ? 2 : what == 2 ? 16 : 0;
				const struct vmmu_access s = { .pf = pf, .ac = true, .pkru = ~0u }, u = { .pf = pf | 4 };

				assert_int_equal(vmmu_perm_check(&mode, acc, 3, &s), vmmu_perm_check(&mode, acc, 0, &u));
				assert_int_equal(mode.perm.fault[pf >> 1], mode.perm.fault[(pf | 4) >> 1]);
				assert_int_equal(vmmu_perm_error(&mode, pf) & 4, 4);
			}
	}
	assert_true(seen[0] > 1000 && seen[1] > 1000);
}

static void test_ept_exhaustive(void **state)
{
	unsigned int rights, kind, extra;

	(void)state;
	for (rights = 0; rights < 8; rights++)
		for (kind = 0; kind < 4; kind++)
			for (extra = 0; extra < 16; extra++) {
				const struct vmmu_ept_config config = { .root_level = 4, .huge_level = 3, .maxphyaddr = 46 };
				const bool r = rights & 1, w = rights & 2, x = rights & 4;
				/* kind: read, write, fetch, read-modify-write */
				const bool may = kind == 0 ? r : kind == 1 ? w : kind == 2 ? x : r && w;
				const struct vmmu_access access = {
					.pf = (kind == 1 || kind == 3 ? 2 : kind == 2 ? 16 : 0) | (extra & 1 ? 4 : 0),
					.read_too = kind == 3,
					.ac = extra & 2,
					.pkru = extra & 4 ? ~0u : 0,
				};
				const unsigned int acc = (x ? 1 : 0) | (w ? 2 : 0) | (extra & 8 ? 4 : 0) | (r ? 8 : 0);
				struct vmmu_mode mode;

				vmmu_mode_init_ept(&mode, &config);
				assert_int_equal(vmmu_perm_check(&mode, acc, 0, &access), may ? 0 : 1);
			}
}

/* The I/D bit of the error code ("Page-Fault Exceptions"): SMEP, or NXE with 8-byte entries. */
static void test_fetch_bit(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		const struct facts k = { .nx = i & 1, .smep = i & 2 };
		const bool pae = i & 4, lma = i & 8;
		const struct vmmu_mode mode = legacy_mode(&k, pae ? 1u << 5 : 0, pae && lma ? 1u << 10 : 0);
		const bool told = k.smep || (k.nx && pae);

		assert_int_equal(vmmu_perm_error(&mode, 16), told ? 16 : 0);
		assert_int_equal(vmmu_perm_error(&mode, 4 | 16), 4 | (told ? 16 : 0));
		assert_int_equal(vmmu_perm_error(&mode, 2 | 4), 2 | 4);
		/* Nothing but the kind of the access passes. */
		assert_int_equal(vmmu_perm_error(&mode, ~0ull), 2 | 4 | (told ? 16 : 0));
	}
}

/* Without paging nothing ever faults. */
static void test_no_paging(void **state)
{
	const struct vmmu_regs regs = { .cr0 = 1u << 16, .cr4 = ~0ull, .efer = ~0ull, .maxphyaddr = 36 };
	const struct vmmu_access access = { .pf = 2 | 4 | 16, .pkru = ~0u };
	struct vmmu_mode mode;
	unsigned int acc;

	(void)state;
	vmmu_mode_init_legacy(&mode, &regs);
	for (acc = 0; acc < 16; acc++)
		assert_int_equal(vmmu_perm_check(&mode, acc, 15, &access), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_exhaustive),
		cmocka_unit_test(test_npt_exhaustive),
		cmocka_unit_test(test_ept_exhaustive),
		cmocka_unit_test(test_fetch_bit),
		cmocka_unit_test(test_no_paging),
	};

	return cmocka_run_group_tests_name("format/perm", tests, NULL, NULL);
}
