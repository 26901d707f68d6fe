/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Large pages of a guest with 4-level tables of its own: what splits their leaves ahead of the dirty log, what makes them
 * small for code, and what brings them back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

/* Frames: tables, two large pages of 2 MiB, one of 1 GiB in a slot of its own. */
#define START	0x400ull
#define FRAMES	0x800ull
#define ROOT	0x410ull
#define UPPER	0x411ull
#define MIDDLE	0x412ull
#define LAST	0x413ull		/* shows BIG in small pages, too */
#define BIG	0x600ull
#define BIG2	0x800ull
#define HUGE	0x40000ull

#define RW	0x67ull
#define PS	0x80ull

/* Addresses: of the frame @gfn of BIG or BIG2 through the large pages, of BIG through the small ones, of HUGE. */
#define AT(gfn)		((4ull << 21) + (((gfn) - BIG) << 12))
#define SMALL(gfn)	((1ull << 21) + (((gfn) - BIG) << 12))
#define FAR(gfn)	((1ull << 30) + (((gfn) - HUGE) << 12))

static struct machine_vm m;
static struct machine_vcpu *c;

static void entry(uint64_t table, unsigned int i, uint64_t value)
{
	machine_store(&m, table, i * 8, value, 8, true);
}

static void begin(bool nx)
{
	const struct machine_config config = {
		.shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 2, .seed = 11,
		.guest_phys_bits = 48, .guest_gb = true, .guest_amd = true,
	};
	const struct machine_regs regs = {
		.cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .efer = 1ull << 10 | 1ull << 11, .cr3 = ROOT << 12,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_slot_add(&m, 0, 1, HUGE, 0x40000, HUGE, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	m.vm.nx_huge_pages = nx;
	c = machine_vcpu_add(&m);
	machine_change(&m, BIG, BIG + 0x400, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
	machine_change(&m, HUGE, HUGE + 0x40000, MACHINE_MAKE_1G, VMMU_YIELD_NEVER);
	entry(ROOT, 0, UPPER << 12 | RW);
	entry(UPPER, 0, MIDDLE << 12 | RW);
	entry(UPPER, 1, HUGE << 12 | RW | PS);
	entry(MIDDLE, 1, LAST << 12 | RW);
	entry(MIDDLE, 4, BIG << 12 | RW | PS);
	entry(MIDDLE, 5, BIG2 << 12 | RW | PS);
	for (unsigned int i = 0; i < 512; i++)
		entry(LAST, i, (BIG + i) << 12 | RW);
	assert_true(machine_guest_set_regs(c, &regs, 0));
}

static void end(void)
{
	struct audit words = { .m = &m, .words = true };

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
	audit_walk(&words);
	machine_mutex_unlock(&m.slots_lock);
	machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static void access(uint64_t address, uint64_t pf)
{
	/* Now and then the host allows small pages only; not here. */
	c->random = 0x9e3779b97f4a7c15ull;
	assert_int_equal(machine_access(c, address, pf, 40), MACHINE_ACCESS_DONE);
}

static uint64_t faults_of(uint64_t address, uint64_t pf)
{
	uint64_t before = c->faults;

	access(address, pf);
	return c->faults - before;
}

static struct vmmu_slot *slot_of(vmmu_gfn_t gfn) { return machine_slot(&m, 0, gfn >= HUGE); }
static unsigned int leaves(vmmu_gfn_t gfn, int level)
{
	return vmmu_entry_set_count(vmmu_host_slot_rmap(slot_of(gfn), gfn, level));
}
static uint64_t counted(enum vmmu_counter which) { return vmmu_counter_read(&m.vm, which); }

static void split(vmmu_gfn_t start, vmmu_gfn_t stop, int level)
{
	machine_slots_read_lock(&m);
	vmmu_split_range(&m.vm, slot_of(start), start, stop, level);
	machine_slots_read_unlock(&m);
}

static void split_atomic(vmmu_gfn_t start, vmmu_gfn_t stop, int level)
{
	machine_slots_read_lock(&m);
	machine_lock_excl(&m);
	vmmu_split_range_atomic(&m.vm, slot_of(start), start, stop, level);
	machine_unlock_excl(&m);
	machine_slots_read_unlock(&m);
}

static void collapse(vmmu_gfn_t gfn)
{
	machine_slots_read_lock(&m);
	vmmu_collapse_slot(&m.vm, slot_of(gfn));
	machine_slots_read_unlock(&m);
}

static void recover(uint64_t count)
{
	machine_slots_read_lock(&m);
	vmmu_nx_recover(&m.vm, count);
	machine_slots_read_unlock(&m);
}

/* All parts map what the leaf did with the same rights, so that no access has to fault; and the way back. */
static void test_split_and_back(void **state)
{
	(void)state;
	begin(false);
	access(AT(BIG), VMMU_PF_W);
	access(AT(BIG2), VMMU_PF_W);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M) + leaves(BIG2, VMMU_LEVEL_2M), 2);
	split(BIG + 1, BIG + 2, VMMU_LEVEL_4K);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(leaves(BIG2, VMMU_LEVEL_2M), 1);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_4K) + leaves(BIG + 511, VMMU_LEVEL_4K), 2);
	assert_int_equal(counted(VMMU_C_SPLITS), 1);
	audit(&m);
	for (unsigned int i = 0; i < 512; i += 73)
		assert_int_equal(faults_of(AT(BIG + i), i % 2 ? VMMU_PF_W : VMMU_PF_F), 0);
	collapse(BIG);
	assert_int_equal(leaves(BIG + 3, VMMU_LEVEL_4K), 0);
	assert_int_equal(counted(VMMU_C_COLLAPSES), 1);
	access(AT(BIG + 9), 0);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	end();
}

/* A fault that comes for another reason finds the direct page under the name it would have given it. */
static void test_faults_find_the_parts(void **state)
{
	uint64_t made;

	(void)state;
	begin(false);
	access(AT(BIG), VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_SPLIT);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(leaves(BIG + 77, VMMU_LEVEL_4K), 1);
	made = counted(VMMU_C_TABLES_MADE);
	assert_int_equal(faults_of(AT(BIG + 77), 0), 0);
	assert_int_equal(faults_of(AT(BIG + 77), VMMU_PF_W), 1);
	assert_int_equal(faults_of(AT(BIG + 77), VMMU_PF_W), 0);
	assert_int_equal(counted(VMMU_C_TABLES_MADE), made);
	assert_int_equal(machine_log_harvest(&m, 0, 0, 0, false), 1);
	assert_int_equal(faults_of(AT(BIG + 77), VMMU_PF_W), 1);
	assert_int_equal(machine_log_harvest(&m, 0, 0, 0, false), 1);
	assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	machine_log_stop(&m, 0, 0);
	access(AT(BIG + 9), 0);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	end();
}

/* Where every page counts as dirty at first, leaves are split as the first of their frames are harvested. */
static void test_all_set(void **state)
{
	(void)state;
	begin(false);
	access(AT(BIG), VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	access(AT(BIG + 3), VMMU_PF_W);
	machine_log_harvest(&m, 0, 0, 0, true);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_4K), 1);
	access(AT(BIG + 3), VMMU_PF_W);
	access(AT(BIG + 300), VMMU_PF_W);
	assert_int_equal(machine_log_harvest(&m, 0, 0, 0, true), 2);
	assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	end();
}

/* Frames that other leaves map as well need nodes, which nobody can wait for under the lock: such parts come by a fault. */
static void test_shared_frames(void **state)
{
	(void)state;
	begin(false);
	for (unsigned int i = 0; i < 512; i += 2)
		access(SMALL(BIG + i), 0);
	access(AT(BIG), VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET);
	split_atomic(BIG, BIG + 1, VMMU_LEVEL_4K);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(leaves(BIG + 2, VMMU_LEVEL_4K), 1);
	assert_int_equal(leaves(BIG + 3, VMMU_LEVEL_4K), 1);
	assert_int_equal(faults_of(AT(BIG + 3), 0), 0);
	assert_int_equal(faults_of(AT(BIG + 2), VMMU_PF_W), 1);
	assert_int_equal(leaves(BIG + 2, VMMU_LEVEL_4K), 2);
	end();

	begin(false);
	for (unsigned int i = 0; i < 512; i += 2)
		access(SMALL(BIG + i), 0);
	access(AT(BIG), VMMU_PF_W);
	split(BIG, BIG + 1, VMMU_LEVEL_4K);
	assert_int_equal(leaves(BIG + 2, VMMU_LEVEL_4K), 2);
	assert_int_equal(faults_of(AT(BIG + 2), VMMU_PF_W), 0);
	end();
}

/* Without memory leaves stay as they are; with some after a while the walk goes on. */
static void test_no_memory(void **state)
{
	(void)state;
	begin(false);
	access(AT(BIG), VMMU_PF_W);
	machine_fail_at(1, true);
	split(BIG, BIG + 1, VMMU_LEVEL_4K);
	machine_fail_at(0, false);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	machine_fail_at(1, false);
	split(BIG, BIG + 1, VMMU_LEVEL_4K);
	assert_int_equal(machine_failures(), 1);
	machine_fail_at(0, false);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	end();
}

/* The quota holds here, too. */
static void test_quota(void **state)
{
	(void)state;
	begin(false);
	access(AT(BIG), VMMU_PF_W);
	m.vm.shadow_quota = counted(VMMU_C_SHADOWS_NOW);
	split(BIG, BIG + 1, VMMU_LEVEL_4K);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	m.vm.shadow_quota++;
	split(BIG, BIG + 1, VMMU_LEVEL_4K);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	end();
}

/* While D of the guest's entry is clear, no part may be writable, and a write sets D first. */
static void test_clean_entry(void **state)
{
	uint64_t *gpte;

	(void)state;
	begin(false);
	gpte = (uint64_t *)machine_ram_content(&m.ram, MIDDLE) + 4;
	entry(MIDDLE, 4, BIG << 12 | 0x27 | PS);
	access(AT(BIG), 0);
	split(BIG, BIG + 1, VMMU_LEVEL_4K);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(faults_of(AT(BIG + 5), 0), 0);
	assert_false(*gpte & 0x40);
	assert_true(faults_of(AT(BIG + 5), VMMU_PF_W) > 0);
	assert_true(*gpte & 0x40);
	audit(&m);
	end();
}

static void test_1g(void **state)
{
	(void)state;
	begin(false);
	access(FAR(HUGE), VMMU_PF_W);
	assert_int_equal(leaves(HUGE, VMMU_LEVEL_1G), 1);
	split(HUGE, HUGE + 1, VMMU_LEVEL_2M);
	assert_int_equal(leaves(HUGE, VMMU_LEVEL_1G), 0);
	assert_int_equal(leaves(HUGE + 0x3fe00, VMMU_LEVEL_2M), 1);
	assert_int_equal(faults_of(FAR(HUGE + 0x12345), VMMU_PF_W), 0);
	split(HUGE + 0x200, HUGE + 0x201, VMMU_LEVEL_4K);
	assert_int_equal(leaves(HUGE + 0x200, VMMU_LEVEL_2M), 0);
	assert_int_equal(leaves(HUGE + 0x200, VMMU_LEVEL_4K), 1);
	assert_int_equal(leaves(HUGE, VMMU_LEVEL_2M), 1);
	assert_int_equal(faults_of(FAR(HUGE + 0x234), VMMU_PF_W), 0);
	assert_int_equal(faults_of(FAR(HUGE + 0x434), VMMU_PF_W), 0);
	audit(&m);
	collapse(HUGE);
	access(FAR(HUGE), VMMU_PF_W);
	assert_int_equal(leaves(HUGE, VMMU_LEVEL_1G), 1);
	end();
}

/* Pages that are small for code only are counted, stay through reads and the end of a log, and come back by recovery. */
static void test_nx(void **state)
{
	(void)state;
	begin(true);
	access(AT(BIG), VMMU_PF_W);
	access(AT(BIG2), VMMU_PF_W);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	access(AT(BIG + 7), VMMU_PF_F);
	access(AT(BIG2 + 7), VMMU_PF_F);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(counted(VMMU_C_NX_SPLITS_NOW), 2);
	assert_int_equal(m.nx_splits, 2);
	collapse(BIG);
	assert_int_equal(leaves(BIG + 7, VMMU_LEVEL_4K), 1);
	access(AT(BIG + 8), VMMU_PF_W);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	recover(1);
	assert_int_equal(counted(VMMU_C_NX_SPLITS_NOW), 1);
	assert_int_equal(leaves(BIG + 7, VMMU_LEVEL_4K), 0);
	assert_int_equal(leaves(BIG2 + 7, VMMU_LEVEL_4K), 1);
	access(AT(BIG + 8), VMMU_PF_W);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	access(AT(BIG + 7), VMMU_PF_F);
	assert_int_equal(counted(VMMU_C_NX_SPLITS_NOW), 2);
	recover(2);
	assert_int_equal(m.nx_splits, 0);
	end();
}

/* What the log has split becomes large again when it ends, under nx_huge_pages, too, and its parts can be executed. */
static void test_nx_and_log(void **state)
{
	(void)state;
	begin(true);
	access(AT(BIG), VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_SPLIT);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 0);
	assert_int_equal(faults_of(AT(BIG + 4), VMMU_PF_F), 0);
	machine_log_stop(&m, 0, 0);
	access(AT(BIG + 9), 0);
	assert_int_equal(leaves(BIG, VMMU_LEVEL_2M), 1);
	assert_int_equal(counted(VMMU_C_NX_SPLITS_NOW), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_and_back),	cmocka_unit_test(test_faults_find_the_parts),
		cmocka_unit_test(test_all_set),		cmocka_unit_test(test_shared_frames),
		cmocka_unit_test(test_no_memory),	cmocka_unit_test(test_quota),
		cmocka_unit_test(test_clean_entry),	cmocka_unit_test(test_1g),
		cmocka_unit_test(test_nx),		cmocka_unit_test(test_nx_and_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
