/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Waits for the core's short locks are counted by kind, and nothing else is. Their order is test_machine.c's. Shares of a lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../support/audit.h"
#include "base/lock.h"

static struct machine_vm m;
static struct vmmu_page page;
static vmmu_entry_set set;
static uintptr_t bucket;

static void page_take(void) { page_lock(&page); }
static void page_give(void) { page_unlock(&page); }
static void bucket_take(void) { bucket_lock(&m.vm, &bucket); }
static void bucket_give(void) { bucket_unlock(&bucket); }
static void parents_take(void) { parents_lock(&page); }
static void parents_give(void) { parents_unlock(&page); }
static void rmap_take(void) { rmap_lock(&m.vm, &set); }
static void rmap_give(void) { rmap_unlock(&set); }
static void lists_take(void) { lists_lock(&m.vm); }
static void lists_give(void) { lists_unlock(&m.vm); }

static const struct kind {
	enum vmmu_counter counter;
	void (*take)(void);
	void (*give)(void);
} kinds[] = {
	{ VMMU_C_LOCK_WAIT_PAGE, page_take, page_give },	  { VMMU_C_LOCK_WAIT_BUCKET, bucket_take, bucket_give },
	{ VMMU_C_LOCK_WAIT_PARENTS, parents_take, parents_give }, { VMMU_C_LOCK_WAIT_RMAP, rmap_take, rmap_give },
	{ VMMU_C_LOCK_WAIT_LISTS, lists_take, lists_give },
};

static int started;

static void *taker(void *kind)
{
	const struct kind *k = kind;

	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	k->take();
	k->give();
	return NULL;
}

/* Another thread comes while the lock is held. It may be slow to come, so it gets a few chances. */
static void contend(const struct kind *k)
{
	for (int tries = 0; tries < 50 && !counter_read(&m.vm.count[k->counter]); tries++) {
		pthread_t thread;

		started = 0;
		k->take();
		assert_int_equal(pthread_create(&thread, NULL, taker, (void *)(uintptr_t)k), 0);
		while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
			sched_yield();
		usleep(2000);
		k->give();
		pthread_join(thread, NULL);
	}
}

static void test_waits_are_counted(void **state)
{
	const struct machine_config config = { .phys_bits = 46, .level = 4, .huge_level_max = 2, .root_cache = 2, .seed = 1 };

	(void)state;
	machine_vm_init(&m, &config);
	page.vm = &m.vm;
	vmmu_host_spin_init(&page.s.lock);
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		kinds[i].take();
		kinds[i].give();
		assert_true(!counter_read(&m.vm.count[kinds[i].counter]));
		contend(&kinds[i]);
		assert_true(counter_read(&m.vm.count[kinds[i].counter]) == 1);
		for (unsigned int other = i + 1; other < sizeof(kinds) / sizeof(kinds[0]); other++)
			assert_true(!counter_read(&m.vm.count[kinds[other].counter]));
	}
	machine_vm_destroy(&m);
}

/* Step by step, with two CPUs and two VMs: see base/shares.h. */
static void test_shares(void **state)
{
	struct vmmu_shares shares = { 0 }, other = { 0 };
	struct vmmu_share cpu = { 0 }, idle = { 0 };

	(void)state;
	assert_false(share_try_take(&shares, &cpu));
	assert_false(shares_close(&shares));
	shares_open(&shares);
	shares_open(&other);
	assert_true(share_try_take(&shares, &cpu));
	assert_true(share_is_held(&shares, &cpu));
	assert_false(share_is_held(&other, &cpu));
	/* A CPU has one word: who holds another VM's lock as well holds that itself. */
	assert_false(share_try_take(&other, &cpu));
	assert_true(share_is_held(&shares, &cpu));

	assert_true(shares_close(&shares));
	assert_false(shares_close(&shares));
	assert_false(shares_left(&shares, &cpu));
	assert_true(shares_left(&shares, &idle));
	assert_true(shares_left(&other, &cpu));
	assert_false(share_try_take(&shares, &idle));
	assert_true(shares_left(&shares, &idle));
	share_give(&cpu);
	assert_true(shares_left(&shares, &cpu));
	assert_true(share_try_take(&other, &cpu));
	share_give(&cpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_waits_are_counted), cmocka_unit_test(test_shares) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
