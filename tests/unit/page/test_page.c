/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Table pages and the pool of a vCPU: made whole or not at all, freed after a grace period, given back in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/host.h>
#include "page/page.h"

static struct machine_vm m;

static void begin(void)
{
	const struct machine_config config = {
		.phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 2, .seed = 3
	};

	machine_vm_init(&m, &config);
	machine_vcpu_add(&m);
}

static void end(void)
{
	machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static void test_alloc(void **state)
{
	struct vmmu_page *page;

	(void)state;
	begin();
	page = vmmu_page_alloc(&m.vm);
	assert_non_null(page);
	assert_ptr_equal(machine_table_page(page->table), page);
	assert_ptr_equal(page->vm, &m.vm);
	assert_true(page->link.next == &page->link && page->nx_link.next == &page->nx_link);
	vmmu_page_free(page);
	/* Either half missing: the other one goes back. */
	for (int n = 1; n <= 2; n++) {
		machine_fail_at(n, false);
		assert_null(n == 1 ? vmmu_page_alloc(&m.vm) : vmmu_page_try_alloc(&m.vm));
		machine_fail_at(n, false);
		assert_null(n == 2 ? vmmu_page_alloc(&m.vm) : vmmu_page_try_alloc(&m.vm));
		assert_true(!machine_usage().tables && !machine_usage().pages);
	}
	machine_fail_at(0, false);
	end();
}

static void test_grace(void **state)
{
	struct vmmu_page *page;
	uint64_t hpa;

	(void)state;
	begin();
	page = vmmu_page_alloc(&m.vm);
	vmmu_page_name(page, 0x200, vmmu_role_direct(1, 0, false), NULL);
	assert_true(page->gfn == 0x200 && page->role.level == 1);
	machine_rcu_read_lock();
	vmmu_page_linked(page);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_TABLES_MADE), 1);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_TABLES_NOW), 1);
	assert_int_equal(machine_usage().accounted, 1);
	hpa = machine_table_hpa(page->table);
	vmmu_page_free_after_grace(page);
	assert_int_equal(machine_usage().accounted, 0);
	assert_true(machine_table_is_live(hpa));
	assert_true(page->gfn == 0x200);
	machine_rcu_read_unlock();
	assert_false(machine_table_is_live(hpa));
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_TABLES_FREED), 1);
	m.vm.count[VMMU_C_TABLES_NOW]--;
	end();
}

static void test_pool(void **state)
{
	struct vmmu_page *page;
	struct vmmu_vcpu *v;

	(void)state;
	begin();
	v = &m.vcpu[0]->v;
	for (long n = 1; n <= 2 * VMMU_POOL_PAGES; n++) {
		machine_fail_at(n, false);
		assert_int_equal(vmmu_pool_fill(v), VMMU_ENOMEM);
		assert_int_equal(v->pool.count, (n - 1) / 2);
		vmmu_pool_drain(v);
		assert_true(!machine_usage().tables && !machine_usage().pages);
	}
	machine_fail_at(0, false);
	assert_int_equal(vmmu_pool_fill(v), VMMU_OK);
	assert_int_equal(v->pool.count, VMMU_POOL_PAGES);
	page = vmmu_pool_take(v);
	assert_int_equal(machine_usage().tables, VMMU_POOL_PAGES);
	vmmu_pool_give_back(v, page);
	/* Full: asks for nothing. */
	machine_fail_at(1, true);
	assert_int_equal(vmmu_pool_fill(v), VMMU_OK);
	assert_int_equal(machine_allocations(), 0);
	machine_fail_at(0, false);
	/* What is left in the pool goes with the vCPU. */
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc), cmocka_unit_test(test_grace), cmocka_unit_test(test_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
