/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Roots and the cache of a context: found by identity, in order of use, kept by references, never when obsolete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

static struct machine_vm m;

static void begin(unsigned int cache, unsigned int vcpus)
{
	const struct machine_config config = {
		.phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = (uint8_t)cache, .seed = 1,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, 0x10, 0x90, 0x10, false);
	machine_slot_add(&m, 1, 0, 0x10, 0x90, 0x10, false);
	while (vcpus--)
		machine_vcpu_add(&m);
}

static void end(void)
{
	audit(&m);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

/* Eight identities: levels 4 and 5, two address spaces, with and without a nested guest's view. */
static union vmmu_role role(unsigned int i)
{
	return vmmu_role_direct(4 + (i >> 2 & 1), i & 1, i >> 1 & 1);
}

static uint64_t count(enum vmmu_counter c) { return vmmu_counter_read(&m.vm, c); }

static struct vmmu_context *context(void) { return &m.vcpu[0]->v.l1; }

static enum vmmu_switch go(unsigned int i)
{
	enum vmmu_switch found = vmmu_context_switch(&m.vcpu[0]->v, context(), role(i), 0);

	if (found == VMMU_SWITCH_MISS) {
		assert_null(context()->root.page);
		assert_true(vmmu_root_hpa(context()) == VMMU_HPA_INVALID && vmmu_root_is_obsolete(context()));
		assert_int_equal(vmmu_root_load(&m.vcpu[0]->v), VMMU_OK);
	}
	assert_true(vmmu_role_equal(context()->root.page->role, role(i)));
	assert_false(vmmu_root_is_obsolete(context()));
	return found;
}

/* Against a list: what was used last comes first, what is beyond the size is gone. */
static void test_order(void **state)
{
	uint64_t random = 77;

	(void)state;
	for (unsigned int size = 0; size <= 9; size++) {
		unsigned int used[8], n = 0, steps = 400;
		uint64_t hits = 0;

		begin(size, 1);
		machine_vcpu_switch(m.vcpu[0], 0, false, 4);
		vmmu_root_drop_current(&m.vcpu[0]->v, context());
		while (steps--) {
			unsigned int want = (unsigned int)machine_random_below(&random, 8), at;
			enum vmmu_switch expected;

			for (at = 0; at < n && used[at] != want; at++)
				;
			expected = at == n ? VMMU_SWITCH_MISS : at ? VMMU_SWITCH_HIT : VMMU_SWITCH_SAME;
			assert_int_equal(go(want), expected);
			hits += expected == VMMU_SWITCH_HIT;
			for (unsigned int i = at < n ? at : n; i; i--)
				used[i < 8 ? i : 7] = used[i - 1];
			used[0] = want;
			if (at == n)
				n++;
			/* The current one and @size beside it. */
			n = n > size + 1 ? size + 1 : n;
			assert_int_equal(context()->cached, n - 1);
			for (unsigned int i = 1; i < n; i++)
				assert_true(vmmu_role_equal(context()->cache[i - 1].page->role, role(used[i])));
			audit(&m);
		}
		assert_int_equal(count(VMMU_C_ROOTS_HIT), hits);
		/* A root stays while the VM does, so that none is built twice. */
		assert_int_equal(count(VMMU_C_ROOTS_BUILT), 8);
		assert_int_equal(count(VMMU_C_ROOTS_MISS_COLD), 8);
		end();
	}
}

static void test_shared(void **state)
{
	(void)state;
	begin(4, 2);
	assert_int_equal(machine_vcpu_load(m.vcpu[0]), VMMU_OK);
	assert_int_equal(machine_vcpu_load(m.vcpu[1]), VMMU_OK);
	assert_ptr_equal(m.vcpu[0]->v.l1.root.page, m.vcpu[1]->v.l1.root.page);
	assert_int_equal(count(VMMU_C_ROOTS_BUILT), 1);
	assert_int_equal(count(VMMU_C_ROOTS_SHARED), 1);
	/* A vCPU that goes keeps what it had counted. */
	machine_vcpu_remove(&m);
	assert_int_equal(count(VMMU_C_ROOTS_SHARED), 1);
	end();
}

static void test_obsolete(void **state)
{
	(void)state;
	begin(4, 2);
	for (unsigned int i = 0; i < 4; i++)
		go(i);
	assert_int_equal(machine_vcpu_load(m.vcpu[1]), VMMU_OK);
	vmmu_zap_all_fast(&m.vm);
	assert_true(vmmu_root_is_obsolete(context()));
	audit(&m);

	/* Not found while it is remembered, current or cached; what is obsolete as it goes out of use is not remembered at all. */
	assert_int_equal(vmmu_context_switch(&m.vcpu[0]->v, context(), role(3), 0), VMMU_SWITCH_MISS);
	assert_int_equal(vmmu_context_switch(&m.vcpu[0]->v, context(), role(2), 0), VMMU_SWITCH_MISS);
	assert_int_equal(vmmu_root_load(&m.vcpu[0]->v), VMMU_OK);
	assert_false(vmmu_root_is_obsolete(context()));
	assert_int_equal(count(VMMU_C_ROOTS_MISS_OBSOLETE), 1);
	assert_false(vmmu_roots_drop_obsolete(&m.vcpu[0]->v, context()));
	assert_int_equal(context()->cached, 0);
	assert_true(vmmu_roots_drop_obsolete(&m.vcpu[1]->v, &m.vcpu[1]->v.l1));
	assert_null(m.vcpu[1]->v.l1.root.page);
	/* Dropped by all, freed: what is left is the new one. */
	assert_int_equal(machine_usage().accounted, 1);
	go(3);
	assert_int_equal(count(VMMU_C_ROOTS_MISS_OBSOLETE), 2);
	end();
}

static void test_drop(void **state)
{
	(void)state;
	begin(8, 1);
	for (unsigned int i = 0; i < 5; i++)
		go(i);
	/* Cached: 3 2 1 0, most recent first. */
	vmmu_root_drop_cached_one(&m.vcpu[0]->v, context(), 1);
	vmmu_root_drop_cached_one(&m.vcpu[0]->v, context(), 7);
	assert_int_equal(context()->cached, 3);
	assert_true(vmmu_role_equal(context()->cache[0].page->role, role(3)));
	assert_true(vmmu_role_equal(context()->cache[1].page->role, role(1)));
	audit(&m);
	vmmu_root_drop_current(&m.vcpu[0]->v, context());
	assert_true(vmmu_root_hpa(context()) == VMMU_HPA_INVALID);
	/* A hit without a current root takes the entry out of the cache. */
	assert_int_equal(go(1), VMMU_SWITCH_HIT);
	assert_int_equal(context()->cached, 2);
	vmmu_roots_drop_cached(&m.vcpu[0]->v, context());
	assert_int_equal(context()->cached, 0);
	audit(&m);
	end();
}

/* Nothing is built twice, and the size that a host asks for is bounded. */
static void test_limits(void **state)
{
	(void)state;
	begin(255, 1);
	assert_int_equal(m.vm.params.root_cache, VMMU_ROOT_CACHE_MAX);
	machine_fail_at(1, true);
	assert_int_equal(vmmu_context_switch(&m.vcpu[0]->v, context(), role(1), 0), VMMU_SWITCH_MISS);
	assert_int_equal(vmmu_root_load(&m.vcpu[0]->v), VMMU_ENOMEM);
	assert_null(context()->root.page);
	machine_fail_at(0, false);
	assert_int_equal(vmmu_root_load(&m.vcpu[0]->v), VMMU_OK);
	end();
}

static void test_names(void **state)
{
	(void)state;
	for (int c = 0; c < VMMU_C_NR; c++) {
		assert_non_null(vmmu_counter_name((enum vmmu_counter)c));
		for (int other = 0; other < c; other++)
			assert_string_not_equal(vmmu_counter_name((enum vmmu_counter)c),
						vmmu_counter_name((enum vmmu_counter)other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_shared), cmocka_unit_test(test_obsolete),
		cmocka_unit_test(test_drop), cmocka_unit_test(test_limits), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
