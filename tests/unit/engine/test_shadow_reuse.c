/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Tables that processes leave behind and tables that they share: a frame whose table nobody uses any more is let go by the
 * fault of the first write to it; a new root gets the links that the one before it had, where its table has the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

/* Frames; the host's page behind each has the same number. */
#define KERNEL	0x410ull	/* tables of levels 3, 2, 1, which all processes share */
#define PROCESS	0x420ull	/* tables of a process, from the root down, below its lower half */
#define SET	4ull
#define DATA	0x455ull

#define HIGH	0xffff800000000000ull	/* the kernel's: its page i maps frame 0x400 + i */
#define LOW	0x3000ull		/* a process's: DATA */
#define ENTRY_USED	0x67ull		/* P, W, U, A, D */

static struct machine_vm m;
static struct machine_vcpu *c;

static uint64_t count(enum vmmu_counter n) { return vmmu_counter_read(&m.vm, n); }
static uint64_t at_frame(uint64_t frame) { return HIGH + ((frame - 0x400) << 12); }

static void put(uint64_t table, unsigned int i, uint64_t frame)
{
	machine_store(&m, table, 8 * i, frame << 12 | ENTRY_USED, 8, true);
}

static void make_process(unsigned int n)
{
	uint64_t root = PROCESS + n * SET;

	put(root, 256, KERNEL);
	for (unsigned int below = 0; below < 3; below++)
		put(root + below, 0, root + below + 1);
	put(root + 3, LOW >> 12, DATA);
}

static void run_process(unsigned int n)
{
	const struct machine_regs regs = {
		.cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .efer = 1ull << 10, .cr3 = (PROCESS + n * SET) << 12,
	};

	assert_true(machine_guest_set_regs(c, &regs, 0));
}

static void touch(uint64_t addr, uint64_t pf)
{
	enum machine_access_result result = machine_access(c, addr, pf, 10);

	assert_true(result == MACHINE_ACCESS_DONE || result == MACHINE_ACCESS_EMULATED);
}

static void begin(void)
{
	const struct machine_config config = {
		.shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 4, .prefetch = 8, .seed = 3,
		.guest_phys_bits = 48, .guest_amd = true,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, 0x400, 0x100, 0x400, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
	put(KERNEL, 0, KERNEL + 1);
	put(KERNEL + 1, 0, KERNEL + 2);
	for (unsigned int i = 0; i < 0x100; i++)
		put(KERNEL + 2, i, 0x400 + i);
	make_process(0);
	make_process(1);
	run_process(0);
	touch(LOW, 0);
	touch(HIGH, 0);
}

static void end(void)
{
	audit(&m);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

/* Clear the entry that leads to process 0's table of level 3, by an emulated write to its root. */
static void unlink_tables(void)
{
	c->g.store_value = 0;
	c->g.store_bytes = 8;
	touch(at_frame(PROCESS), VMMU_PF_W);
	c->g.store_bytes = 0;
}

static void test_orphan(void **state)
{
	uint64_t faults, emulated;

	(void)state;
	begin();
	unlink_tables();
	touch(at_frame(PROCESS + 1), 0);
	faults = count(VMMU_C_FAULTS);
	emulated = count(VMMU_C_FAULTS_EMULATED);
	assert_int_equal(count(VMMU_C_SHADOWS_FLOODED), 0);
	touch(at_frame(PROCESS + 1), VMMU_PF_W);
	assert_int_equal(count(VMMU_C_SHADOWS_FLOODED), 1);
	assert_int_equal(count(VMMU_C_FAULTS_EMULATED), emulated);
	assert_int_equal(count(VMMU_C_FAULTS), faults + 1);
	touch(at_frame(PROCESS + 1), VMMU_PF_W);
	assert_int_equal(count(VMMU_C_FAULTS), faults + 1);
	end();
}

/* What is in use stays: a table that is linked, and a root that a context remembers. */
static void test_in_use(void **state)
{
	uint64_t emulated;

	(void)state;
	begin();
	run_process(1);
	touch(LOW, 0);
	emulated = count(VMMU_C_FAULTS_EMULATED);
	/* Each write drops a link: from the lowest up. */
	touch(at_frame(PROCESS + 1), VMMU_PF_W);
	touch(at_frame(PROCESS + SET + 1), VMMU_PF_W);
	touch(at_frame(PROCESS), VMMU_PF_W);
	assert_int_equal(count(VMMU_C_FAULTS_EMULATED), emulated + 3);
	assert_int_equal(count(VMMU_C_SHADOWS_FLOODED), 0);
	end();
}

static void test_links(void **state)
{
	uint64_t faults;

	(void)state;
	begin();
	faults = count(VMMU_C_FAULTS);
	run_process(1);
	touch(HIGH, 0);
	assert_int_equal(count(VMMU_C_FAULTS), faults);
	touch(LOW, 0);
	assert_int_equal(count(VMMU_C_FAULTS), faults + 1);
	end();
}

/* An entry whose A the CPU has yet to set, or that leads elsewhere, is left to a fault. */
static void test_other_links(void **state)
{
	uint64_t faults;

	(void)state;
	begin();
	machine_store(&m, PROCESS + SET, 8 * 256, KERNEL << 12 | (ENTRY_USED & ~0x20ull), 8, true);
	faults = count(VMMU_C_FAULTS);
	run_process(1);
	touch(HIGH, 0);
	assert_int_equal(count(VMMU_C_FAULTS), faults + 1);
	end();
}

static void write_table_and_flush(void)
{
	touch(at_frame(PROCESS + 3), VMMU_PF_W);
	machine_guest_flush(c);
}

/* A last-level table that is written between flushes is let be, and kept from writes again once it is not. */
static void test_patience(void **state)
{
	uint64_t unsynced;

	(void)state;
	begin();
	for (unsigned int n = 0; n < 45; n++)
		write_table_and_flush();
	unsynced = count(VMMU_C_UNSYNCED);
	assert_in_range(unsynced, 2, 7);
	for (unsigned int n = 0; n < 10; n++)
		machine_guest_flush(c);
	write_table_and_flush();
	assert_int_equal(count(VMMU_C_UNSYNCED), unsynced + 1);
	end();
}

/* The same with each bound that there can be: never let be, and the longest. */
static void test_patience_by_policy(void **state)
{
	static const unsigned int patience[] = { 0, 1, VMMU_SYNC_PATIENCE_MAX };
	static const unsigned int least[] = { 45, 15, 1 }, most[] = { 45, 40, 2 };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		begin();
		m.vm.params.sync_patience = (uint8_t)patience[i];
		for (unsigned int n = 0; n < 45; n++)
			write_table_and_flush();
		assert_in_range(count(VMMU_C_UNSYNCED), least[i], most[i]);
		end();
	}
}

/* A table that is linked, written so often and not used between, is let go with the last of the writes, or never. */
static void test_flood_by_policy(void **state)
{
	static const unsigned int flood[] = { 0, 1, 5, 255 };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int most = flood[i] ? flood[i] : 300;

		begin();
		m.vm.params.write_flood = (uint8_t)flood[i];
		for (unsigned int n = 0; n < most; n++) {
			assert_int_equal(count(VMMU_C_SHADOWS_FLOODED), 0);
			machine_slots_read_lock(&m);
			vmmu_guest_written(&m.vm, (PROCESS + 1) << 12 | 0x800, 8);
			machine_slots_read_unlock(&m);
		}
		assert_int_equal(count(VMMU_C_SHADOWS_FLOODED), flood[i] ? 1 : 0);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_other_links),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_patience_by_policy),
		cmocka_unit_test(test_flood_by_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
