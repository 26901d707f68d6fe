/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/* Modes are functions of their arguments: right format, nothing left over, nothing that should not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vmmu/mode.h>

static void assert_same_mode(const struct vmmu_mode *a, const struct vmmu_mode *b)
{
	assert_int_equal(a->format, b->format);
	assert_int_equal(a->root_level, b->root_level);
	assert_int_equal(a->huge_levels, b->huge_levels);
	assert_int_equal(a->nested, b->nested);
	assert_int_equal(a->wp, b->wp);
	assert_int_equal(a->nx, b->nx);
	assert_int_equal(a->smep, b->smep);
	assert_int_equal(a->smap, b->smap);
	assert_int_equal(a->pke, b->pke);
	assert_int_equal(a->pse, b->pse);
	assert_int_equal(a->user_always, b->user_always);
	assert_int_equal(a->accessed_dirty, b->accessed_dirty);
	assert_int_equal(a->execonly, b->execonly);
	assert_memory_equal(a->perm.fault, b->perm.fault, sizeof(a->perm.fault));
	assert_int_equal(a->perm.pkru_mask, b->perm.pkru_mask);
	assert_memory_equal(a->rsvd.mask, b->rsvd.mask, sizeof(a->rsvd.mask));
	assert_true(a->rsvd.bad_ept == b->rsvd.bad_ept);
}

/* One combination of the bits that count, by number. */
static struct vmmu_regs combination(unsigned int i)
{
	const uint64_t pg = i & 1, wp = (i >> 1) & 1, pse = (i >> 2) & 1, pae = (i >> 3) & 1, la57 = (i >> 4) & 1;
	const uint64_t smep = (i >> 5) & 1, smap = (i >> 6) & 1, pke = (i >> 7) & 1, lma = (i >> 8) & 1, nxe = (i >> 9) & 1;

	return (struct vmmu_regs) {
		.cr0 = pg << 31 | wp << 16,
		.cr4 = pse << 4 | pae << 5 | la57 << 12 | smep << 20 | smap << 21 | pke << 22,
		.efer = lma << 10 | nxe << 11,
		.maxphyaddr = 40,
		.gbpages = (i >> 10) & 1,
		.pse36 = true,
	};
}
#define COMBINATIONS (1u << 11)

/* The table of "Paging Modes" in the SDM, and the CPU bits that act in each. */
static void test_format_choice(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < COMBINATIONS; i++) {
		const struct vmmu_regs r = combination(i);
		const bool pg = i & 1, pse = i & 4, pae = i & 8, la57 = i & 16, lma = i & 256, nxe = i & 512, gb = i & 1024;
		enum vmmu_format want, want_npt;
		struct vmmu_mode m, n;
		int levels;

		if (lma)
			want = VMMU_FORMAT_PT64, want_npt = VMMU_FORMAT_NPT64, levels = la57 ? 5 : 4;
		else if (pae)
			want = VMMU_FORMAT_PAE, want_npt = VMMU_FORMAT_NPT_PAE, levels = 3;
		else
			want = VMMU_FORMAT_PT32, want_npt = VMMU_FORMAT_NPT32, levels = 2;

		vmmu_mode_init_npt(&n, &r);
		assert_int_equal(n.format, want_npt);
		assert_int_equal(n.root_level, levels);
		assert_true(n.user_always && n.accessed_dirty);
		assert_false(n.wp || n.smap || n.pke);
		assert_int_equal(n.smep, (i >> 5) & 1);
		assert_int_equal(n.nx, nxe && levels > 2);

		vmmu_mode_init_legacy(&m, &r);
		if (!pg) {
			const struct vmmu_mode none = { .format = VMMU_FORMAT_NONE };

			assert_same_mode(&m, &none);
			continue;
		}
		assert_int_equal(m.format, want);
		assert_int_equal(m.root_level, levels);
		assert_int_equal(m.nx, nxe && levels > 2);
		assert_int_equal(m.pke, (i & 128) && lma);
		assert_int_equal(m.pse, pse && levels == 2);
		assert_int_equal(m.huge_levels, levels == 2 ? (pse ? 4 : 0) : levels == 3 ? 4 : gb ? 12 : 4);
		assert_int_equal(m.nested, VMMU_NESTED_NONE);
		assert_true(m.accessed_dirty && !m.user_always);
		assert_int_equal(n.huge_levels, m.huge_levels);
	}
}

/* What the memory held before, and register bits that mean nothing here, do not matter. */
static void test_from_zero(void **state)
{
	const uint64_t cr0_used = 1ull << 31 | 1u << 16;
	const uint64_t cr4_used = 1u << 4 | 1u << 5 | 1u << 12 | 1u << 20 | 1u << 21 | 1u << 22;
	const uint64_t efer_used = 1u << 10 | 1u << 11;
	unsigned int i;

	(void)state;
	for (i = 0; i < COMBINATIONS; i++) {
		const struct vmmu_regs r = combination(i);
		struct vmmu_regs noisy = r;
		struct vmmu_mode a, b;

		noisy.cr0 |= ~cr0_used;
		noisy.cr4 |= ~cr4_used;
		noisy.efer |= ~efer_used;
		memset(&a, 0, sizeof(a));
		memset(&b, 0xff, sizeof(b));
		vmmu_mode_init_legacy(&a, &r);
		vmmu_mode_init_legacy(&b, &noisy);
		assert_same_mode(&a, &b);

		noisy.cr0 = ~r.cr0;	/* CR0.PG is assumed and CR0.WP has no meaning */
		noisy.cr4 ^= 1u << 21 | 1u << 22;
		memset(&b, 0xa5, sizeof(b));
		vmmu_mode_init_npt(&a, &r);
		vmmu_mode_init_npt(&b, &noisy);
		assert_same_mode(&a, &b);
	}
}

/* Refreshing CR0.WP gives the mode that a new start would, and leaves what WP does not concern. */
static void test_set_wp(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < COMBINATIONS; i++) {
		struct vmmu_regs r = combination(i);
		const bool wp = !(r.cr0 & 1u << 16);
		struct vmmu_mode m, fresh, npt, before;

		vmmu_mode_init_legacy(&m, &r);
		m.nested = VMMU_NESTED_WRITE;
		r.cr0 ^= 1u << 16;
		vmmu_mode_init_legacy(&fresh, &r);
		fresh.nested = VMMU_NESTED_WRITE;
		vmmu_mode_set_wp(&m, wp);
		assert_same_mode(&m, &fresh);
		vmmu_mode_set_wp(&m, wp);
		assert_same_mode(&m, &fresh);

		vmmu_mode_init_npt(&npt, &r);
		before = npt;
		vmmu_mode_set_wp(&npt, true);
		assert_same_mode(&npt, &before);
	}
}

static void test_ept(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 24; i++) {
		const struct vmmu_ept_config c = {
			.maxphyaddr = 46,
			.root_level = i & 1 ? 5 : 4,
			.execonly = i & 2,
			.accessed_dirty = i & 4,
			.huge_level = (uint8_t)(1 + i / 8),
		};
		struct vmmu_mode a, b;

		memset(&a, 0xff, sizeof(a));
		memset(&b, 0, sizeof(b));
		vmmu_mode_init_ept(&a, &c);
		vmmu_mode_init_ept(&b, &c);
		assert_same_mode(&a, &b);
		assert_int_equal(a.format, VMMU_FORMAT_EPT);
		assert_int_equal(a.root_level, c.root_level);
		assert_int_equal(a.execonly, c.execonly);
		assert_int_equal(a.accessed_dirty, c.accessed_dirty);
		assert_int_equal(a.huge_levels, c.huge_level == 1 ? 0 : c.huge_level == 2 ? 4 : 12);
		assert_false(a.wp || a.nx || a.smep || a.smap || a.pke || a.pse || a.user_always);
		vmmu_mode_set_wp(&a, true);
		assert_same_mode(&a, &b);
	}
}

/* Combination @i with one thing changed: a bit of those that count, an argument that combinations leave alone, or nothing. */
static struct vmmu_regs changed(unsigned int i, unsigned int what)
{
	struct vmmu_regs r = combination(what < 11 ? i ^ 1u << what : i);

	r.reserved_gpa_bits ^= what == 11 ? 1ull << 47 : 0;
	r.maxphyaddr ^= what == 12 ? 4 : 0;
	r.pse36 ^= what == 13;
	r.amd ^= what == 14;
	r.cr0 ^= what == 15 ? 1u << 3 : 0;
	return r;
}

static void follow(struct vmmu_mode *legacy, struct vmmu_mode *npt, struct vmmu_regs last[2], const struct vmmu_regs *r)
{
	struct vmmu_mode fresh;

	vmmu_mode_update_legacy(legacy, &last[0], r);
	vmmu_mode_init_legacy(&fresh, r);
	assert_same_mode(legacy, &fresh);
	vmmu_mode_update_npt(npt, &last[1], r);
	vmmu_mode_init_npt(&fresh, r);
	assert_same_mode(npt, &fresh);
}

/* A mode that follows its registers is what a new one would be, whatever it was made from before. */
static void test_update(void **state)
{
	struct vmmu_mode legacy = { .format = VMMU_FORMAT_NONE }, npt = { .format = VMMU_FORMAT_NONE };
	struct vmmu_regs last[2] = { { 0 } };
	unsigned int i, what;

	(void)state;
	for (i = 0; i < COMBINATIONS; i++) {
		for (what = 0; what < 16; what++) {
			const struct vmmu_regs before = combination(i), after = changed(i, what);

			follow(&legacy, &npt, last, &before);
			follow(&legacy, &npt, last, &after);
		}
	}
}

/* CR0.WP came by the way of a guest that may write it without an exit, between two updates. */
static void test_update_after_set_wp(void **state)
{
	struct vmmu_mode m = { .format = VMMU_FORMAT_NONE }, fresh;
	struct vmmu_regs last = { 0 }, r = combination(COMBINATIONS - 1);

	(void)state;
	vmmu_mode_update_legacy(&m, &last, &r);
	vmmu_mode_set_wp(&m, false);
	vmmu_mode_update_legacy(&m, &last, &r);
	vmmu_mode_init_legacy(&fresh, &r);
	assert_same_mode(&m, &fresh);
}

/* What is not made from the registers stays as long as they do. */
static void test_update_leaves_nested(void **state)
{
	struct vmmu_mode m = { .format = VMMU_FORMAT_NONE };
	struct vmmu_regs last = { 0 }, r = combination(COMBINATIONS - 1);

	(void)state;
	vmmu_mode_update_legacy(&m, &last, &r);
	m.nested = VMMU_NESTED_WRITE;
	vmmu_mode_update_legacy(&m, &last, &r);
	assert_int_equal(m.nested, VMMU_NESTED_WRITE);
}

static void test_update_ept(void **state)
{
	struct vmmu_mode m = { .format = VMMU_FORMAT_NONE }, fresh;
	struct vmmu_ept_config last = { 0 };
	unsigned int i;

	(void)state;
	/* Back and forth between each and what one bit makes of it. */
	for (i = 0; i < 128 * 7 * 2; i++) {
		const unsigned int n = i / 14 ^ (i & 1 ? 1u << i / 2 % 7 : 0);
		const struct vmmu_ept_config c = {
			.reserved_gpa_bits = n & 1 ? 1ull << 47 : 0,
			.maxphyaddr = n & 2 ? 46 : 40,
			.root_level = n & 4 ? 5 : 4,
			.execonly = n & 8,
			.accessed_dirty = n & 16,
			.huge_level = (uint8_t)(1 + (n >> 5) % 3),
		};

		vmmu_mode_update_ept(&m, &last, &c);
		vmmu_mode_init_ept(&fresh, &c);
		assert_same_mode(&m, &fresh);
	}
}

static void test_names(void **state)
{
	int i, k;

	(void)state;
	assert_true(VMMU_FORMAT_COUNT <= 16);
	for (i = 0; i < VMMU_FORMAT_COUNT; i++) {
		assert_non_null(vmmu_format_name(i));
		assert_true(strcmp(vmmu_format_name(i), "?"));
		for (k = 0; k < i; k++)
			assert_true(strcmp(vmmu_format_name(i), vmmu_format_name(k)));
	}
	assert_string_equal(vmmu_format_name(VMMU_FORMAT_COUNT), "?");
	assert_string_equal(vmmu_format_name((enum vmmu_format)-1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_choice),
		cmocka_unit_test(test_from_zero),
		cmocka_unit_test(test_set_wp),
		cmocka_unit_test(test_ept),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_update_after_set_wp),
		cmocka_unit_test(test_update_leaves_nested),
		cmocka_unit_test(test_update_ept),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("format/mode", tests, NULL, NULL);
}
