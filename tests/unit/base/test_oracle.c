/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The oracle and the audit of shadow pages notice what they are there to notice: a guest with 4-level tables of its own maps
 * one page, and each rule is broken once, by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../support/audit.h"
#include "../../support/complains.h"

#define TABLES	0x410ull	/* frames of the guest's tables, root first */
#define DATA	0x455ull
#define ADDR	(0x7ull << 39 | 0x5ull << 30 | 0x3ull << 21 | 0x9ull << 12)

static struct machine_vm m;
static struct machine_vcpu *c;
/* Locks that were held at a complaint. */
static void give_up_locks(void)
{
	m.slots_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	c->cpu_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	pthread_rwlock_init(&m.slots_read, NULL);
	machine_self()->held = 0;
}

/* Page of the host's, and place in it, of the guest's entry at @level. */
static uint64_t gpte_page(int level) { return TABLES + (uint64_t)(4 - level); }
static unsigned int gpte_offset(int level) { return (unsigned int)(ADDR >> (12 + 9 * (level - 1)) & 511) * 8; }
static uint64_t *gpte(int level)
{
	return (uint64_t *)((char *)machine_ram_content(&m.ram, gpte_page(level)) + gpte_offset(level));
}

static void begin(void)
{
	const struct machine_config config = {
		.shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 2, .seed = 3,
		.guest_phys_bits = 48, .guest_gb = true, .guest_amd = true,
	};
	const struct machine_regs regs = {
		.cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .efer = 1ull << 10, .cr3 = TABLES << 12,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, 0x400, 0x400, 0x400, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
	for (int level = 4; level; level--)
		machine_store(&m, gpte_page(level), gpte_offset(level),
			      (level > 1 ? gpte_page(level - 1) : DATA) << 12 | 7, 8, true);
	assert_true(machine_guest_set_regs(c, &regs, 0));
	assert_int_equal(machine_access(c, ADDR, VMMU_PF_W, 10), MACHINE_ACCESS_DONE);
}

static void end(void)
{
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

/* The shadow page of @level on the way to ADDR, and its entry. */
static struct vmmu_page *page_at(int level)
{
	struct vmmu_page *page = c->v.l1.root.page;

	while (page->role.level > level)
		page = machine_table_page(machine_table_at(spte_address(&m.fmt,
			page->table[ADDR >> (12 + 9 * (page->role.level - 1)) & 511])));
	return page;
}

static uint64_t *entry(void) { return &page_at(1)->table[ADDR >> 12 & 511]; }

static struct oracle_now now(uint64_t addr, uint64_t pf)
{
	struct oracle_now answer;

	machine_slots_read_lock(&m);
	answer = machine_guest_now(c, addr, pf);
	machine_slots_read_unlock(&m);
	return answer;
}

static void test_walk(void **state)
{
	(void)state;
	begin();
	assert_true(now(ADDR + 0x123, VMMU_PF_W).ok);
	assert_true(now(ADDR, 0).gfn == DATA);
	assert_true(now(ADDR + 0x1000, VMMU_PF_W | VMMU_PF_U).error == 6);
	assert_int_equal(machine_access(c, ADDR + 0x1000, VMMU_PF_W | VMMU_PF_U, 10), MACHINE_ACCESS_INJECTED);
	assert_true(c->g.injected.error_code == 6);
	/* A and D were set, by the walk. */
	assert_true((*gpte(1) & 0x60) == 0x60 && (*gpte(4) & 0x60) == 0x20);
	audit(&m);
	end();
}

static void flush_and_read(void)
{
	machine_guest_flush(c);
	for (int i = 0; i < 64; i++)
		machine_cpu_access(c, ADDR, 0);
}

/* Translations are judged by what the tables have said since the last flush. */
static void test_soundness(void **state)
{
	uint64_t saved;

	(void)state;
	begin();
	machine_store(&m, gpte_page(1), gpte_offset(1), (DATA + 1) << 12 | 7, 8, true);
	/* Not flushed: either frame is right. Flushed, and the entry from before still there: nobody told the core. */
	assert_int_equal(machine_cpu_access(c, ADDR, 0), CPU_DONE);
	COMPLAINS("tables do not give", flush_and_read());
	machine_slots_read_lock(&m);
	vmmu_guest_written(&m.vm, gpte_page(1) << 12 | gpte_offset(1), 8);
	machine_slots_read_unlock(&m);
	assert_int_equal(machine_access(c, ADDR, 0, 10), MACHINE_ACCESS_DONE);
	end();

	/* The host writes for an instruction: it has ended, and a flush counts, when the core has heard. */
	begin();
	machine_store(&m, gpte_page(1), gpte_offset(1), (DATA + 1) << 12 | 7, 8, false);
	flush_and_read();
	oracle_told(m.oracle, gpte_page(1), gpte_offset(1), 8, 0);
	flush_and_read();
	oracle_told(m.oracle, gpte_page(1), gpte_offset(1), 8, oracle_tick(m.oracle));
	assert_int_equal(machine_cpu_access(c, ADDR, 0), CPU_DONE);
	COMPLAINS("tables do not give", flush_and_read());
	end();

	/* Behind everybody's back: a table in sync is not looked at again, and nobody is to blame. */
	begin();
	machine_store(&m, gpte_page(1), gpte_offset(1), (DATA + 1) << 12 | 7, 8, false);
	flush_and_read();
	end();

	/* An entry that leads elsewhere, and one with a right too many. */
	begin();
	saved = *entry();
	*entry() = saved ^ 1ull << 12;
	COMPLAINS("tables do not give", flush_and_read());
	*entry() = saved;
	end();
	begin();
	machine_store(&m, gpte_page(2), gpte_offset(2), gpte_page(1) << 12 | 5, 8, true);
	machine_guest_flush(c);
	COMPLAINS("tables do not give", for (int i = 0; i < 64; i++) machine_cpu_access(c, ADDR, VMMU_PF_W | VMMU_PF_U));
	end();

	/* D goes in memory, as by nobody, while the CPU may write. */
	begin();
	*gpte(1) &= ~0x40ull;
	COMPLAINS("A or D", for (int i = 0; i < 64; i++) machine_cpu_access(c, ADDR, VMMU_PF_W));
	end();
}

static void test_audit_of_shadow_pages(void **state)
{
	struct vmmu_page *page;
	vmmu_entry_set saved;
	vmmu_entry_set *rmap;

	(void)state;
	begin();
	audit(&m);
	page = page_at(1);
	rmap = vmmu_host_slot_rmap(machine_slot(&m, 0, 0), DATA, 1);
	saved = *rmap;
	*rmap = 0;
	COMPLAINS("audit_set_has", audit(&m));
	*rmap = saved;
	saved = page->s.parents;
	page->s.parents = 0;
	COMPLAINS("audit_set_has", audit(&m));
	page->s.parents = saved;
	page->s.tracked = false;
	COMPLAINS("tracked != page->s.unsync", audit(&m));
	page->s.unsync = true;
	COMPLAINS("marked || !below", audit(&m));
	page->s.tracked = true;
	page->s.unsync = false;
	page->gfn++;
	COMPLAINS("index", audit(&m));
	page->gfn--;
	page->root_refs++;
	COMPLAINS("root_refs", audit(&m));
	page->root_refs--;
	m.vm.count[VMMU_C_SHADOWS_NOW]++;
	COMPLAINS("SHADOWS_NOW", audit(&m));
	m.vm.count[VMMU_C_SHADOWS_NOW]--;
	/* The frame it maps is a table now, says its word. */
	++*vmmu_host_slot_track(machine_slot(&m, 0, 0), DATA);
	COMPLAINS("machine_is_tracked", audit(&m));
	--*vmmu_host_slot_track(machine_slot(&m, 0, 0), DATA);
	audit(&m);
	end();
}

/* CR0.WP clear and SMAP: what AC lets the supervisor write is not open to it without AC. */
static void test_smap_without_wp(void **state)
{
	const struct machine_regs regs = {
		.cr0 = 1ull << 31, .cr4 = 1ull << 5 | 1ull << 21, .efer = 1ull << 10, .cr3 = TABLES << 12,
	};

	(void)state;
	begin();
	machine_store(&m, gpte_page(1), gpte_offset(1), DATA << 12 | 5, 8, true);
	assert_true(machine_guest_set_regs(c, &regs, 0));
	c->ac = true;
	assert_int_equal(machine_access(c, ADDR, VMMU_PF_W, 10), MACHINE_ACCESS_EMULATED);
	c->ac = false;
	assert_int_equal(machine_access(c, ADDR, 0, 10), MACHINE_ACCESS_INJECTED);
	assert_true(c->g.injected.error_code == 1);
	end();
}

/* Under a CPU of five levels the root of L1's 4-level NPT is not that of a 5-level one at the same address. */
static void test_levels_of_npt(void **state)
{
	const struct machine_config config = {
		.phys_bits = 48, .level = 5, .huge_level_max = 3, .root_cache = 4, .seed = 3, .guest_phys_bits = 48,
	};
	const struct machine_regs four = { .cr0 = 1ull << 31, .cr4 = 1ull << 5, .efer = 1ull << 10 };
	struct machine_regs five = four;
	const struct machine_nested npt = { .root = TABLES << 12 };
	vmmu_hpa_t root;

	(void)state;
	five.cr4 |= 1ull << 12;
	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, 0x400, 0x400, 0x400, false);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
	machine_guest_enter(c, &npt, &four, true);
	assert_int_equal(machine_vcpu_load(c), VMMU_OK);
	root = vmmu_root_hpa(&c->v.nested);
	machine_guest_enter(c, &npt, &five, false);
	assert_int_equal(machine_vcpu_load(c), VMMU_OK);
	assert_true(vmmu_root_hpa(&c->v.nested) != root);
	machine_guest_enter(c, &npt, &four, false);
	assert_true(vmmu_root_hpa(&c->v.nested) == root);
	end();
}

/* A page that another thread is zapping is no page to evict: an eviction that waited for it went round for ever. */
static void test_eviction_beside_a_zap(void **state)
{
	struct vmmu_page *going;
	uint64_t before;

	(void)state;
	begin();
	going = page_at(3);
	before = vmmu_counter_read(&m.vm, VMMU_C_SHADOWS_NOW);
	going->invalid = true;
	alarm(20);
	machine_slots_read_lock(&m);
	machine_lock_shared(&m);
	vmmu_shrink(&m.vm, before - 1);
	machine_unlock_shared(&m);
	machine_slots_read_unlock(&m);
	alarm(0);
	going->invalid = false;
	assert_true(page_at(3) == going);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_SHADOWS_NOW), before - 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk), cmocka_unit_test(test_soundness), cmocka_unit_test(test_audit_of_shadow_pages),
		cmocka_unit_test(test_smap_without_wp), cmocka_unit_test(test_levels_of_npt),
		cmocka_unit_test(test_eviction_beside_a_zap),
	};

	complains_tidy = give_up_locks;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
