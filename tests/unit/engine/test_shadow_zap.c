/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What goes when memory of a guest with mirrored tables goes, and what stays; and that those let others in who work on many
 * pages at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

/* Frames: tables, last-level tables one after the other, one that shows those to the guest, and data of each. */
#define START	0x400ull
#define FRAMES	0x200ull
#define ROOT	0x410ull
#define UPPER	0x411ull
#define MIDDLE	0x412ull
#define WINDOW	0x413ull
#define LAST(n)	(0x420ull + (n))
#define LASTS	100u
#define DATA	0x4a0ull
/* As many leaves may map one frame. */
#define LEAVES	512u
/* A slot that goes, with a table and data in it. */
#define GOES	0x1000ull

#define RW	0x67ull

/* Addresses: entry @i of table @n; word @i of that table; entry @i of the table that goes; where no memory is. */
#define AT(n, i)	((uint64_t)(2 + (n)) << 21 | (uint64_t)(i) << 12)
#define IN(n, i)	(1ull << 21 | (uint64_t)(n) << 12 | (uint64_t)(i) << 3)
#define AT_GOES(i)	((uint64_t)(2 + LASTS) << 21 | (uint64_t)(i) << 12)
#define AT_NOTHING	AT(0, 9)

static struct machine_vm m;
static struct machine_vcpu *c;
static unsigned int yields;

static void hook(enum machine_point point) { yields += point == MACHINE_AT_YIELD; }

static void entry(uint64_t table, unsigned int i, uint64_t value) { machine_store(&m, table, i * 8, value, 8, true); }

static void begin(void)
{
	const struct machine_config config = {
		.shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 2, .seed = 7,
		.guest_phys_bits = 48, .guest_amd = true,
		.odd_policy = true, .sync_patience = 8, .write_flood = 3, .frame_leaves = LEAVES,
	};
	const struct machine_regs regs = {
		.cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .efer = 1ull << 10, .cr3 = ROOT << 12,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_slot_add(&m, 0, 1, GOES, 0x10, 0x800, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
	entry(ROOT, 0, UPPER << 12 | RW);
	entry(UPPER, 0, MIDDLE << 12 | RW);
	entry(MIDDLE, 1, WINDOW << 12 | RW);
	for (unsigned int n = 0; n < LASTS; n++) {
		entry(MIDDLE, 2 + n, LAST(n) << 12 | RW);
		entry(WINDOW, n, LAST(n) << 12 | RW);
		entry(LAST(n), 0, (DATA + n % 32) << 12 | RW);
		entry(LAST(n), 1, (GOES + 1) << 12 | RW);
	}
	entry(LAST(0), 9, 0x20000ull << 12 | RW);
	entry(MIDDLE, 2 + LASTS, GOES << 12 | RW);
	machine_store(&m, 0x800, 0, DATA << 12 | RW, 8, true);
	assert_true(machine_guest_set_regs(c, &regs, 0));
}

static void end(void)
{
	struct audit words = { .m = &m, .words = true };

	machine_hook = NULL;
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
	audit_walk(&words);
	machine_mutex_unlock(&m.slots_lock);
	machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static void access(uint64_t address, uint64_t pf)
{
	assert_int_equal(machine_access(c, address, pf, 40), MACHINE_ACCESS_DONE);
}

static uint64_t faults_of(uint64_t address, uint64_t pf)
{
	uint64_t before = c->faults;

	access(address, pf);
	return c->faults - before;
}

static void store(uint64_t address, uint64_t value)
{
	c->g.store_value = value;
	c->g.store_bytes = 8;
	access(address, VMMU_PF_W);
	c->g.store_bytes = 0;
}

static uint64_t counted(enum vmmu_counter which) { return vmmu_counter_read(&m.vm, which); }
static unsigned int leaves(vmmu_gfn_t gfn)
{
	return vmmu_entry_set_count(vmmu_host_slot_rmap(machine_slot(&m, 0, gfn >= GOES), gfn, VMMU_LEVEL_4K));
}

/* Pages that mirror a table in the slot go, and leaves that map its frames; nothing else does, the root least of all. */
static void test_slot(void **state)
{
	uint64_t pages;

	(void)state;
	begin();
	for (unsigned int n = 0; n < 8; n++) {
		access(AT(n, 0), VMMU_PF_W);
		access(AT(n, 1), VMMU_PF_W);
	}
	access(AT_GOES(0), 0);
	assert_int_equal(leaves(GOES + 1), 8);
	pages = counted(VMMU_C_SHADOWS_NOW);
	machine_slot_delete(&m, 0, 1);
	assert_true(counted(VMMU_C_SHADOWS_NOW) == pages - 1);
	audit(&m);
	for (unsigned int n = 0; n < 8; n++)
		assert_int_equal(faults_of(AT(n, 0), VMMU_PF_W), 0);
	assert_true(counted(VMMU_C_ROOTS_BUILT) == 1);
	assert_int_equal(machine_access(c, AT(0, 1), 0, 40), MACHINE_ACCESS_MMIO);
	end();
}

/* The slot of the root: a guest has none then. */
static void test_slot_of_the_root(void **state)
{
	(void)state;
	begin();
	access(AT(0, 0), VMMU_PF_W);
	machine_slot_delete(&m, 0, 0);
	assert_int_equal(machine_access(c, AT(0, 0), 0, 40), MACHINE_ACCESS_NO_ROOT);
	assert_true(!counted(VMMU_C_SHADOWS_NOW));
	end();
}

static void test_range(void **state)
{
	uint64_t made;

	(void)state;
	begin();
	for (unsigned int n = 0; n < 8; n++)
		access(AT(n, 0), VMMU_PF_W);
	assert_int_equal(machine_access(c, AT_NOTHING, 0, 40), MACHINE_ACCESS_MMIO);
	made = counted(VMMU_C_MMIO_SET);
	assert_int_equal(machine_access(c, AT_NOTHING, 0, 40), MACHINE_ACCESS_MMIO);
	assert_true(counted(VMMU_C_MMIO_SET) == made);

	machine_slots_read_lock(&m);
	machine_lock_excl(&m);
	vmmu_zap_range(&m.vm, DATA + 3, DATA + 5);
	vmmu_zap_range(&m.vm, 0x20000, 0x20001);
	machine_unlock_excl(&m);
	machine_slots_read_unlock(&m);

	assert_int_equal(leaves(DATA + 3) + leaves(DATA + 4), 0);
	assert_int_equal(leaves(DATA + 2), 1);
	assert_int_equal(faults_of(AT(2, 0), VMMU_PF_W), 0);
	assert_true(faults_of(AT(3, 0), VMMU_PF_W) > 0);
	assert_int_equal(machine_access(c, AT_NOTHING, 0, 40), MACHINE_ACCESS_MMIO);
	assert_true(counted(VMMU_C_MMIO_SET) == made + 1);
	end();
}

/* A frame that a guest maps again and again is mapped so often and no more, whichever of its pages the guest looks at. */
static void test_many_leaves_of_a_frame(void **state)
{
	(void)state;
	begin();
	for (unsigned int n = 0; n < 3; n++)
		for (unsigned int i = 10; i < 310; i++)
			entry(LAST(n), i, (DATA + 40) << 12 | RW);
	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int n = 0; n < 3; n++)
			for (unsigned int i = 10; i < 310; i++) {
				access(AT(n, i), round ? VMMU_PF_W : 0);
				assert_true(leaves(DATA + 40) < LEAVES + 15);
			}
	assert_true(leaves(DATA + 40) >= LEAVES);
	end();
}

static void evict(uint64_t most)
{
	machine_slots_read_lock(&m);
	machine_lock_shared(&m);
	vmmu_shrink(&m.vm, most);
	machine_unlock_shared(&m);
	machine_slots_read_unlock(&m);
}

static void test_eviction_yields(void **state)
{
	uint64_t evicted;

	(void)state;
	begin();
	for (unsigned int n = 0; n < LASTS; n++)
		access(AT(n, 0), 0);
	machine_hook = hook;
	m.yield = MACHINE_YIELD_ALWAYS;
	yields = 0;
	evict(0);
	machine_hook = NULL;
	evicted = counted(VMMU_C_SHADOWS_EVICTED);
	/* But for the root. */
	assert_true(evicted == LASTS + 2 && counted(VMMU_C_SHADOWS_NOW) == 1);
	assert_true(yields >= evicted);
	end();
}

/* Whoever is let in may use what was taken away: no CPU may hold it any more. */
static void look_at_cpu(enum machine_point point)
{
	if (point != MACHINE_AT_YIELD)
		return;
	yields++;
	machine_cpu_check(c);
}

static void test_yields_owe_nothing(void **state)
{
	(void)state;
	begin();
	access(AT_GOES(0), 0);
	m.yield = MACHINE_YIELD_ALWAYS;
	machine_hook = look_at_cpu;
	yields = 0;
	machine_slot_delete(&m, 0, 1);
	assert_true(yields > 0);

	m.yield = MACHINE_YIELD_NEVER;
	for (unsigned int n = 0; n < 8; n++)
		access(AT(n, 0), VMMU_PF_W);
	m.yield = MACHINE_YIELD_ALWAYS;
	yields = 0;
	machine_change(&m, START, START + FRAMES, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	assert_true(yields > 0);
	end();
}

static void flush_and_compare(void)
{
	yields = 0;
	machine_hook = hook;
	machine_guest_flush(c);
	machine_hook = NULL;
}

/* The host's caller may see a sync in parts; in the end each table was compared, once. */
static void test_sync_yields(void **state)
{
	uint64_t synced;

	(void)state;
	begin();
	for (unsigned int n = 0; n < LASTS; n++)
		access(AT(n, 0), VMMU_PF_W);
	m.yield = MACHINE_YIELD_ALWAYS;
	for (unsigned int round = 1; round < 20; round++) {
		for (unsigned int n = 0; n < LASTS; n++)
			store(IN(n, 0), (DATA + (n + round) % 32) << 12 | RW);
		synced = counted(VMMU_C_SYNCED);
		flush_and_compare();
		/* Tables that are written after each flush stay unsync in the end, and are compared all the same. */
		assert_true(counted(VMMU_C_SYNCED) - synced == LASTS);
		assert_true(yields >= LASTS / 16);
		for (unsigned int n = 0; n < LASTS; n++)
			access(AT(n, 0), 0);
	}
	audit(&m);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot),		cmocka_unit_test(test_slot_of_the_root), cmocka_unit_test(test_range),
		cmocka_unit_test(test_many_leaves_of_a_frame),
		cmocka_unit_test(test_eviction_yields), cmocka_unit_test(test_yields_owe_nothing), cmocka_unit_test(test_sync_yields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
