/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Lists, bits, references, counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/host.h>
#include "base/atomic.h"
#include "base/bits.h"
#include "base/list.h"

static void test_bits(void **state)
{
	(void)state;
	for (int low = 0; low < 64; low++)
		for (int high = low; high < 64; high++) {
			uint64_t bits = 0;

			for (int bit = low; bit <= high; bit++)
				bits |= BIT64(bit);
			assert_true(BITS64(high, low) == bits);
			assert_true(bits64_or_none(high, low) == bits);
			if (high > low)
				assert_true(!bits64_or_none(low, high));
		}
}

static void test_list(void **state)
{
	struct vmmu_list head, node[3];

	(void)state;
	dlist_init(&head);
	assert_true(dlist_is_empty(&head));
	for (int i = 0; i < 3; i++) {
		dlist_init(&node[i]);
		dlist_add_tail(&head, &node[i]);
	}
	assert_ptr_equal(head.next, &node[0]);
	assert_ptr_equal(head.prev, &node[2]);
	dlist_del(&node[1]);
	assert_ptr_equal(node[0].next, &node[2]);
	assert_ptr_equal(node[2].prev, &node[0]);
	/* Once more does nothing. */
	dlist_del(&node[1]);
	assert_ptr_equal(node[0].next, &node[2]);
	dlist_del(&node[0]);
	dlist_del(&node[2]);
	assert_true(dlist_is_empty(&head));
}

static void test_refs(void **state)
{
	uint32_t refs = 1;

	(void)state;
	assert_true(refs_get_unless_zero(&refs));
	assert_int_equal(refs, 2);
	assert_false(refs_put(&refs));
	assert_true(refs_put(&refs));
	assert_false(refs_get_unless_zero(&refs));
	assert_int_equal(refs, 0);
}

static void test_entries(void **state)
{
	uint64_t entry = 5, old = 4;

	(void)state;
	assert_false(pte_try_cas(&entry, &old, 6));
	assert_true(old == 5 && entry == 5);
	assert_true(pte_try_cas(&entry, &old, 6));
	assert_true(pte_load(&entry) == 6);
	assert_true(pte_swap(&entry, 7) == 6 && entry == 7);
	pte_store_private(&entry, 8);
	assert_true(pte_load(&entry) == 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_refs),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
