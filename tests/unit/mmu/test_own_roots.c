/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Roots of a context's own tables, of which a guest uses more by turns than a context remembers: those it forgets are found
 * again, as long as they say what the guest's tables say, and are the first to go when pages are short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/memory.h>
#include "../../support/audit.h"

#define TABLES	0x410ull	/* frames of a guest's tables: one set of them, root first, after the other */
#define SET	8ull
#define DATA	0x5d0ull
#define ADDR	0x3000ull
#define CACHE	4
#define ALL	24		/* sets */

static struct machine_vm m;
static struct machine_vcpu *c;

static uint64_t count(enum vmmu_counter n) { return vmmu_counter_read(&m.vm, n); }
static uint64_t root_frame(unsigned int set) { return TABLES + set * SET; }

/* The frame of the host's behind @gfn has the same number. */
static void begin(const struct machine_config *config)
{
	machine_vm_init(&m, config);
	machine_slot_add(&m, 0, 0, 0x400, 0x200, 0x400, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
	/* Whatever number of levels: each table's entry 0 leads down, and that of the last to the data. */
	for (unsigned int set = 0; set < ALL; set++)
		for (unsigned int n = 0; n < 4; n++)
			machine_store(&m, root_frame(set) + n, n == 3 ? 8 * (ADDR >> 12) : 0,
				      (n == 3 ? DATA + set : root_frame(set) + n + 1) << 12 | 7, 8, true);
}

static void end(void)
{
	audit(&m);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

/* --- Guests ---------------------------------------------------------------------------------------- */

/* L1's 4-level NPT under a CPU that walks five levels. */
static void use_npt(unsigned int set)
{
	const struct machine_regs l1 = {
		.cr0 = 1ull << 31 | 1ull << 16 | 1, .cr4 = 1 << 5, .efer = 1 << 8 | 1 << 10 | 1 << 11,
	};
	const struct machine_nested npt = { .root = root_frame(set) << 12 };

	machine_guest_enter(c, &npt, &l1, true);
}

/* A guest in PAE mode: its PDPTEs are in the second table of a set, since the first one's are 4-level ones. */
static void use_pae(unsigned int set)
{
	const struct machine_regs regs = {
		.cr0 = 1ull << 31 | 1ull << 16 | 1, .cr4 = 1 << 5, .cr3 = (root_frame(set) + 1) << 12,
	};

	assert_true(machine_guest_set_regs(c, &regs, 0));
}

static const struct guest {
	struct machine_config config;
	void (*use)(unsigned int set);
} npt = {
	{ .phys_bits = 48, .guest_phys_bits = 48, .guest_amd = true, .level = 5, .huge_level_max = 2, .root_cache = CACHE, .seed = 1 },
	use_npt,
}, pae = {
	{ .shadow = true, .phys_bits = 48, .guest_phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = CACHE, .seed = 1 },
	use_pae,
};

static void visit(const struct guest *g, unsigned int set)
{
	g->use(set);
	assert_int_equal(machine_access(c, ADDR, VMMU_PF_W | VMMU_PF_U, 10), MACHINE_ACCESS_DONE);
}

/* A PDPTE's rights are reserved bits. */
static void begin_guest(const struct guest *g)
{
	begin(&g->config);
	for (unsigned int set = 0; g == &pae && set < ALL; set++)
		machine_store(&m, root_frame(set) + 1, 0, (root_frame(set) + 2) << 12 | 1, 8, true);
}

static const struct guest *const guests[] = { &npt, &pae };
#define FOR_GUESTS(g) for (unsigned int n_ = 0; n_ < 2 && (g = guests[n_]); n_++)

static bool let_go(vmmu_gfn_t gfn)
{
	bool any;

	machine_slots_read_lock(&m);
	any = vmmu_unprotect(&m.vm, gfn);
	machine_slots_read_unlock(&m);
	return any;
}

static void shrink_by(uint64_t pages)
{
	machine_slots_read_lock(&m);
	vmmu_shrink(&m.vm, count(VMMU_C_SHADOWS_NOW) - pages);
	machine_slots_read_unlock(&m);
}

/* --- Tests ----------------------------------------------------------------------------------------- */

/* By turns: each root is made once, and nothing faults again. */
static void test_rotation(void **state)
{
	const struct guest *g;

	(void)state;
	FOR_GUESTS(g) {
		uint64_t built, faults, flushes;

		begin_guest(g);
		for (unsigned int set = 0; set < ALL; set++)
			visit(g, set);
		built = count(VMMU_C_ROOTS_BUILT);
		faults = count(VMMU_C_FAULTS);
		flushes = count(VMMU_C_FLUSHES);
		assert_int_equal(m.vm.parked_count, ALL - CACHE - 1);
		for (unsigned int n = 0; n < 3 * ALL; n++)
			visit(g, n % ALL);
		assert_int_equal(count(VMMU_C_ROOTS_BUILT), built);
		assert_int_equal(count(VMMU_C_ROOTS_SHARED), 3 * ALL);
		assert_int_equal(count(VMMU_C_FAULTS), faults);
		assert_int_equal(count(VMMU_C_FLUSHES), flushes);
		end();
	}
}

/* A parked root whose guest table is let go goes with it; its sets come back otherwise. */
static void test_table_gone(void **state)
{
	const struct guest *g;

	(void)state;
	FOR_GUESTS(g) {
		uint64_t built;

		begin_guest(g);
		for (unsigned int set = 0; set < ALL; set++)
			visit(g, set);
		built = count(VMMU_C_ROOTS_BUILT);
		assert_true(let_go(root_frame(2) + (g == &pae ? 2 : 0)));
		assert_int_equal(m.vm.parked_count, ALL - CACHE - 2);
		audit(&m);
		visit(g, 2);
		visit(g, 3);
		assert_int_equal(count(VMMU_C_ROOTS_BUILT), built + 1);
		end();
	}
}

/* The guest in PAE mode has other PDPTEs now: the root made for the old ones does not fit. */
static void test_other_pdptes(void **state)
{
	uint64_t built;

	(void)state;
	begin_guest(&pae);
	for (unsigned int set = 0; set < ALL; set++)
		visit(&pae, set);
	built = count(VMMU_C_ROOTS_BUILT);
	machine_store(&m, root_frame(0) + 1, 0, (root_frame(1) + 2) << 12 | 1, 8, true);
	visit(&pae, 0);
	assert_int_equal(count(VMMU_C_ROOTS_BUILT), built + 1);
	machine_store(&m, root_frame(0) + 1, 8, (root_frame(2) + 2) << 12 | 1, 8, true);
	for (unsigned int set = 1; set < ALL; set++)
		visit(&pae, set);
	visit(&pae, 0);
	assert_int_equal(count(VMMU_C_ROOTS_BUILT), built + 2);
	end();
}

/* There is a bound on them, and they go before anything that is in use. */
static void test_bounds(void **state)
{
	const struct guest *g;

	(void)state;
	FOR_GUESTS(g) {
		uint64_t faults;

		begin_guest(g);
		m.vm.params.root_cache = 0;
		for (unsigned int n = 0; n < ALL; n++)
			visit(g, n);
		assert_int_equal(m.vm.parked_count, ALL - 1);
		faults = count(VMMU_C_FAULTS);
		shrink_by(2);
		assert_int_equal(m.vm.parked_count, ALL - 3);
		shrink_by(ALL - 3);
		assert_int_equal(m.vm.parked_count, 0);
		audit(&m);
		visit(g, ALL - 1);
		assert_int_equal(count(VMMU_C_FAULTS), faults);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_table_gone),
		cmocka_unit_test(test_other_pdptes),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
