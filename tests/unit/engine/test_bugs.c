/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Bugs that other hypervisors' MMUs had on direct tables, each played through here: see docs/bugs.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/memory.h>
#include "../../support/audit.h"

/* A slot that begins and ends in the middle of large pages. */
#define START	0x4f5ull
#define FRAMES	0x700ull
#define LAST	(START + FRAMES - 1)
#define INSIDE	0x800ull		/* a large page */
#define FAR	(5ull << 27)		/* other entries of the root than the slot's */
#define NOTHING	0x10ull

static struct machine_vm m;
static struct machine_vcpu *c;

static const struct machine_config legacy = { .phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 2, .seed = 3 };
static const struct machine_config pml = {
	.ept = true, .ad = true, .pml = true, .phys_bits = 46, .level = 4, .huge_level_max = 2, .root_cache = 2, .seed = 3,
};

static void begin(const struct machine_config *config)
{
	machine_vm_init(&m, config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	c = machine_vcpu_add(&m);
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
	assert_int_equal(machine_access(c, gfn << VMMU_PAGE_SHIFT, pf, 40), MACHINE_ACCESS_DONE);
}

static void with_slot(void (*run)(struct vmmu_slot *slot))
{
	machine_slots_read_lock(&m);
	run(machine_slot(&m, 0, 0));
	machine_slots_read_unlock(&m);
}

static void split(struct vmmu_slot *slot) { vmmu_split_range(&m.vm, slot, slot->start, slot->end, VMMU_LEVEL_4K); }
static void collapse(struct vmmu_slot *slot) { vmmu_collapse_slot(&m.vm, slot); }

/* Large pages that stick out of the slot exist for nobody: the host is asked for its own frames only. */
static void test_borders_of_a_slot(void **state)
{
	(void)state;
	begin(&legacy);
	machine_change(&m, START, START + FRAMES, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
	for (int i = 0; i < 2; i++) {
		access(START, VMMU_PF_W);
		access(INSIDE + 7, VMMU_PF_W);
		access(LAST, VMMU_PF_W);
		assert_int_equal(audit_leaves(&m, 0, START, START + FRAMES, VMMU_LEVEL_2M), 1);
		with_slot(split);
		assert_int_equal(audit_leaves(&m, 0, START, START + FRAMES, VMMU_LEVEL_2M), 0);
		with_slot(collapse);
	}
	end();
}

/* The first frame and the last one of what is logged again: each next write is found. */
static void test_borders_of_a_log(void **state)
{
	static const vmmu_gfn_t gfns[] = { START, START + 63, START + 64, INSIDE, INSIDE + 511, LAST };

	(void)state;
	begin(&legacy);
	machine_change(&m, INSIDE, INSIDE + 1, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
	for (unsigned int i = 0; i < 6; i++)
		access(gfns[i], VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET);
	for (unsigned int n = 0; n < 4; n++) {
		machine_log_harvest(&m, 0, 0, n * 13, true);
		assert_int_equal(audit_leaves(&m, 0, START, START + FRAMES, VMMU_LEVEL_2M), 0);
		for (unsigned int i = 0; i < 6; i++) {
			access(gfns[i], VMMU_PF_W);
			assert_int_equal(machine_log_harvest(&m, 0, 0, n, true), 1);
			assert_true(machine_log_check(&m, 0, 0) == ~0ull);
		}
	}
	end();
}

/* The CPU's own log is off while L2 runs: its writes are found by faults. */
static void test_log_of_l2(void **state)
{
	(void)state;
	begin(&pml);
	machine_vcpu_switch(c, 0, true, 4);
	access(START, VMMU_PF_W);
	access(START + 1, VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN);
	for (unsigned int i = 0; i < 6; i++) {
		access(START, VMMU_PF_W);
		access(START + 2 + i, 0);
		access(START + 2 + i, VMMU_PF_W);
		machine_log_harvest(&m, 0, 0, 0, false);
		assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	}
	end();
}

/* Where nothing was is memory now: the entry that remembers nothing is as old as the slots it was made from. */
static void test_memory_for_mmio(void **state)
{
	(void)state;
	begin(&legacy);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(machine_access(c, NOTHING << VMMU_PAGE_SHIFT, 0, 40), MACHINE_ACCESS_MMIO);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_MMIO_SET), 1);
	machine_slot_add(&m, 0, 1, NOTHING, 1, 0x1000, false);
	access(NOTHING, VMMU_PF_W);
	machine_slot_delete(&m, 0, 1);
	assert_int_equal(machine_access(c, NOTHING << VMMU_PAGE_SHIFT, 0, 40), MACHINE_ACCESS_MMIO);
	end();
}

/* Others are let in at each entry, those of the root included: nothing is passed over. */
static void test_yields_everywhere(void **state)
{
	(void)state;
	begin(&legacy);
	machine_slot_add(&m, 0, 1, FAR, 0x10, 0x1000, false);
	machine_slot_add(&m, 0, 2, 2 * FAR, 0x10, 0x1100, false);
	access(START, VMMU_PF_W);
	access(FAR, VMMU_PF_W);
	access(2 * FAR + 7, VMMU_PF_W);
	m.yield = MACHINE_YIELD_ALWAYS;
	machine_change(&m, 0x1000, 0x1010, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	assert_int_equal(audit_leaves(&m, 0, 0, ~0ull, VMMU_LEVEL_4K), 2);
	vmmu_zap_all_fast(&m.vm);
	assert_int_equal(audit_leaves(&m, 0, 0, ~0ull, VMMU_LEVEL_4K), 0);
	/* The root, which the vCPU still has. */
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_TABLES_NOW), 1);
	access(FAR, VMMU_PF_W);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_borders_of_a_slot),
		cmocka_unit_test(test_borders_of_a_log),
		cmocka_unit_test(test_log_of_l2),
		cmocka_unit_test(test_memory_for_mmio),
		cmocka_unit_test(test_yields_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
