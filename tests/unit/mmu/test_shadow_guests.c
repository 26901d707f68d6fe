/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests that once made no progress, or lost a flag, on mirrored tables: small quotas, PDPTEs in memory, shared direct pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

#define START	0x400ull
#define FRAMES	0x600ull
#define ROOT	0x410ull
#define DATA	0x600ull	/* a large page's first frame */
#define RIGHTS	7ull		/* present, writable, user */
#define A_D	0x60ull

static struct machine_vm m;
static struct machine_vcpu *c;

static const struct machine_regs pae = { .cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .cr3 = ROOT << 12 };
static const struct machine_regs four_levels = {
	.cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .efer = 1ull << 10, .cr3 = ROOT << 12,
};

static void begin(bool shadow)
{
	const struct machine_config config = {
		.shadow = shadow, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 4, .seed = 3,
		.guest_phys_bits = 48, .guest_gb = true, .guest_amd = true,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
}

static void end(void)
{
	audit(&m);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static void entry(uint64_t table, unsigned int i, uint64_t value)
{
	machine_slots_read_lock(&m);
	assert_true(machine_write_for_guest(&m, machine_slot(&m, 0, 0), table << 12 | i * 8, value, 8));
	machine_slots_read_unlock(&m);
}

static uint64_t entry_now(uint64_t table, unsigned int i)
{
	return ((uint64_t *)machine_ram_content(&m.ram, table))[i];
}

/* Four PDPTEs, each with tables of its own for two addresses far apart: frames ROOT + 1 and on. */
static void pae_tables(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t upper = ROOT + 1 + 3 * i;

		entry(ROOT, i, upper << 12 | 1);
		for (unsigned int n = 0; n < 2; n++) {
			entry(upper, n * 100, (upper + 1 + n) << 12 | RIGHTS);
			entry(upper + 1 + n, 5, (DATA + 2 * i + n) << 12 | RIGHTS);
		}
	}
}

static uint64_t pae_address(unsigned int i, unsigned int n) { return (uint64_t)i << 30 | (uint64_t)n * 100 << 21 | 5 << 12; }

/*
 * The pages right below a context's own table went with the first eviction, and with them the root the guest ran on: no access
 * came to an end. And what one instruction needs stays until all of it is there.
 */
static void test_small_quota(void **state)
{
	uint64_t before;

	(void)state;
	begin(true);
	pae_tables();
	m.vm.shadow_quota = 1;
	assert_true(machine_guest_set_regs(c, &pae, 0));
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(machine_access(c, pae_address(i / 2, i % 2), VMMU_PF_W, 12), MACHINE_ACCESS_DONE);
	before = c->faults;
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(machine_access(c, pae_address(i / 2, i % 2), VMMU_PF_W, 12), MACHINE_ACCESS_DONE);
	assert_int_equal(c->faults, before);
	end();
}

/* Evictions leave alone what stands right below a context's own table: with it the root would have to be made again. */
static void test_root_is_kept(void **state)
{
	uint64_t built;

	(void)state;
	begin(true);
	entry(ROOT, 0, (ROOT + 1) << 12 | 1);
	for (unsigned int i = 0; i < 100; i++) {
		entry(ROOT + 1, i, (ROOT + 2 + i) << 12 | RIGHTS);
		entry(ROOT + 2 + i, 0, DATA << 12 | RIGHTS);
	}
	m.vm.shadow_quota = 1;
	assert_true(machine_guest_set_regs(c, &pae, 0));
	assert_int_equal(machine_access(c, 0, 0, 12), MACHINE_ACCESS_DONE);
	built = vmmu_counter_read(&m.vm, VMMU_C_ROOTS_BUILT);
	for (unsigned int i = 0; i < 300; i++)
		assert_int_equal(machine_access(c, (uint64_t)(i % 100) << 21, 0, 12), MACHINE_ACCESS_DONE);
	assert_true(vmmu_counter_read(&m.vm, VMMU_C_SHADOWS_EVICTED) > 100);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_ROOTS_BUILT), built);
	end();
}

/* And evictions do take place: a quota is one. */
static void test_quota_is_kept(void **state)
{
	(void)state;
	begin(true);
	m.vm.shadow_quota = 1;
	assert_true(machine_guest_set_regs(c, &(struct machine_regs){ .cr0 = 0 }, 0));
	entry(ROOT, 0, (ROOT + 1) << 12 | RIGHTS);
	entry(ROOT + 1, 0, (ROOT + 2) << 12 | RIGHTS);
	for (unsigned int i = 0; i < 100; i++) {
		entry(ROOT + 2, i, (ROOT + 3 + i) << 12 | RIGHTS);
		entry(ROOT + 3 + i, 0, DATA << 12 | RIGHTS);
	}
	assert_true(machine_guest_set_regs(c, &four_levels, 0));
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(machine_access(c, (uint64_t)i << 21, 0, 12), MACHINE_ACCESS_DONE);
		assert_true(vmmu_counter_read(&m.vm, VMMU_C_SHADOWS_NOW) < 50);
	}
	assert_true(vmmu_counter_read(&m.vm, VMMU_C_SHADOWS_EVICTED) > 0);
	end();
}

/* L1 in PAE mode: the PDPTEs of its nested tables lie in memory, and L2 sees a new one without a VMRUN in between. */
static void test_npt_pae(void **state)
{
	const struct machine_nested npt = { .root = ROOT << 12 };
	uint64_t built;

	(void)state;
	begin(false);
	pae_tables();
	entry(ROOT, 2, 0);
	machine_guest_enter(c, &npt, &pae, true);
	assert_int_equal(machine_access(c, pae_address(1, 0), 0, 12), MACHINE_ACCESS_DONE);
	assert_int_equal(machine_access(c, pae_address(2, 0), 0, 12), MACHINE_ACCESS_INJECTED);
	entry(ROOT, 2, (ROOT + 7) << 12 | 1);
	assert_int_equal(machine_access(c, pae_address(2, 0), 0, 12), MACHINE_ACCESS_DONE);

	/* Another table takes the place of one that is in use; leaves of it must not appear in the other. */
	entry(ROOT, 1, (ROOT + 10) << 12 | 1);
	machine_guest_flush(c);
	assert_int_equal(machine_access(c, pae_address(1, 0), 0, 12), MACHINE_ACCESS_DONE);

	/* Nothing has changed: the root is found again. */
	built = vmmu_counter_read(&m.vm, VMMU_C_ROOTS_BUILT);
	machine_guest_leave(c);
	assert_int_equal(machine_vcpu_load(c), VMMU_OK);
	machine_guest_enter(c, &npt, &pae, false);
	assert_int_equal(machine_vcpu_load(c), VMMU_OK);
	assert_true(vmmu_counter_read(&m.vm, VMMU_C_ROOTS_BUILT) <= built + 1);
	end();
}

/* Two large pages of the guest's over the same memory, of small pages: a write by the one whose D is clear has to set it. */
static void test_shared_direct_pages(void **state)
{
	const uint64_t dirty = 0, clean = 1ull << 21;

	(void)state;
	begin(true);
	entry(ROOT, 0, (ROOT + 1) << 12 | RIGHTS);
	entry(ROOT + 1, 0, (ROOT + 2) << 12 | RIGHTS);
	entry(ROOT + 2, 0, DATA << 12 | RIGHTS | 1 << 7 | A_D);
	entry(ROOT + 2, 1, DATA << 12 | RIGHTS | 1 << 7);
	assert_true(machine_guest_set_regs(c, &four_levels, 0));
	assert_int_equal(machine_access(c, clean + 0x5000, 0, 12), MACHINE_ACCESS_DONE);
	assert_int_equal(machine_access(c, dirty + 0x5000, VMMU_PF_W, 12), MACHINE_ACCESS_DONE);
	assert_true((entry_now(ROOT + 2, 1) & A_D) == 0x20);
	assert_int_equal(machine_access(c, clean + 0x5000, VMMU_PF_W, 12), MACHINE_ACCESS_DONE);
	assert_true((entry_now(ROOT + 2, 1) & A_D) == A_D);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_quota), cmocka_unit_test(test_root_is_kept), cmocka_unit_test(test_quota_is_kept),
		cmocka_unit_test(test_npt_pae), cmocka_unit_test(test_shared_direct_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
