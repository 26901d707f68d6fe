/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The index of shadow pages: by name, by frame; what is invalid, or mirrors nothing, is not found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/host.h>
#include "page/index.h"
#include "page/page.h"

#define GFN 0x455ull

static struct machine_vm m;
static union vmmu_role mirrors = { .level = 1, .format = VMMU_FORMAT_PT64 }, direct = { .level = 1, .format = VMMU_FORMAT_DIRECT };

static struct vmmu_page *page_of(vmmu_gfn_t gfn, union vmmu_role role)
{
	struct vmmu_page *page = vmmu_page_alloc(&m.vm);

	assert_non_null(page);
	vmmu_page_name(page, gfn, role, NULL);
	return page;
}

static void test_find(void **state)
{
	const struct machine_config config = { .phys_bits = 48, .level = 4, .huge_level_max = 3, .seed = 3 };
	struct vmmu_page *page[4];
	union vmmu_role user = mirrors;

	(void)state;
	user.access = VMMU_ACC_U;
	machine_vm_init(&m, &config);
	assert_int_equal(vmmu_index_prepare(&m.vm), VMMU_OK);
	page[0] = page_of(GFN, mirrors);
	page[1] = page_of(GFN, user);
	page[2] = page_of(GFN, direct);
	assert_null(vmmu_index_first(&m.vm, GFN));
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(vmmu_index_insert(&m.vm, page[i]), page[i]);
	assert_ptr_equal(vmmu_index_find(&m.vm, GFN, mirrors), page[0]);
	assert_ptr_equal(vmmu_index_find(&m.vm, GFN, user), page[1]);
	assert_ptr_equal(vmmu_index_find(&m.vm, GFN, direct), page[2]);
	assert_null(vmmu_index_find(&m.vm, GFN + 1, mirrors));
	/* By frame, a direct page is passed over wherever it stands. */
	assert_ptr_equal(vmmu_index_first(&m.vm, GFN), page[1]);
	assert_ptr_equal(vmmu_index_next(page[1]), page[0]);
	assert_null(vmmu_index_next(page[0]));

	/* There is one of each name. */
	page[3] = page_of(GFN, mirrors);
	assert_ptr_equal(vmmu_index_insert(&m.vm, page[3]), page[0]);
	/* One on its way out makes room for the next before it has left. */
	page[0]->invalid = true;
	assert_null(vmmu_index_find(&m.vm, GFN, mirrors));
	assert_ptr_equal(vmmu_index_insert(&m.vm, page[3]), page[3]);
	assert_ptr_equal(vmmu_index_find(&m.vm, GFN, mirrors), page[3]);
	/* And is found until then by who asks what has to hear of a write. */
	assert_ptr_equal(vmmu_index_first(&m.vm, GFN), page[3]);
	assert_ptr_equal(vmmu_index_next(page[3]), page[1]);
	assert_ptr_equal(vmmu_index_next(page[1]), page[0]);

	for (int i = 0; i < 4; i++) {
		vmmu_index_remove(&m.vm, page[i]);
		vmmu_page_free(page[i]);
	}
	machine_vm_destroy(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_find) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
