/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/*
 * Random tables, random settings, random accesses: the walk and the reference walker agree on the result, on the
 * fault and its stage, on every step, and on every byte of memory afterwards. One and two stages, all formats.
 *
 * VMMU_SEED=n in the environment starts elsewhere; a failure prints the seed of its case, which replays it alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "pair.h"

#define WALKS_PER_MEMORY 60

static uint64_t case_seed;

/* What has been seen, so that a test which stops reaching its subject fails. */
enum seen {
	SEEN_OK, SEEN_LARGE, SEEN_ABSENT, SEEN_RESERVED, SEEN_DENIED, SEEN_KEY, SEEN_OUTER_TABLE, SEEN_OUTER_FINAL,
	SEEN_MISCONFIG, SEEN_FLAGS, SEEN_RACE, SEEN_CLEAN, SEEN_HIGH, SEEN_NR
};
static unsigned long seen[SEEN_NR];

static uint64_t random_page(void)
{
	return often(97) ? rnd() % INNER_PAGES : 40 + rnd() % 8;
}

static uint64_t random_legacy(const struct ref_tables *t)
{
	uint64_t e = bit_often(0, 94) | bit_often(1, 85) | bit_often(2, 85) | bit_often(5, 50) | bit_often(6, 40) |
		     bit_often(7, 12) | (rnd() & 0xf18 & rnd());

	e |= random_page() << 12;
	if (t->kind == REF_32BIT) {
		if (ref_bit(e, 7) && often(80))
			e = (e & 0xfff) | (rnd() & 0xffc00000u) | (rnd() & rnd() & 0x001fe000u);
		return (uint32_t)(often(98) ? e : e ^ 1ull << rnd() % 32);
	}
	if (ref_bit(e, 7)) {
		/* Without its low address bits, so that a large page has no reserved bit; sometimes high ones. */
		e &= often(80) ? ~0x3fffe000ull : ~0ull;
		e |= often(30) ? rnd() & 0xfc0000000ull : 0;
	}
	if (t->nxe)
		e |= bit_often(63, 12);
	if (t->kind == REF_LONG)
		e |= rnd() & 0x7ff0000000000000ull;
	return often(98) ? e : e ^ 1ull << rnd() % 64;
}

static uint64_t random_ept(void)
{
	static const uint8_t rights[] = { 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 5, 5, 3, 3, 1, 4, 0, 2, 6 };
	uint64_t e = rights[rnd() % sizeof(rights)] | bit_often(7, 10) | bit_often(8, 50) | bit_often(9, 40) |
		     (rnd() & 0xfff0000000000c00ull & rnd()) | random_page() << 12;

	if (often(4))
		e |= (rnd() & 7) << 3;
	if (ref_bit(e, 7)) {
		e &= often(80) ? ~0x3ffff000ull : ~0ull;
		e |= often(30) ? rnd() & 0xfc0000000ull : 0;
	}
	return often(98) ? e : e ^ 1ull << rnd() % 64;
}

static void random_tables(void)
{
	const unsigned int bytes = inner.kind == REF_32BIT ? 4 : 8;
	uint64_t at;

	for (at = 0; at < INNER_PAGES * 4096; at += bytes)
		gmem_store(&mem, at, bytes, inner.kind == REF_EPT ? random_ept() : random_legacy(&inner));
	for (at = 0; at < 4; at++)
		pdpte[at] = often(90) ? random_page() << 12 | 1 | (rnd() & 0xe18) : random_legacy(&inner);
}

static void count(const struct vmmu_gwalk *w, const struct ref_result *r, bool wrote)
{
	seen[SEEN_RACE] += w->races != 0;
	seen[SEEN_FLAGS] += wrote;
	if (r->ok) {
		seen[SEEN_OK]++;
		seen[SEEN_LARGE] += r->level > 1;
		seen[SEEN_CLEAN] += w->clean;
		seen[SEEN_HIGH] += r->physical >> 32 != 0;
	} else if (r->stage != REF_OWN) {
		seen[r->stage == REF_OUTER_TABLE ? SEEN_OUTER_TABLE : SEEN_OUTER_FINAL]++;
	} else {
		seen[SEEN_MISCONFIG] += r->misconfig;
		seen[r->error & 8 ? SEEN_RESERVED : !(r->error & 1) ? SEEN_ABSENT : SEEN_DENIED]++;
		seen[SEEN_KEY] += ref_bit(r->error, 5);
	}
}

static void random_case(enum ref_kind kind, bool npt, int outer_kind)
{
	pair_begin(kind, npt, outer_kind);
	random_tables();
	pair_ready();
	for (unsigned int i = 0; i < WALKS_PER_MEMORY; i++)
		pair_walk(rnd() & (inner.levels < 4 ? 0xffffffffull : inner.levels == 4 ? (1ull << 48) - 1 : (1ull << 57) - 1));
}

static void random_cases(enum ref_kind kind, bool npt, int outer_kind, unsigned int cases)
{
	const char *from = getenv("VMMU_SEED");
	unsigned int i;

	memset(seen, 0, sizeof(seen));
	pair_seen = count;
	for (i = 0; i < cases; i++) {
		case_seed = from ? strtoull(from, NULL, 0) : 1000003ull * (i + 1) + (unsigned int)kind * 17 + npt;
		seed = case_seed;
		random_case(kind, npt, outer_kind);
		if (from)
			return;
	}
	assert_true(seen[SEEN_OK] > cases && seen[SEEN_ABSENT] > cases / 10 && seen[SEEN_DENIED] > cases / 10);
	assert_true(seen[SEEN_FLAGS] > cases / 2);
	assert_true(seen[SEEN_LARGE] > (outer_kind < 0 ? cases / 10 : 0));
	assert_true(seen[SEEN_RESERVED] > cases / 20);
	assert_true(seen[SEEN_CLEAN] > cases / 10);
	if (outer_kind >= 0)
		assert_true(seen[SEEN_OUTER_TABLE] > cases / 10 && seen[SEEN_OUTER_FINAL] > cases / 10);
	else
		assert_true(seen[SEEN_HIGH] > cases / 50);
	assert_true(kind != REF_EPT || seen[SEEN_MISCONFIG] > cases / 20);
	assert_true(kind != REF_LONG || npt || seen[SEEN_KEY] > cases / 10);
}

/* cmocka leaves a test by longjmp; its teardown tells which case it was. */
static int say_seed(void **state)
{
	(void)state;
	print_message("last case: VMMU_SEED=%llu\n", (unsigned long long)case_seed);
	return 0;
}

#define CASES 150

static void test_pt32(void **state) { (void)state; random_cases(REF_32BIT, false, -1, CASES); }
static void test_pae(void **state) { (void)state; random_cases(REF_PAE, false, -1, CASES); }
static void test_pt64(void **state) { (void)state; random_cases(REF_LONG, false, -1, CASES); }
static void test_ept(void **state) { (void)state; random_cases(REF_EPT, false, -1, CASES); }
static void test_npt32(void **state) { (void)state; random_cases(REF_32BIT, true, -1, CASES); }
static void test_npt_pae(void **state) { (void)state; random_cases(REF_PAE, true, -1, CASES); }
static void test_npt64(void **state) { (void)state; random_cases(REF_LONG, true, -1, CASES); }
static void test_pt32_on_ept(void **state) { (void)state; random_cases(REF_32BIT, false, REF_EPT, CASES); }
static void test_pae_on_ept(void **state) { (void)state; random_cases(REF_PAE, false, REF_EPT, CASES); }
static void test_pt64_on_ept(void **state) { (void)state; random_cases(REF_LONG, false, REF_EPT, CASES); }
static void test_pt64_on_npt32(void **state) { (void)state; random_cases(REF_LONG, false, REF_32BIT, CASES); }
static void test_pt32_on_npt_pae(void **state) { (void)state; random_cases(REF_32BIT, false, REF_PAE, CASES); }
static void test_pae_on_npt64(void **state) { (void)state; random_cases(REF_PAE, false, REF_LONG, CASES); }
static void test_pt64_on_npt64(void **state) { (void)state; random_cases(REF_LONG, false, REF_LONG, CASES); }

#define RANDOM_TEST(f) cmocka_unit_test_teardown(f, say_seed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RANDOM_TEST(test_pt32), RANDOM_TEST(test_pae), RANDOM_TEST(test_pt64), RANDOM_TEST(test_ept),
		RANDOM_TEST(test_npt32), RANDOM_TEST(test_npt_pae), RANDOM_TEST(test_npt64),
		RANDOM_TEST(test_pt32_on_ept), RANDOM_TEST(test_pae_on_ept), RANDOM_TEST(test_pt64_on_ept),
		RANDOM_TEST(test_pt64_on_npt32), RANDOM_TEST(test_pt32_on_npt_pae), RANDOM_TEST(test_pae_on_npt64),
		RANDOM_TEST(test_pt64_on_npt64),
	};

	return cmocka_run_group_tests_name("walk/gwalk random", tests, NULL, NULL);
}
