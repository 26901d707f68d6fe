/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Large pages: where they are used, what splits them, what brings them back, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

#define START	0x400ull	/* three large pages and a bit */
#define FRAMES	0x610ull

static struct machine_vm m;

static void begin(bool nx)
{
	const struct machine_config config = {
		.ept = true, .ad = true, .phys_bits = 46, .level = 4, .huge_level_max = 3, .root_cache = 2, .seed = 5,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_vcpu_add(&m);
	m.vm.nx_huge_pages = nx;
	machine_change(&m, START, START + 0x600, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
}

static void end(void)
{
	audit(&m);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static void access(vmmu_gfn_t gfn, uint64_t pf)
{
	assert_int_equal(machine_access(m.vcpu[0], gfn << VMMU_PAGE_SHIFT, pf, 40), MACHINE_ACCESS_DONE);
}

static long large(vmmu_gfn_t gfn) { return audit_leaves(&m, 0, gfn, gfn + 1, VMMU_LEVEL_2M); }
static uint64_t splits(void) { return vmmu_counter_read(&m.vm, VMMU_C_NX_SPLITS_NOW); }

static void with_slot(void (*run)(struct vmmu_slot *slot))
{
	machine_slots_read_lock(&m);
	run(machine_slot(&m, 0, 0));
	machine_slots_read_unlock(&m);
}

static void collapse(struct vmmu_slot *slot) { vmmu_collapse_slot(&m.vm, slot); }
static void split_first(struct vmmu_slot *slot) { vmmu_split_range(&m.vm, slot, START + 1, START + 2, VMMU_LEVEL_4K); }
static void recover_one(struct vmmu_slot *slot) { (void)slot; vmmu_nx_recover(&m.vm, 1); }

static bool gone(vmmu_gfn_t gfn) { return !audit_leaves(&m, 0, gfn, gfn + 1, VMMU_LEVEL_4K); }

static void test_split_and_back(void **state)
{
	(void)state;
	begin(false);
	access(START, VMMU_PF_W);
	access(START + 0x200, VMMU_PF_W);
	/* Beyond the last whole large page the slot has small ones only. */
	access(START + 0x600, VMMU_PF_W);
	assert_int_equal(large(START), 1);
	assert_int_equal(large(START + 0x600), 0);
	with_slot(split_first);
	assert_int_equal(large(START), 0);
	assert_int_equal(large(START + 0x200), 1);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_SPLITS), 1);
	with_slot(collapse);
	assert_true(gone(START));
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_COLLAPSES), 1);
	access(START + 5, 0);
	assert_int_equal(large(START), 1);
	end();
}

static void split_all(struct vmmu_slot *slot) { vmmu_split_range(&m.vm, slot, slot->start, slot->end, VMMU_LEVEL_4K); }

/* A split that finds no memory at once waits for some, and goes on where it was. */
static void test_split_goes_on(void **state)
{
	(void)state;
	for (long n = 1; n <= 6; n++) {
		begin(false);
		for (vmmu_gfn_t gfn = START; gfn < START + 0x600; gfn += 0x200)
			access(gfn, VMMU_PF_W);
		assert_int_equal(audit_leaves(&m, 0, START, START + FRAMES, VMMU_LEVEL_2M), 3);
		machine_fail_at(n, false);
		with_slot(split_all);
		assert_int_equal(machine_failures(), 1);
		machine_fail_at(0, false);
		assert_int_equal(audit_leaves(&m, 0, START, START + FRAMES, VMMU_LEVEL_2M), 0);
		end();
	}
}

/* What is small since code runs there stays so, but for the recovery, which begins with the oldest. */
static void test_nx(void **state)
{
	(void)state;
	begin(true);
	access(START, VMMU_PF_W);
	assert_int_equal(large(START), 1);
	access(START + 0x207, VMMU_PF_F);
	access(START + 7, VMMU_PF_F);
	assert_int_equal(large(START), 0);
	assert_int_equal(large(START + 0x207), 0);
	assert_int_equal(splits(), 2);
	with_slot(collapse);
	assert_false(gone(START + 7));
	assert_int_equal(splits(), 2);
	/* Reads and writes do not bring the large page back. */
	access(START + 8, VMMU_PF_W);
	assert_int_equal(large(START), 0);
	with_slot(recover_one);
	assert_int_equal(splits(), 1);
	assert_true(gone(START + 0x207));
	assert_false(gone(START + 7));
	access(START + 0x200, 0);
	assert_int_equal(large(START + 0x200), 1);
	with_slot(recover_one);
	with_slot(recover_one);
	assert_int_equal(splits(), 0);
	assert_true(gone(START + 7));
	end();
}

/* While writes are logged pages are small anyway: recovery forgets about them. */
static void test_nx_while_logging(void **state)
{
	(void)state;
	begin(true);
	access(START + 7, VMMU_PF_F);
	machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN);
	with_slot(recover_one);
	assert_int_equal(splits(), 0);
	assert_false(gone(START + 7));
	machine_log_stop(&m, 0, 0);
	assert_true(gone(START + 7));
	end();
}

/* A tracked frame keeps its surroundings small and is never writable. */
static void test_tracked(void **state)
{
	(void)state;
	begin(false);
	access(START + 3, VMMU_PF_W);
	machine_track(&m, START + 3, true);
	assert_int_equal(machine_access(m.vcpu[0], (START + 3) << 12, VMMU_PF_W, 40), MACHINE_ACCESS_EMULATED);
	access(START + 4, VMMU_PF_W);
	assert_int_equal(large(START), 0);
	machine_track(&m, START + 3, false);
	access(START + 3, VMMU_PF_W);
	end();
}

/* The count of a tracked frame is in one space's slot: what the other space maps around it has to be small as well. */
static void test_tracked_in_other_space(void **state)
{
	struct machine_vcpu *smm;

	(void)state;
	begin(false);
	machine_slot_add(&m, 1, 0, START, FRAMES, START, false);
	smm = machine_vcpu_add(&m);
	machine_vcpu_switch(smm, 1, false, 4);
	assert_int_equal(machine_access(smm, (START + 4) << 12, VMMU_PF_W, 40), MACHINE_ACCESS_DONE);
	machine_track(&m, START + 3, true);
	assert_int_equal(machine_access(smm, (START + 4) << 12, VMMU_PF_W, 40), MACHINE_ACCESS_DONE);
	assert_int_equal(machine_access(smm, (START + 3) << 12, VMMU_PF_W, 40), MACHINE_ACCESS_EMULATED);
	assert_int_equal(audit_leaves(&m, 1, START, START + 1, VMMU_LEVEL_2M), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_and_back),
		cmocka_unit_test(test_split_goes_on),
		cmocka_unit_test(test_nx),
		cmocka_unit_test(test_nx_while_logging),
		cmocka_unit_test(test_tracked),
		cmocka_unit_test(test_tracked_in_other_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
