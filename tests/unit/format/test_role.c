/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/*
 * Roles are equal exactly where the pages they name are interchangeable: over all combinations of the register bits, the
 * role says what the tables mean and nothing else, and what is below is named by its own place alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <vmmu/role.h>

#define COMBINATIONS (1u << 9)

/* One combination of the bits that count, by number; paging is on. */
static struct vmmu_regs combination(unsigned int i)
{
	return (struct vmmu_regs) {
		.cr0 = 1ull << 31 | (i & 1ull) << 16,
		.cr4 = (i >> 1 & 1ull) << 4 | (i >> 2 & 1ull) << 5 | (i >> 3 & 1ull) << 12 | (i >> 4 & 1ull) << 20 |
		       (i >> 5 & 1ull) << 21 | (i >> 6 & 1ull) << 22,
		.efer = (i >> 7 & 1ull) << 10 | (i >> 8 & 1ull) << 11,
		.maxphyaddr = 40,
		.pse36 = true,
	};
}

/*
 * What an entry's bits mean to a page that mirrors it, by the manuals: two settings with the same word mean the same. How a
 * supervisor gets at user pages counts only where its writes are let through by other rights than the entry's.
 */
static unsigned int meaning(const struct vmmu_regs *r, bool nested)
{
	bool lma = r->efer & 1 << 10, pae = r->cr4 & 1 << 5, wp = r->cr0 & 1 << 16;
	unsigned int shape = lma ? 2 : pae ? 1 : 0, word = shape;

	if (shape)
		word |= (r->efer & 1 << 11 ? 1u : 0) << 2;
	else
		word |= (r->cr4 & 1 << 4 ? 1u : 0) << 3;
	if (nested)
		return word;
	word |= (wp ? 1u : 0) << 4;
	if (!wp)
		word |= (r->cr4 & 1 << 20 ? 1u : 0) << 5 | (r->cr4 & 1 << 21 ? 1u : 0) << 6;
	return word;
}

static void test_equal_means_interchangeable(void **state)
{
	static union vmmu_role legacy[COMBINATIONS], npt[COMBINATIONS];

	(void)state;
	for (unsigned int i = 0; i < COMBINATIONS; i++) {
		const struct vmmu_regs r = combination(i);
		struct vmmu_mode mode;

		vmmu_mode_init_legacy(&mode, &r);
		legacy[i] = vmmu_role_legacy(&mode, 4, 0, false);
		vmmu_mode_init_npt(&mode, &r);
		npt[i] = vmmu_role_npt(&mode, 4, 0);
	}
	for (unsigned int a = 0; a < COMBINATIONS; a++)
		for (unsigned int b = 0; b < COMBINATIONS; b++) {
			const struct vmmu_regs ra = combination(a), rb = combination(b);

			assert_int_equal(vmmu_role_equal(legacy[a], legacy[b]), meaning(&ra, false) == meaning(&rb, false));
			assert_int_equal(vmmu_role_equal(npt[a], npt[b]), meaning(&ra, true) == meaning(&rb, true));
			assert_false(vmmu_role_equal(legacy[a], npt[b]));
		}
}

/* A direct tree has none of the guest's bits, and each of its own. */
static void test_direct(void **state)
{
	union vmmu_role seen[8];

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		seen[i] = vmmu_role_direct(i & 1 ? 5 : 4, i >> 1 & 1, i >> 2 & 1);
		assert_true(vmmu_role_is_direct(seen[i]) && seen[i].access == VMMU_ACC_ALL);
		assert_false(seen[i].nx || seen[i].wp || seen[i].smep_no_wp || seen[i].smap_no_wp || seen[i].pse ||
			     seen[i].ad_off || seen[i].exec_only || seen[i].quadrant);
		for (unsigned int n = 0; n < i; n++)
			assert_false(vmmu_role_equal(seen[i], seen[n]));
	}
}

/* Rights and quarter are those of the way to the page, not of its parent's. */
static void test_children(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < COMBINATIONS; i++) {
		const struct vmmu_regs r = combination(i);
		struct vmmu_mode mode;
		union vmmu_role root, child, below, direct;

		vmmu_mode_init_legacy(&mode, &r);
		root = vmmu_role_legacy(&mode, 4, 1, true);
		child = vmmu_role_child(root, VMMU_ACC_R | VMMU_ACC_W, 3);
		assert_true(child.level == 3 && child.quadrant == 3 && child.access == (VMMU_ACC_R | VMMU_ACC_W));
		below = vmmu_role_child(child, VMMU_ACC_ALL, 1);
		assert_true(below.level == 2 && below.quadrant == 1 && below.access == VMMU_ACC_ALL);
		child.level = below.level;
		child.quadrant = below.quadrant;
		child.access = below.access;
		assert_true(vmmu_role_equal(child, below));

		/* Direct pages below a guest's large page are shared by all who look by the same rules. */
		direct = vmmu_role_child_direct(below, VMMU_ACC_R);
		assert_true(vmmu_role_is_direct(direct) && direct.level == 1 && direct.quadrant == 0 && direct.access == VMMU_ACC_R);
		assert_true(direct.space == 1 && direct.guest_view && direct.wp == root.wp && !direct.pse);
	}
}

/* EPT: by A and D flags and execute-only entries, and by nothing that L2 or L1's registers say. */
static void test_ept(void **state)
{
	union vmmu_role seen[4];

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const struct vmmu_ept_config config = {
			.maxphyaddr = 40, .root_level = 4, .huge_level = 2, .execonly = i & 1, .accessed_dirty = i >> 1,
		};
		struct vmmu_mode mode;

		vmmu_mode_init_ept(&mode, &config);
		seen[i] = vmmu_role_ept(&mode, 4, 0);
		assert_int_equal(seen[i].ad_off, !(i >> 1));
		assert_false(seen[i].nx || seen[i].wp || seen[i].pse || seen[i].quadrant);
		for (unsigned int n = 0; n < i; n++)
			assert_false(vmmu_role_equal(seen[i], seen[n]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_means_interchangeable),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_ept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
