/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Faults beside what the host invalidates: sent back for their own frame, for no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/fault.h>
#include <vmmu/memory.h>
#include "../../support/audit.h"
#include "mmu/recent.h"

enum { GFN = 0x10, OTHER = 0x40, PAGES = 0x80 };

static struct machine_vm m;
static uint64_t moved;			/* the page that the host moves while a fault has looked its memory up */
static int times;

static void begin_after(uint64_t invalidations)
{
	const struct machine_config config = {
		.phys_bits = 48, .level = 4, .huge_level_max = 1, .root_cache = 4, .seed = 1, .invalidations = invalidations,
	};

	machine_vm_init(&m, &config);
	machine_slot_add(&m, 0, 0, GFN, GFN + PAGES, GFN, false);
	machine_vcpu_add(&m);
	assert_int_equal(vmmu_context_switch(&m.vcpu[0]->v, &m.vcpu[0]->v.l1, vmmu_role_direct(4, 0, false), 0), VMMU_SWITCH_MISS);
	assert_int_equal(vmmu_root_load(&m.vcpu[0]->v), VMMU_OK);
}

static void begin(void) { begin_after(~0ull - 1); }

static void end(void)
{
	machine_hook = NULL;
	audit(&m);
	machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static enum vmmu_fault_result fault(void)
{
	struct vmmu_fault f = { .addr = GFN << VMMU_PAGE_SHIFT, .error_code = VMMU_PF_W, .max_level = VMMU_LEVEL_4K };
	enum vmmu_fault_result result;

	machine_slots_read_lock(&m);
	result = vmmu_fault(&m.vcpu[0]->v, &f);
	machine_slots_read_unlock(&m);
	return result;
}

/* By another thread. */
static void move(enum machine_point point)
{
	static struct machine_thread *host;
	struct machine_thread *self;

	if (point != MACHINE_AT_FAULT_IN)
		return;
	machine_hook = NULL;
	host = host ?: machine_thread_new();
	self = machine_thread_become(host);
	for (int i = 0; i < times; i++)
		machine_change(&m, moved, moved + 1, MACHINE_MOVE, VMMU_YIELD_NEVER);
	machine_thread_become(self);
}

/* What becomes of a fault, if the host moves @page @n times between its look-up and its lock. */
static enum vmmu_fault_result fault_beside(uint64_t page, int n)
{
	moved = page;
	times = n;
	machine_hook = move;
	return fault();
}

static void test_own_frame(void **state)
{
	(void)state;
	begin();
	assert_int_equal(fault_beside(GFN, 1), VMMU_FAULT_RETRY);
	assert_int_equal(fault(), VMMU_FAULT_FIXED);
	end();
}

static void test_other_frame(void **state)
{
	(void)state;
	begin();
	assert_int_equal(fault_beside(OTHER, 1), VMMU_FAULT_FIXED);
	end();
	begin();
	assert_int_equal(fault_beside(OTHER, VMMU_RECENT_RANGES), VMMU_FAULT_FIXED);
	end();
}

/* More than are remembered: any of those that are forgotten can have been the frame's. */
static void test_too_many(void **state)
{
	(void)state;
	begin();
	assert_int_equal(fault_beside(OTHER, VMMU_RECENT_RANGES + 1), VMMU_FAULT_RETRY);
	assert_int_equal(fault(), VMMU_FAULT_FIXED);
	end();
}

/* However many there have been: those of other frames are nobody's business, one's own is. */
static void test_count_at_any_time(void **state)
{
	static const uint64_t counts[] = { 0, (1ull << 31) - 1, 1ull << 31, (1ull << 32) - 1, (1ull << 63) - 1, ~0ull };

	(void)state;
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		begin_after(counts[i]);
		assert_int_equal(fault_beside(OTHER, 2), VMMU_FAULT_FIXED);
		end();
		begin_after(counts[i]);
		assert_int_equal(fault_beside(GFN, 1), VMMU_FAULT_RETRY);
		assert_int_equal(fault(), VMMU_FAULT_FIXED);
		end();
	}
}

/* Return: false if the very frame @gfn is being invalidated. */
static bool mark(struct vmmu_fault *f, uint64_t gfn)
{
	*f = (struct vmmu_fault){ .gfn = gfn, .slot = machine_slot(&m, 0, 0) };
	return vmmu_fault_mark(&m.vcpu[0]->v, f);
}

static void note(int space, uint64_t start, uint64_t end)
{
	machine_lock_excl(&m);
	vmmu_recent_note(&m.vm, space, start, end);
	machine_unlock_excl(&m);
}

/* What is in progress counts where it is, and nowhere else. */
static void test_in_progress(void **state)
{
	struct vmmu_fault f;

	(void)state;
	begin();
	m.invalidating = 1;
	m.invalid_start = OTHER;
	m.invalid_end = OTHER + 1;
	note(0, OTHER, OTHER + 1);
	assert_false(mark(&f, OTHER));
	assert_int_equal(fault(), VMMU_FAULT_FIXED);
	assert_true(mark(&f, GFN));
	assert_false(vmmu_fault_look_again(&m.vcpu[0]->v, &f));
	machine_lock_excl(&m);
	m.invalid_start = GFN;
	if (vmmu_unmap_range(&m.vm, 0, GFN, GFN + 1, VMMU_YIELD_NEVER))
		machine_flush(&m, 0, ~0ull);
	machine_unlock_excl(&m);
	assert_true(vmmu_fault_look_again(&m.vcpu[0]->v, &f));
	assert_true(vmmu_recent_covers(&m.vm, f.mark, 0, GFN, GFN + 1));
	assert_int_equal(fault(), VMMU_FAULT_RETRY);
	m.invalidating = 0;
	assert_true(mark(&f, OTHER));
	end();
}

static void test_ranges(void **state)
{
	uint64_t at;

	(void)state;
	begin();
	at = m.vm.recent.count;
	note(1, GFN, GFN + 4);
	assert_false(vmmu_recent_covers(&m.vm, at, 0, GFN, GFN + 1));
	assert_true(vmmu_recent_covers(&m.vm, at, 1, GFN + 3, GFN + 4));
	assert_false(vmmu_recent_covers(&m.vm, at, 1, GFN + 4, GFN + 5));
	assert_false(vmmu_recent_covers(&m.vm, at, 1, GFN - 1, GFN));
	assert_true(vmmu_recent_covers(&m.vm, at, 1, 0, ~0ull));
	note(-1, OTHER, OTHER + 1);
	assert_true(vmmu_recent_covers(&m.vm, at, 0, OTHER, OTHER + 1));
	assert_true(vmmu_recent_covers(&m.vm, at, 1, OTHER, OTHER + 1));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_frame),
		cmocka_unit_test(test_other_frame),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_count_at_any_time),
		cmocka_unit_test(test_in_progress),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
