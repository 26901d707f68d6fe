/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every scene with allocation number n failing, for all n, once alone and once with all that follow: the scene is
 * refused or goes on without, nothing is lost, what is at rest is right, and the same scene works when there is memory
 * again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

#define START	0x400ull
#define FRAMES	0x600ull
#define GFN	0x655ull

static struct machine_vm m;

static void bug(const char *what)
{
	print_error("%s (allocation %ld of the scene)\n", what, machine_allocations());
	fail();
}

/* Return: was it done? */
static bool access(unsigned int vcpu, uint64_t pf)
{
	enum machine_access_result result = machine_access(m.vcpu[vcpu], GFN << VMMU_PAGE_SHIFT, pf, 8);

	if (result == MACHINE_ACCESS_NO_MEMORY)
		assert_int_equal(m.vcpu[vcpu]->last_error, VMMU_ENOMEM);
	else
		assert_int_equal(result, MACHINE_ACCESS_DONE);
	return result == MACHINE_ACCESS_DONE;
}

static void make_2m(void) { machine_change(&m, GFN, GFN + 1, MACHINE_MAKE_2M, VMMU_YIELD_NEVER); }

static bool scene_read(void) { return access(0, 0); }
static bool scene_two_roots(void)
{
	machine_vcpu_switch(m.vcpu[1], 0, true, 4);
	return access(0, VMMU_PF_W) && access(1, 0);
}

static bool scene_fetch_nx(void)
{
	__atomic_store_n(&m.vm.nx_huge_pages, true, __ATOMIC_RELAXED);
	make_2m();
	return access(0, VMMU_PF_W) && access(1, VMMU_PF_F);
}

static bool scene_prefetch(void) { return machine_prefetch(m.vcpu[0], GFN) != VMMU_FAULT_ERROR; }

static long large(void) { return audit_leaves(&m, 0, START, START + FRAMES, VMMU_LEVEL_2M); }

static bool scene_split(void)
{
	make_2m();
	if (!access(0, VMMU_PF_W))
		return false;
	machine_slots_read_lock(&m);
	vmmu_split_range(&m.vm, machine_slot(&m, 0, 0), START, START + FRAMES, VMMU_LEVEL_4K);
	machine_slots_read_unlock(&m);
	return !large();
}

static bool scene_split_atomic(void)
{
	make_2m();
	if (!access(0, VMMU_PF_W))
		return false;
	machine_slots_read_lock(&m);
	machine_lock_excl(&m);
	vmmu_split_range_atomic(&m.vm, machine_slot(&m, 0, 0), START, START + FRAMES, VMMU_LEVEL_4K);
	machine_unlock_excl(&m);
	machine_slots_read_unlock(&m);
	return !large();
}

static bool scene_log(void)
{
	make_2m();
	if (!access(0, VMMU_PF_W))
		return false;
	machine_log_start(&m, 0, 0, MACHINE_LOG_SPLIT);
	if (!access(0, VMMU_PF_W))
		return false;
	machine_log_harvest(&m, 0, 0, 0, true);
	assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	return true;
}

static bool scene_replace_table(void)
{
	/* Small pages first; then the host makes a large one, behind the back of those. */
	if (!access(0, VMMU_PF_W))
		return false;
	machine_ram_set_level(&m.ram, GFN, 2, 2);
	m.vcpu[1]->space = 0;
	return access(1, VMMU_PF_W);
}

static const struct scene {
	const char *name;
	bool (*run)(void);
} scenes[] = {
	{ "read", scene_read },
	{ "two roots", scene_two_roots },
	{ "fetch, NX", scene_fetch_nx },
	{ "prefetch", scene_prefetch },
	{ "split", scene_split },
	{ "split without sleeping", scene_split_atomic },
	{ "log", scene_log },
	{ "small, then large", scene_replace_table },
};

static void begin(void)
{
	const struct machine_config config = {
		.ept = true,
		.ad = true,
		.phys_bits = 46,
		.level = 4,
		.huge_level_max = 3,
		.root_cache = 2,
		.prefetch = 8,
		.seed = 5,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_vcpu_add(&m);
	machine_vcpu_add(&m);
}

static void end(void)
{
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

/* Return: were any allocations made to fail? */
static bool run_failing(const struct scene *scene, long n, bool and_later)
{
	bool done;
	long failures;

	begin();
	machine_fail_at(n, and_later);
	done = scene->run();
	failures = machine_failures();
	audit(&m);
	assert_true(failures || done);
	machine_fail_at(0, false);
	assert_true(scene->run());
	audit(&m);
	end();
	return failures;
}

static void test_sweep(void **state)
{
	const struct scene *scene = *state;
	long n = 1;

	machine_on_bug = bug;
	while (run_failing(scene, n, false))
		n++;
	for (long i = 1; i < n; i++)
		assert_true(run_failing(scene, i, true));
	machine_on_bug = NULL;
	/* A test that fails nothing shows nothing. */
	assert_true(n > 4);
}

#define SWEEP(n) { "scene " #n, test_sweep, NULL, NULL, (void *)&scenes[n] }

int main(void)
{
	const struct CMUnitTest tests[] = {
		SWEEP(0), SWEEP(1), SWEEP(2), SWEEP(3), SWEEP(4), SWEEP(5), SWEEP(6), SWEEP(7),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
