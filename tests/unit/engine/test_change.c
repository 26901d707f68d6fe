/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The one place where entries change: what is counted, told, owed and refused for each kind of change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "../../support/audit.h"
#include "engine/change.h"
#include "page/page.h"

static struct machine_vm m;
static struct vmmu_page *table;
static unsigned int refused;

static void note(const char *what)
{
	assert_non_null(strstr(what, "impossible"));
	refused++;
}

static void begin(const struct machine_config *config)
{
	machine_vm_init(&m, config);
	table = vmmu_page_alloc(&m.vm);
	machine_lock_shared(&m);
	machine_rcu_read_lock();
}

static void end(void)
{
	machine_rcu_read_unlock();
	machine_unlock_shared(&m);
	memset(table->table, 0, VMMU_PAGE_SIZE);
	memset(m.leaves, 0, sizeof(m.leaves));
	vmmu_page_free(table);
	machine_vm_destroy(&m);
}

static struct vmmu_place at(int level)
{
	return (struct vmmu_place){ .vm = &m.vm, .entry = &table->table[7], .gfn = 0x200, .level = (uint8_t)level };
}

static uint64_t leaf(int level, bool accessed, bool dirty, bool write)
{
	struct vmmu_leaf l = {
		.pfn = machine_ram_pfn(&m.ram, 0x200) & ~(vmmu_level_frames(level) - 1),
		.level = (uint8_t)level,
		.access = VMMU_ACC_ALL,
		.host_writable = true,
		.write_now = write,
		.accessed = accessed,
		.dirty = dirty,
		.plain_memory = true,
	};

	return vmmu_spte_make_leaf(&m.fmt, &l);
}

static bool told(void)
{
	bool is = m.ram.told_page[0x200];

	m.ram.told_page[0x200] = 0;
	return is;
}

/* Change @old to @value. Return: is a flush owed, and for just that entry? */
static bool owes(uint64_t old, uint64_t value, int level)
{
	struct vmmu_flush debt = flush_none(&m.vm);
	struct vmmu_place place = at(level);
	uint64_t expected = old;

	*place.entry = old;
	assert_true(vmmu_change_try(&place, &expected, value, &debt));
	assert_true(*place.entry == value);
	assert_true(!debt.dead);
	if (!flush_is_owed(&debt))
		return false;
	assert_true(debt.start == vmmu_gfn_round(0x200, level) && debt.end == debt.start + vmmu_level_frames(level));
	return true;
}

static const struct machine_config legacy = { .phys_bits = 48, .level = 4, .huge_level_max = 3, .seed = 1 };
static const struct machine_config pml = {
	.ept = true, .ad = true, .pml = true, .phys_bits = 46, .level = 4, .huge_level_max = 3, .seed = 1
};
static const struct machine_config no_ad = { .ept = true, .phys_bits = 46, .level = 4, .huge_level_max = 3, .seed = 1 };

static void test_counts(void **state)
{
	(void)state;
	begin(&legacy);
	for (int level = 1; level <= 3; level++) {
		assert_false(owes(0, leaf(level, true, false, true), level));
		assert_int_equal(m.leaves[level], 1);
		assert_true(owes(leaf(level, true, false, true), 0, level));
		assert_int_equal(m.leaves[level], 0);
	}
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_LEAVES_SET), 3);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_LEAVES_ZAPPED), 3);
	/* An MMIO entry is no leaf, and no CPU keeps it. */
	assert_false(owes(0, vmmu_spte_make_mmio(&m.fmt, 0x200, 0, 4), 1));
	assert_false(owes(vmmu_spte_make_mmio(&m.fmt, 0x200, 0, 4), leaf(1, true, false, true), 1));
	assert_int_equal(m.leaves[1], 1);
	end();
}

static void test_told(void **state)
{
	(void)state;
	begin(&legacy);
	owes(leaf(1, true, true, true), 0, 1);
	assert_true(told());
	owes(leaf(1, true, false, true), 0, 1);
	assert_false(told());
	owes(leaf(1, true, true, true), spte_without_dirty(&m.fmt, leaf(1, true, true, true)), 1);
	assert_true(told());
	owes(leaf(1, true, true, true), spte_without_write(leaf(1, true, true, true)), 1);
	assert_false(told());
	owes(0, leaf(1, true, true, true), 1);
	assert_false(told());
	end();
	/* Without D bits whatever may be written counts as written. */
	begin(&no_ad);
	owes(leaf(1, true, false, true), spte_without_write(leaf(1, true, false, true)), 1);
	assert_true(told());
	owes(leaf(1, true, false, true), vmmu_spte_without_accessed(&m.fmt, leaf(1, true, false, true)), 1);
	assert_true(told());
	owes(leaf(1, true, false, false), 0, 1);
	assert_false(told());
	end();
}

static void test_flushes(void **state)
{
	const struct machine_config *configs[] = { &legacy, &pml, &no_ad };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t full, x;

		begin(configs[i]);
		full = leaf(1, true, true, true);
		x = m.fmt.exec ? full & ~m.fmt.exec : full | m.fmt.nx;
		assert_true(owes(full, spte_without_write(full), 1));
		assert_false(owes(spte_without_write(full), full, 1));
		/* W is off, and a CPU may hold it from before. */
		assert_true(owes(spte_without_write(full), spte_without_write_for_good(&m.fmt, full), 1));
		assert_false(owes(spte_without_write_for_good(&m.fmt, full), spte_without_write(full), 1));
		assert_true(owes(full, x, 1));
		assert_false(owes(x, full, 1));
		/* An accessed bit is not worth a flush; a page that becomes absent is. */
		assert_int_equal(owes(full, vmmu_spte_without_accessed(&m.fmt, full), 1), configs[i] == &no_ad);
		if (m.fmt.dirty)
			assert_true(owes(full, spte_without_dirty(&m.fmt, full), 1));
		assert_true(owes(full, SPTE_FROZEN, 1));
		end();
	}
}

static void test_refusals(void **state)
{
	struct vmmu_flush debt;
	struct vmmu_place place;
	uint64_t old, full;

	(void)state;
	begin(&legacy);
	debt = flush_none(&m.vm);
	place = at(2);
	full = leaf(2, true, false, true);

	/* Frozen: only who froze it. */
	old = *place.entry = SPTE_FROZEN;
	assert_false(vmmu_change_try(&place, &old, 0, &debt));
	assert_true(*place.entry == SPTE_FROZEN);
	vmmu_change_thaw(&place, full);
	assert_true(*place.entry == full && m.leaves[2] == 1);

	/* Lost: the entry as it is now, nothing counted. */
	old = 0;
	assert_false(vmmu_change_try(&place, &old, full, &debt));
	assert_true(old == full && m.leaves[2] == 1);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_RACES_LOST), 1);

	/* Turns nobody asks for. */
	machine_on_bug = note;
	refused = 0;
	assert_false(vmmu_change_try(&place, &old, full + (1 << 21), &debt));
	assert_int_equal(refused, 1);
	old = *place.entry = vmmu_spte_make_table(&m.fmt, machine_table_hpa(table->table), false);
	assert_false(vmmu_change_try(&place, &old, full, &debt));
	assert_int_equal(refused, 2);
	assert_false(vmmu_change_try_split(&place, &old, old));
	assert_int_equal(refused, 3);
	machine_on_bug = NULL;
	assert_false(flush_is_owed(&debt));
	end();
}

/* A table that goes takes what is below along: counted back, told, frozen, freed once the debt is paid. */
static void test_take_apart(void **state)
{
	struct vmmu_page *top, *low;
	struct vmmu_flush debt;
	struct vmmu_place place;
	uint64_t old, hpa[2];

	(void)state;
	machine_vm_init(&m, &legacy);
	table = vmmu_page_alloc(&m.vm);
	top = vmmu_page_alloc(&m.vm);
	low = vmmu_page_alloc(&m.vm);
	machine_lock_shared(&m);
	machine_rcu_read_lock();
	debt = flush_none(&m.vm);
	place = at(3);
	hpa[0] = machine_table_hpa(top->table);
	hpa[1] = machine_table_hpa(low->table);
	vmmu_page_name(top, 0, vmmu_role_direct(2, 0, false), place.entry);
	vmmu_page_name(low, 0x200, vmmu_role_direct(1, 0, false), &top->table[1]);
	place.gfn = 0;
	old = 0;
	assert_true(vmmu_change_try(&place, &old, vmmu_spte_make_table(&m.fmt, hpa[0], false), &debt));
	vmmu_page_linked(top);
	top->table[1] = vmmu_spte_make_table(&m.fmt, hpa[1], false);
	vmmu_page_linked(low);
	low->table[0] = leaf(1, true, true, true);
	low->table[1] = vmmu_spte_make_mmio(&m.fmt, 0x201, 0, 2);
	m.leaves[1] = 1;
	assert_false(flush_is_owed(&debt));

	old = *place.entry;
	assert_true(vmmu_change_try(&place, &old, 0, &debt));
	assert_true(told());
	assert_int_equal(m.leaves[1], 0);
	assert_int_equal(vmmu_counter_read(&m.vm, VMMU_C_TABLES_NOW), 0);
	assert_true(debt.start == 0 && debt.end == vmmu_level_frames(3));
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		assert_true(spte_is_frozen(top->table[i]) && spte_is_frozen(low->table[i]));
	/* Dead, but there until no CPU walks them and nobody looks. */
	assert_true(machine_table_is_live(hpa[0]) && machine_table_is_live(hpa[1]));
	assert_int_equal(m.flushes, 0);
	assert_false(vmmu_flush_hand_up(&debt));
	assert_int_equal(m.flushes, 1);
	assert_true(machine_table_is_live(hpa[0]) && machine_table_is_live(hpa[1]));
	machine_rcu_read_unlock();
	assert_false(machine_table_is_live(hpa[0]) || machine_table_is_live(hpa[1]));
	machine_rcu_read_lock();
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts), cmocka_unit_test(test_told), cmocka_unit_test(test_flushes),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_take_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
