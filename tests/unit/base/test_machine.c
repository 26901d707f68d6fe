/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The simulated machine notices what it is there to notice: each rule is broken once, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "../../support/audit.h"
#include "../../support/complains.h"

#define GFN 0x455ull

static struct machine_vm m;
static void begin(void)
{
	const struct machine_config config = {
		.phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 2, .seed = 3
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, 0x400, 0x400, 0x400, false);
	machine_vcpu_add(&m);
	assert_int_equal(machine_access(m.vcpu[0], GFN << 12, VMMU_PF_W, 5), MACHINE_ACCESS_DONE);
}

static void end(void)
{
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

/* The entry that maps GFN. */
static uint64_t *entry(void)
{
	uint64_t *table = m.vcpu[0]->v.l1.root.page->table;

	for (int level = 4; level > 1; level--)
		table = machine_table_at(spte_address(&m.fmt, table[GFN >> (9 * (level - 1)) & 511]));
	return &table[GFN & 511];
}

static void test_locks(void **state)
{
	struct machine_thread *self = machine_self(), saved;

	(void)state;
	begin();
	saved = *self;
	machine_lock_shared(&m);
	COMPLAINS("lock of class", machine_slots_read_lock(&m));
	COMPLAINS("lock of class", machine_lock_excl(&m));
	COMPLAINS("may sleep", machine_table_alloc(true));
	COMPLAINS("wrong way", machine_unlock_excl(&m));
	COMPLAINS("not held exclusively", vmmu_host_assert_locked_excl(&m.vm));
	machine_rcu_read_lock();
	COMPLAINS("inside an RCU read section", machine_unlock_shared(&m));
	machine_rcu_read_unlock();
	machine_unlock_shared(&m);
	COMPLAINS("does not hold", machine_unlock_note(&m));
	COMPLAINS("is not held", vmmu_host_assert_locked(&m.vm));
	COMPLAINS("has not begun", machine_rcu_read_unlock());
	machine_rcu_read_lock();
	COMPLAINS("RCU read section", machine_lock_shared(&m));
	COMPLAINS("may sleep", machine_rcu_barrier());
	machine_rcu_read_unlock();
	COMPLAINS("slot read section", machine_slot_at(&m, 0, GFN));
	assert_int_equal(self->held, saved.held);
	end();
}

/* The core's short locks, in every wrong order: base/lock.h. */
static void test_order_of_short_locks(void **state)
{
	static uintptr_t bucket;
	static struct vmmu_page low, high;
	vmmu_entry_set *rmap;

	(void)state;
	begin();
	assert_int_equal(machine_prepare_shadow(&m), VMMU_OK);
	low.role.level = 1;
	high.role.level = 2;
	vmmu_host_spin_init(&low.s.lock);
	vmmu_host_spin_init(&high.s.lock);
	machine_slots_read_lock(&m);
	rmap = vmmu_host_slot_rmap(machine_slot_at(&m, 0, GFN), GFN, 1);
	assert_true(machine_is_rmap_word(rmap));
	assert_false(machine_is_rmap_word(&low.s.parents));

	/* As the core takes them. */
	vmmu_host_spin_lock(&low.s.lock);
	vmmu_host_bit_lock(&low.s.parents, 1);
	vmmu_host_bit_lock(&high.s.parents, 1);
	vmmu_host_spin_lock(&m.vm.lists);
	vmmu_host_spin_unlock(&m.vm.lists);
	COMPLAINS("lock of class", vmmu_host_bit_lock(rmap, 1));
	COMPLAINS("lock of class", vmmu_host_bit_lock(&bucket, 0));
	COMPLAINS("lock of class", machine_flush(&m, 0, 1));
	vmmu_host_bit_unlock(&high.s.parents, 1);
	vmmu_host_bit_unlock(&low.s.parents, 1);
	COMPLAINS("lock of class", vmmu_host_spin_lock(&high.s.lock));
	COMPLAINS("lock of class", machine_lock_shared(&m));
	vmmu_host_bit_lock(rmap, 1);
	machine_flush(&m, 0, 1);
	COMPLAINS("lock of class", vmmu_host_spin_lock(&high.s.lock));
	vmmu_host_bit_unlock(rmap, 1);
	vmmu_host_spin_unlock(&low.s.lock);

	vmmu_host_bit_lock(&high.s.parents, 1);
	COMPLAINS("lock of class", vmmu_host_bit_lock(&low.s.parents, 1));
	vmmu_host_bit_unlock(&high.s.parents, 1);
	vmmu_host_bit_lock(&bucket, 0);
	COMPLAINS("lock of class", vmmu_host_bit_lock(&low.s.parents, 1));
	COMPLAINS("lock of class", machine_flush(&m, 0, 1));
	vmmu_host_bit_unlock(&bucket, 0);
	COMPLAINS("does not hold", vmmu_host_bit_unlock(&bucket, 0));
	vmmu_host_spin_lock(&m.vm.lists);
	COMPLAINS("lock of class", machine_flush(&m, 0, 1));
	COMPLAINS("lock of class", vmmu_host_bit_lock(&bucket, 0));
	vmmu_host_spin_unlock(&m.vm.lists);
	machine_slots_read_unlock(&m);
	end();
}

/* Slots there are and slots to come have their words, and are looked at when they go. */
static void test_words(void **state)
{
	struct vmmu_slot *slot;
	vmmu_entry_set *rmap;

	(void)state;
	begin();
	slot = machine_slot(&m, 0, 0);
	assert_null(vmmu_host_slot_rmap(slot, GFN, 1));
	machine_fail_at(1, false);
	assert_int_equal(machine_prepare_shadow(&m), VMMU_ENOMEM);
	machine_self()->held = 0;
	assert_int_equal(machine_prepare_shadow(&m), VMMU_OK);
	machine_slot_add(&m, 1, 3, 0x1003, 0x400, 0x1003, false);
	slot = machine_slot(&m, 1, 3);
	COMPLAINS("has none", vmmu_host_slot_track(slot, 0x1403));
	rmap = vmmu_host_slot_rmap(slot, 0x1402, 2);
	assert_ptr_equal(vmmu_host_slot_rmap(slot, 0x1003, 2) + 2, rmap);
	assert_true(machine_slot_huge_disallowed(slot, 0x1003, 2));
	assert_false(machine_slot_huge_disallowed(slot, 0x1200, 2));
	++*vmmu_host_slot_disallow(slot, 0x1200, 2);
	assert_true(machine_slot_huge_disallowed(slot, 0x1200, 2));
	--*vmmu_host_slot_disallow(slot, 0x1200, 2);
	machine_slots_read_lock(&m);
	assert_false(machine_is_tracked(&m, 0x1010));
	++*vmmu_host_slot_track(slot, 0x1010);
	assert_true(machine_is_tracked(&m, 0x1010));
	--*vmmu_host_slot_track(slot, 0x1010);
	machine_slots_read_unlock(&m);
	end();

#define LEFT_BEHIND(word, statement) do { \
	begin(); \
	assert_int_equal(machine_prepare_shadow(&m), VMMU_OK); \
	slot = machine_slot(&m, 0, 0); \
	statement; \
	COMPLAINS(word, machine_slots_free(&m)); \
	statement##_UNDONE; \
	end(); \
} while (0)
#define REACH *(uint64_t *)vmmu_host_slot_rmap(slot, GFN, 1) = 8
#define REACH_UNDONE *(uint64_t *)vmmu_host_slot_rmap(slot, GFN, 1) = 0
#define TRACK ++*vmmu_host_slot_track(slot, GFN)
#define TRACK_UNDONE --*vmmu_host_slot_track(slot, GFN)
#define COUNT ++*vmmu_host_slot_disallow(slot, GFN, 2)
#define COUNT_UNDONE --*vmmu_host_slot_disallow(slot, GFN, 2)
	LEFT_BEHIND("reverse map", REACH);
	LEFT_BEHIND("still is tracked", TRACK);
	LEFT_BEHIND("reasons against", COUNT);
}

/* A root in PAE form, with 32 bits for its address, is made, and all that hangs on it is given back. */
static void test_low_table(void **state)
{
	void *low = machine_table_alloc_low(), *other;

	(void)state;
	assert_true(machine_table_hpa(low) < 1ull << 32);
	assert_ptr_equal(machine_table_at(machine_table_hpa(low)), low);
	other = machine_table_alloc(true);
	assert_true(machine_table_hpa(other) >> 32);
	machine_table_free(low);
	COMPLAINS("no table in use", machine_table_hpa(low));
	assert_ptr_equal(machine_table_alloc_low(), low);
	machine_table_free(low);
	machine_table_free(other);
}

static struct vmmu_rcu call;
static unsigned int called;
static void callback(struct vmmu_rcu *rcu) { (void)rcu; called++; }

static void test_grace_period(void **state)
{
	struct machine_thread *other = machine_thread_new(), *self;

	(void)state;
	called = 0;
	machine_rcu_read_lock();
	machine_rcu_read_lock();
	machine_rcu_call(&call, callback);
	machine_rcu_read_unlock();
	assert_int_equal(called, 0);
	machine_rcu_read_unlock();
	assert_int_equal(called, 1);
	/* A reader elsewhere that began before keeps it waiting; one that began after does not. */
	self = machine_thread_become(other);
	machine_rcu_read_lock();
	machine_thread_become(self);
	machine_rcu_call(&call, callback);
	machine_rcu_read_lock();
	machine_rcu_read_unlock();
	assert_int_equal(called, 1);
	machine_rcu_read_lock();
	machine_thread_become(other);
	machine_rcu_read_unlock();
	machine_thread_become(self);
	assert_int_equal(called, 2);
	machine_rcu_read_unlock();
	machine_rcu_barrier();
}

static void test_tables(void **state)
{
	struct vmmu_page page = { .gfn = 1 };
	uint64_t *table = machine_table_alloc(true), hpa = machine_table_hpa(table);

	(void)state;
	assert_ptr_equal(machine_table_at(hpa), table);
	machine_table_set_page(table, &page);
	COMPLAINS("names its page", machine_table_free(table));
	machine_table_set_page(table, NULL);
	machine_table_account(table, 1);
	COMPLAINS("accounted twice", machine_table_account(table, 1));
	COMPLAINS("is freed while it is accounted", machine_table_free(table));
	machine_table_account(table, -1);
	machine_table_free(table);
	COMPLAINS("no table in use", machine_table_free(table));
	COMPLAINS("no table in use", machine_table_at(hpa));
	COMPLAINS("no table in use", machine_table_hpa(table));
	assert_false(machine_table_is_live(hpa));
	/* The last one freed is the next one given. */
	assert_ptr_equal(machine_table_alloc(false), table);
	for (unsigned int i = 0; i < 512; i++)
		assert_true(!table[i]);
	machine_table_free(table);
	machine_fail_at(2, false);
	table = machine_table_alloc(false);
	assert_non_null(table);
	assert_null(machine_table_alloc(false));
	assert_int_equal(machine_failures(), 1);
	machine_fail_at(0, false);
	machine_table_free(table);
}

static void test_audit(void **state)
{
	uint64_t *e, saved;

	(void)state;
	begin();
	e = entry();
	saved = *e;
	audit(&m);
#define BROKEN(word, value) \
	do { \
		*e = (value); \
		COMPLAINS(word, audit(&m)); \
		*e = saved; \
		m.slots_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; \
		machine_self()->held = 0; \
	} while (0)
	BROKEN("machine_ram_pfn", saved ^ 1ull << 33);
	BROKEN("spte_is_frozen", SPTE_FROZEN);
	BROKEN("vmmu_spte_reserved", saved | 1ull << 50);
	BROKEN("leaves", 0);
	BROKEN("host_writable", saved & ~m.fmt.host_writable);
	BROKEN("spte_is_mmu_writable", saved & ~m.fmt.mmu_writable);
	BROKEN("spte_is_mmio", 0x3ull << 52);
	m.vm.count[VMMU_C_TABLES_NOW]++;
	BROKEN("TABLES_NOW", saved);
	m.vm.count[VMMU_C_TABLES_NOW]--;
	m.vcpu[0]->v.l1.root.page->root_refs++;
	BROKEN("root_refs", saved);
	m.vcpu[0]->v.l1.root.page->root_refs--;
	machine_table_page((void *)((uintptr_t)e & ~0xfffull))->nx_split = true;
	BROKEN("nx_splits", saved);
	machine_table_page((void *)((uintptr_t)e & ~0xfffull))->nx_split = false;
	m.ram.taken++;
	BROKEN("taken", saved);
	m.ram.taken--;
	audit(&m);
	end();
}

/* An unmap without the flush it asks for, and one without the report of a write. */
static void test_cpu(void **state)
{
	uint64_t *e, saved;

	(void)state;
	begin();
	e = entry();
	saved = *e;
	/* The host takes the frame away without a word. */
	machine_ram_move(&m.ram, GFN, GFN + 1);
	machine_slots_read_lock(&m);
	COMPLAINS("has gone", machine_cpu_check(m.vcpu[0]));
	machine_slots_read_unlock(&m);
	COMPLAINS("not behind any page", for (int i = 0; i < 64; i++) machine_cpu_access(m.vcpu[0], GFN << 12, 0));
	m.vcpu[0]->cpu_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	machine_self()->held = 0;
	for (int i = 0; i < 14; i++)
		machine_ram_move(&m.ram, GFN, GFN + 1);

	/* The entry goes, its D bit with it, and nobody says so. */
	*e = 0;
	COMPLAINS("owner was not told", machine_change(&m, GFN, GFN + 1, MACHINE_MOVE, VMMU_YIELD_NEVER));
	*e = saved;
	m.leaves[1] = 1;
	m.change_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	pthread_rwlock_init(&m.slots_read, NULL);
	machine_self()->held = 0;
	m.invalidating = 0;
	end();
}

static void test_walker(void **state)
{
	uint64_t *e, saved;

	(void)state;
	begin();
	e = entry();
	saved = *e;
	machine_flush(&m, 0, ~0ull);
	*e = saved | 1ull << 50;
	assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, 0), CPU_FAULT);
	assert_true(m.vcpu[0]->error & VMMU_PF_RSVD);
	*e = saved & ~2ull;
	assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, VMMU_PF_W), CPU_FAULT);
	assert_true((m.vcpu[0]->error & (VMMU_PF_P | VMMU_PF_W)) == (VMMU_PF_P | VMMU_PF_W));
	*e = 0;
	assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, 0), CPU_FAULT);
	assert_true(!(m.vcpu[0]->error & VMMU_PF_P));
	/* A and D are set where they are clear. */
	*e = saved & ~(m.fmt.accessed | m.fmt.dirty);
	assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, 0), CPU_DONE);
	assert_true((*e & m.fmt.accessed) && !(*e & m.fmt.dirty));
	for (int i = 0; i < 8; i++)
		assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, VMMU_PF_W), CPU_DONE);
	assert_true(*e & m.fmt.dirty);
	/* What was read stays in use until it is flushed. */
	*e = 0;
	assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, 0), CPU_DONE);
	machine_flush(&m, GFN, GFN + 1);
	assert_int_equal(machine_cpu_access(m.vcpu[0], GFN << 12, 0), CPU_FAULT);
	*e = saved;
	end();
}

static void test_lost_write(void **state)
{
	(void)state;
	begin();
	machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN);
	assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	/* W comes back, and nobody marks the page. */
	*entry() |= SPTE_W;
	while (machine_cpu_access(m.vcpu[0], GFN << 12, VMMU_PF_W) != CPU_DONE)
		;
	machine_log_harvest(&m, 0, 0, 0, false);
	assert_true(machine_log_check(&m, 0, 0) == GFN);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locks), cmocka_unit_test(test_grace_period), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_audit), cmocka_unit_test(test_cpu), cmocka_unit_test(test_walker),
		cmocka_unit_test(test_lost_write),
		cmocka_unit_test(test_order_of_short_locks), cmocka_unit_test(test_words), cmocka_unit_test(test_low_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
