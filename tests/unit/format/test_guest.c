/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/* The contract of a guest format, on every format and level: geometry, addresses, rights, flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "format/guest_ept.h"
#include "format/guest_pae.h"
#include "format/guest_pt32.h"
#include "format/guest_pt64.h"

/* A format as the manuals draw it: address bits each level decodes, from level 1 up. */
static const struct shape {
	const struct vmmu_gfmt *f;
	unsigned int entry_bytes;
	int levels;
	unsigned int bits[5];
} shapes[] = {
	{ &vmmu_gfmt_pt32, 4, 2, { 10, 10 } },
	{ &vmmu_gfmt_pae, 8, 3, { 9, 9, 2 } },
	{ &vmmu_gfmt_pt64, 8, 5, { 9, 9, 9, 9, 9 } },
	{ &vmmu_gfmt_ept, 8, 5, { 9, 9, 9, 9, 9 } },
};
#define FOR_EACH_SHAPE(s) for (s = shapes; s < shapes + sizeof(shapes) / sizeof(shapes[0]); s++)

static void test_geometry(void **state)
{
	const struct shape *s;

	(void)state;
	FOR_EACH_SHAPE(s) {
		unsigned int shift = 12;
		int level;

		for (level = 1; level <= s->levels; shift += s->bits[level - 1], level++) {
			const unsigned int slots = 1u << s->bits[level - 1];
			unsigned int i;

			assert_int_equal(gfmt_frames_lg2(s->f, level), shift - 12);
			for (i = 0; i < slots; i++) {
				const uint64_t first = (uint64_t)i << shift, last = first + (1ull << shift) - 1;

				assert_int_equal(gfmt_index(s->f, level, first), i);
				assert_int_equal(gfmt_index(s->f, level, last), i);
				/* Address bits above the level do not count. */
				assert_int_equal(gfmt_index(s->f, level, last | ~0ull << (shift + s->bits[level - 1])), i);
				assert_int_equal(gfmt_offset(s->f, i), i * s->entry_bytes);
			}
			assert_true(gfmt_offset(s->f, slots - 1) + s->entry_bytes <= 4096);
		}
	}
}

/* A page of any size: its own frames and the place of an address inside it. */
static void test_leaf_frames(void **state)
{
	const struct shape *s;

	(void)state;
	FOR_EACH_SHAPE(s) {
		const uint64_t pages[] = { 0, 0x40000000ull, 0xc0000000ull, 0x7fc0000000ull, 0xfffffc0000000ull };
		const uint64_t va = 0x12345678;
		const int top = s->f == &vmmu_gfmt_pt32 || s->f == &vmmu_gfmt_pae ? 2 : 3;
		unsigned int i;
		int level;

		for (level = 1; level <= top; level++)
			for (i = 0; i < 5; i++) {
				const uint64_t size = 4096ull << gfmt_frames_lg2(s->f, level);
				const uint64_t base = s->entry_bytes == 4 ? (uint32_t)pages[i] : pages[i];
				/* Every bit that is no address, and bit 12 of a large page, must not matter. */
				const uint64_t noise = 0x1ff | (s->entry_bytes == 8 ? 0xfffull << 52 : 0) | (level > 1 ? 4096 : 0);

				assert_true(gfmt_leaf_gfn(s->f, level, base | noise) == base >> 12);
				assert_true(gfmt_leaf_gfn_at(s->f, level, base | noise, va) == (base + va % size) >> 12);
				assert_true(gfmt_table(s->f, base | (noise & ~4096ull)) == base);
			}
	}
	/* Each of the eight high bits of a 4 MiB page by itself. */
	for (int bit = 0; bit < 8; bit++)
		assert_true(gfmt_leaf_gfn(&vmmu_gfmt_pt32, 2, 1ull << (13 + bit) | 0x87) == 1ull << (32 - 12 + bit));
	assert_true(gfmt_leaf_gfn(&vmmu_gfmt_pt32, 1, 1ull << 13 | 7) == 2);
}

static unsigned int acc(bool r, bool w, bool u, bool x)
{
	return (r ? VMMU_ACC_R : 0) | (w ? VMMU_ACC_W : 0) | (u ? VMMU_ACC_U : 0) | (x ? VMMU_ACC_X : 0);
}

static void test_rights(void **state)
{
	unsigned int low, nx;

	(void)state;
	for (low = 0; low < 4096; low++)
		for (nx = 0; nx < 2; nx++) {
			const uint64_t e = low | (uint64_t)nx << 63;

			assert_int_equal(gfmt_access(&vmmu_gfmt_pt64, 1, e), acc(true, low & 2, low & 4, !nx));
			assert_int_equal(gfmt_access(&vmmu_gfmt_pt64, 5, e), acc(true, low & 2, low & 4, !nx));
			assert_int_equal(gfmt_access(&vmmu_gfmt_pae, 2, e), acc(true, low & 2, low & 4, !nx));
			assert_int_equal(gfmt_access(&vmmu_gfmt_pae, 3, e), VMMU_ACC_ALL);
			assert_int_equal(gfmt_access(&vmmu_gfmt_ept, 4, e), acc(low & 1, low & 2, true, low & 4));
			assert_int_equal(gfmt_access(&vmmu_gfmt_pt32, 2, low), acc(true, low & 2, low & 4, true));
			assert_int_equal(gfmt_is_present(&vmmu_gfmt_pt64, e), low & 1);
			assert_int_equal(gfmt_is_present(&vmmu_gfmt_pae, e), low & 1);
			assert_int_equal(gfmt_is_present(&vmmu_gfmt_pt32, low), low & 1);
			assert_int_equal(gfmt_is_present(&vmmu_gfmt_ept, e), (low & 7) != 0);
		}
}

static void test_flags_and_leaves(void **state)
{
	struct vmmu_mode m = { .accessed_dirty = true, .huge_levels = 1 << 3, .pke = true };
	unsigned int key;

	(void)state;
	assert_int_equal(gfmt_accessed(&vmmu_gfmt_pt64, &m, 5), 1 << 5);
	assert_int_equal(gfmt_accessed(&vmmu_gfmt_pae, &m, 2), 1 << 5);
	assert_int_equal(gfmt_accessed(&vmmu_gfmt_pae, &m, 3), 0);
	assert_int_equal(gfmt_accessed(&vmmu_gfmt_pt32, &m, 2), 1 << 5);
	assert_int_equal(gfmt_accessed(&vmmu_gfmt_ept, &m, 1), 1 << 8);
	assert_int_equal(gfmt_dirty(&vmmu_gfmt_pt32, &m), 1 << 6);
	assert_int_equal(gfmt_dirty(&vmmu_gfmt_ept, &m), 1 << 9);

	assert_true(gfmt_is_leaf(&m, 1, 0) && gfmt_is_leaf(&m, 1, 1 << 7) && gfmt_is_leaf(&m, 3, 1 << 7));
	assert_false(gfmt_is_leaf(&m, 2, 1 << 7) || gfmt_is_leaf(&m, 3, ~(1ull << 7)) || gfmt_is_leaf(&m, 4, 1 << 7));

	for (key = 0; key < 16; key++) {
		assert_int_equal(gfmt_key(&vmmu_gfmt_pt64, &m, (uint64_t)key << 59 | 1ull << 63 | 0x7ffffffffffffffull), key);
		assert_int_equal(gfmt_key(&vmmu_gfmt_pae, &m, (uint64_t)key << 59), 0);
	}
	m.pke = false;
	m.accessed_dirty = false;
	assert_int_equal(gfmt_key(&vmmu_gfmt_pt64, &m, ~0ull), 0);
	assert_int_equal(gfmt_accessed(&vmmu_gfmt_ept, &m, 1) | gfmt_dirty(&vmmu_gfmt_ept, &m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_leaf_frames),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_flags_and_leaves),
	};

	return cmocka_run_group_tests_name("format/guest", tests, NULL, NULL);
}
