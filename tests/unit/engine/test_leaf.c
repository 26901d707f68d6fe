/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What becomes of a leaf that another fault has made meanwhile, and of a table where a large leaf comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"
#include "engine/leaf.h"

#define GFN 0x455ull

static struct machine_vm m;

static void begin(void)
{
	const struct machine_config config = { .phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 2, .seed = 3 };

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, 0x400, 0x400, 0x400, false);
	machine_vcpu_add(&m);
}

static void end(void)
{
	audit(&m);
	machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static uint64_t leaf(const struct vmmu_leaf *l) { return vmmu_spte_make_leaf(&m.fmt, l); }

static void test_joined(void **state)
{
	struct vmmu_leaf written = {
		.pfn = 0x455, .level = 1, .access = VMMU_ACC_ALL, .host_writable = true, .write_now = true, .accessed = true,
		.dirty = true, .plain_memory = true,
	}, read = written, for_good = written;
	uint64_t old, joined;

	(void)state;
	begin();
	read.write_now = read.dirty = false;
	for_good.tracked = true;
	for_good.write_now = for_good.dirty = false;
	old = leaf(&written);
	assert_true(spte_is_writable(old) && spte_is_dirty(&m.fmt, old));

	/* A read that lost the race takes nothing from the write that won. */
	joined = vmmu_leaf_joined(&m.fmt, old, leaf(&read));
	assert_true(spte_is_writable(joined) && spte_is_dirty(&m.fmt, joined) && spte_is_accessed(&m.fmt, joined));
	/* Where the frame is tracked by now W goes. */
	assert_false(spte_is_writable(vmmu_leaf_joined(&m.fmt, old, leaf(&for_good))));

	/* The log has taken W, and left D: the next writer's leaf must not have both without a word to the log. */
	joined = vmmu_leaf_joined(&m.fmt, spte_without_write(old), leaf(&read));
	assert_false(spte_is_writable(joined));
	assert_false(joined & m.fmt.dirty);
	end();
}

static unsigned int flushes, flushed_frozen;

static uint64_t *entry(int level)
{
	uint64_t *table = m.vcpu[0]->v.l1.root.page->table;

	for (int at = 4; at > level; at--)
		table = machine_table_at(spte_address(&m.fmt, table[GFN >> (9 * (at - 1)) & 511]));
	return &table[GFN >> (9 * (level - 1)) & 511];
}

static uint64_t *large;

static void look(void)
{
	flushes++;
	flushed_frozen += spte_is_frozen(*large);
}

/* A large leaf comes where a table stands: no CPU may have translations of both sizes, so the entry is frozen while all flush. */
static void test_large_over_table(void **state)
{
	struct machine_vcpu *c;

	(void)state;
	begin();
	c = m.vcpu[0];
	assert_int_equal(machine_access(c, (GFN + 1) << 12, VMMU_PF_W, 8), MACHINE_ACCESS_DONE);
	/* The host maps the block as one now, without a word: as where khugepaged ran between two faults. */
	machine_ram_set_level(&m.ram, GFN, 2, 2);
	large = entry(2);
	assert_true(spte_is_table(*large, 2));
	machine_at_flush = look;
	for (int i = 0; i < 64 && spte_is_table(*large, 2); i++)
		assert_int_equal(machine_access(c, GFN << 12, VMMU_PF_W, 8), MACHINE_ACCESS_DONE);
	machine_at_flush = NULL;
	assert_true(spte_is_leaf(*large, 2));
	assert_true(flushes > 0);
	assert_int_equal(flushed_frozen, flushes);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_joined), cmocka_unit_test(test_large_over_table) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
