/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Bugs that other hypervisors' MMUs had where they mirror a guest's tables, each played through here: see docs/bugs.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vmmu/memory.h>
#include "../../support/audit.h"

/* Frames; the host's page behind each has the same number. */
#define START	0x4f5ull	/* of a slot that begins and ends in the middle of large pages */
#define FRAMES	0x700ull
#define BELOW	0x400ull	/* large pages: one that begins before the slot, one inside, one that ends behind it */
#define INSIDE	0x800ull
#define BEYOND	0xa00ull
#define ROOT	0x610ull	/* tables, from the root down */
#define UPPER	0x611ull
#define MIDDLE	0x612ull
#define LAST	0x613ull
#define OTHER	0x614ull	/* what takes LAST's place */
#define ROOT2	0xa18ull	/* another guest's, whose last one shows the frames from ROOT on; in another large page */
#define WINDOW	0xa1bull
#define ROOTS	0x620ull
#define DATA	0x780ull
#define NOTHING	0x20000ull	/* no memory there */

#define RW	0x67ull		/* present, writable, user, accessed, dirty */
#define RO	0x65ull
#define D	0x40ull
#define LARGE	0x80ull
#define AT(i)	((uint64_t)(i) << 12)
#define IN(n)	((uint64_t)(n) << 21)

static const struct machine_config shadow = {
	.shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 4, .seed = 3,
	.guest_phys_bits = 48, .guest_gb = true, .guest_amd = true,
};
static const struct machine_regs long_mode = {
	.cr0 = 1ull << 31 | 1ull << 16, .cr4 = 1ull << 5, .efer = 1ull << 10 | 1ull << 11, .cr3 = ROOT << 12,
};

static struct machine_vm m;
static struct machine_vcpu *c;

static uint64_t count(enum vmmu_counter n) { return vmmu_counter_read(&m.vm, n); }

static void entry(uint64_t table, unsigned int i, uint64_t value) { machine_store(&m, table, 8 * i, value, 8, true); }
/* By a device, or by a process of the host's: nobody hears of it. */
static void entry_unseen(uint64_t table, unsigned int i, uint64_t value)
{
	machine_store(&m, table, 8 * i, value, 8, false);
}

static void make_chain(uint64_t root, uint64_t last)
{
	entry(root, 0, (root + 1) << 12 | RW);
	entry(root + 1, 0, (root + 2) << 12 | RW);
	entry(root + 2, 0, last << 12 | RW);
}

static void begin(const struct machine_config *config)
{
	machine_vm_init(&m, config);
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_oracle_on(&m);
	m.vm.shadow_quota = 1000;
	c = machine_vcpu_add(&m);
	make_chain(ROOT, LAST);
	for (unsigned int i = 0; i < 16; i++)
		entry(LAST, i, (DATA + i) << 12 | RW);
}

static void begin_guest(const struct machine_regs *regs)
{
	begin(&shadow);
	assert_true(machine_guest_set_regs(c, regs, 0));
}

static void audit_all(void)
{
	struct audit words = { .m = &m, .words = true };

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
	audit_walk(&words);
	machine_mutex_unlock(&m.slots_lock);
}

static void end(void)
{
	audit_all();
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}

static enum machine_access_result try_access(uint64_t address, uint64_t pf) { return machine_access(c, address, pf, 40); }

/* The access comes to @frame. */
static void reaches(uint64_t address, uint64_t pf, uint64_t frame)
{
	assert_int_equal(try_access(address, pf), MACHINE_ACCESS_DONE);
	assert_int_equal(c->reached, frame);
}

static uint64_t faults_of(uint64_t address, uint64_t pf)
{
	uint64_t before = c->faults;

	assert_int_equal(try_access(address, pf), MACHINE_ACCESS_DONE);
	return c->faults - before;
}

/* --- Which page stands below an entry ------------------------------------------------------------ */

/* A large page becomes a table in its own first frame, unseen: what mapped the large page's parts does not mirror the table. */
static void test_table_for_large_page(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(MIDDLE, 1, INSIDE << 12 | RW | LARGE);
	reaches(IN(1) + AT(5), 0, INSIDE + 5);
	entry_unseen(INSIDE, 6, DATA << 12 | RW);
	entry_unseen(MIDDLE, 1, INSIDE << 12 | RW);
	reaches(IN(1) + AT(6), 0, DATA);
	audit_all();
	machine_change(&m, DATA, DATA + 1, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	reaches(IN(1) + AT(6), VMMU_PF_W, DATA);
	end();
}

/* Another large page takes its place, unseen. */
static void test_other_large_page(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(MIDDLE, 1, INSIDE << 12 | RW | LARGE);
	reaches(IN(1) + AT(5), 0, INSIDE + 5);
	entry_unseen(MIDDLE, 1, 0x600ull << 12 | RW | LARGE);
	reaches(IN(1) + AT(0x190), 0, 0x790);
	audit_all();
	machine_change(&m, 0x790, 0x791, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	reaches(IN(1) + AT(0x190), VMMU_PF_W, 0x790);
	end();
}

/* One table by two ways, one of which forbids writes, with entries of which one does: each way's own rights, and one page each. */
static void test_two_ways_to_a_table(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(MIDDLE, 1, LAST << 12 | RO);
	entry(LAST, 4, (DATA + 4) << 12 | RO);
	reaches(AT(4), VMMU_PF_U, DATA + 4);
	reaches(AT(3), VMMU_PF_U | VMMU_PF_W, DATA + 3);
	reaches(IN(1) + AT(3), VMMU_PF_U, DATA + 3);
	assert_int_equal(faults_of(AT(4), VMMU_PF_U), 0);
	assert_int_equal(faults_of(AT(3), VMMU_PF_U | VMMU_PF_W), 0);
	assert_int_equal(faults_of(IN(1) + AT(3), VMMU_PF_U), 0);
	assert_int_equal(try_access(IN(1) + AT(3), VMMU_PF_U | VMMU_PF_W), MACHINE_ACCESS_INJECTED);
	assert_int_equal(try_access(AT(4), VMMU_PF_U | VMMU_PF_W), MACHINE_ACCESS_INJECTED);
	end();
}

/* An MMIO entry comes where a leaf was, which went with nobody noticing: no reverse map leads there any more. */
static void test_mmio_for_memory(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(LAST, 3, DATA << 12 | (RW & ~D));
	reaches(AT(3), 0, DATA);
	entry_unseen(LAST, 3, NOTHING << 12 | RW);
	assert_int_equal(try_access(AT(3), VMMU_PF_W), MACHINE_ACCESS_MMIO);
	audit_all();
	machine_change(&m, DATA, DATA + 1, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	assert_int_equal(try_access(AT(3), VMMU_PF_W), MACHINE_ACCESS_MMIO);
	end();
}

/* Where no entry can say "a device's", none is made: frame 0's would be the word that keeps others off an entry, here. */
static void test_no_entries_for_devices(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	vmmu_spte_format_set_mmio(&m.fmt, 0, 0, 0);
	m.generation[0] = SPTE_FROZEN >> 3;
	reaches(AT(4), 0, DATA + 4);
	entry(LAST, 3, RW);
	for (int turn = 0; turn < 2; turn++)
		assert_int_equal(try_access(AT(3), 0), MACHINE_ACCESS_MMIO);
	assert_int_equal(vmmu_index_first(&m.vm, LAST)->table[3], 0);
	end();
}

/* Rights that the MMIO entry for entry @i of LAST has kept. */
static unsigned int kept_rights(unsigned int i)
{
	return vmmu_spte_mmio_access(m.vm.fmt, vmmu_index_first(&m.vm, LAST)->table[i]);
}

/* A device is read by an entry whose D is clear: what was found for the read must not do for a write, which sets D. */
static void test_device_is_read_first(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(LAST, 3, NOTHING << 12 | (RW & ~D));
	assert_int_equal(try_access(AT(3), 0), MACHINE_ACCESS_MMIO);
	assert_int_equal(kept_rights(3), VMMU_ACC_U);
	entry(LAST, 4, NOTHING << 12 | RW);
	assert_int_equal(try_access(AT(4), 0), MACHINE_ACCESS_MMIO);
	assert_int_equal(kept_rights(4), VMMU_ACC_W | VMMU_ACC_U);
	end();
}

/* --- Borders of a slot ----------------------------------------------------------------------------- */

static void with_slot(void (*run)(struct vmmu_slot *slot))
{
	machine_slots_read_lock(&m);
	run(machine_slot(&m, 0, 0));
	machine_slots_read_unlock(&m);
}

static void split(struct vmmu_slot *slot) { vmmu_split_range(&m.vm, slot, slot->start, slot->end, VMMU_LEVEL_4K); }
static void collapse(struct vmmu_slot *slot) { vmmu_collapse_slot(&m.vm, slot); }
static void age(struct vmmu_slot *slot)
{
	machine_lock_shared(&m);
	vmmu_age_range(&m.vm, 0, slot->start, slot->end);
	machine_unlock_shared(&m);
}

static void touch_large_pages(uint64_t pf)
{
	reaches(IN(1) + AT(START - BELOW), pf, START);
	reaches(IN(2) + AT(7), pf, INSIDE + 7);
	reaches(IN(3) + AT(START + FRAMES - 1 - BEYOND), pf, START + FRAMES - 1);
}

/* A guest's large pages that stick out of a slot at both ends: whatever the host does, it asks for the slot's own frames. */
static void test_large_pages_across_borders(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(MIDDLE, 1, BELOW << 12 | RW | LARGE);
	entry(MIDDLE, 2, INSIDE << 12 | RW | LARGE);
	entry(MIDDLE, 3, BEYOND << 12 | RW | LARGE);
	machine_change(&m, INSIDE, INSIDE + 1, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
	touch_large_pages(VMMU_PF_W);
	assert_int_equal(try_access(IN(1), VMMU_PF_W), MACHINE_ACCESS_MMIO);
	assert_int_equal(try_access(IN(3) + AT(511), VMMU_PF_W), MACHINE_ACCESS_MMIO);
	with_slot(age);
	with_slot(split);
	touch_large_pages(0);
	with_slot(collapse);
	touch_large_pages(VMMU_PF_W);
	machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET);
	machine_log_harvest(&m, 0, 0, 0, true);
	touch_large_pages(VMMU_PF_W);
	machine_log_harvest(&m, 0, 0, 0, true);
	assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	machine_log_stop(&m, 0, 0);
	machine_change(&m, START, START + 1, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	machine_change(&m, START + FRAMES - 1, START + FRAMES, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
	touch_large_pages(VMMU_PF_W);
	end();
}

/* --- Two address spaces that show the same memory ------------------------------------------------- */

static struct machine_vcpu *writer, *walker;

/* @writer's guest sees the tables of @walker's, which runs in the other space, in 4K and as parts of a large page. */
static void begin_two_spaces(int space_of_walker)
{
	struct machine_regs regs = long_mode;

	begin(&shadow);
	machine_slot_add(&m, 1, 0, START, FRAMES, START, false);
	walker = c;
	writer = machine_vcpu_add(&m);
	make_chain(ROOT2, WINDOW);
	entry(ROOT2 + 2, 1, 0x600ull << 12 | RW | LARGE);
	for (unsigned int i = 0; i < 16; i++)
		entry(WINDOW, i, (ROOT + i) << 12 | RW);
	for (unsigned int i = 0; i < 16; i++)
		entry(OTHER, i, (DATA + 16 + i) << 12 | RW);
	assert_true(machine_guest_set_regs(walker, &regs, space_of_walker));
	regs.cr3 = ROOT2 << 12;
	assert_true(machine_guest_set_regs(writer, &regs, !space_of_walker));
}

/* The writer lets the walker's table lead elsewhere, in which the host has to help; the walker flushes, and finds it. */
static void relink(uint64_t address)
{
	writer->g.store_value = OTHER << 12 | RW;
	writer->g.store_bytes = 8;
	assert_int_equal(machine_access(writer, address, VMMU_PF_W, 40), MACHINE_ACCESS_EMULATED);
	machine_guest_flush(walker);
	c = walker;
	reaches(AT(3), 0, DATA + 16 + 3);
}

static void walk(void)
{
	c = walker;
	reaches(AT(3), 0, DATA + 3);
}

static void look(uint64_t address, uint64_t pf)
{
	c = writer;
	reaches(address, pf, MIDDLE);
}

/* A leaf that comes when the frame is a table in the other space: no W ahead of a write. */
static void test_space_maps_table(void **state)
{
	(void)state;
	for (int space = 0; space < 2; space++) {
		begin_two_spaces(space);
		walk();
		look(AT(MIDDLE - ROOT), 0);
		relink(AT(MIDDLE - ROOT));
		end();
	}
}

/* A leaf that was there when the frame became one. */
static void test_space_has_table_mapped(void **state)
{
	(void)state;
	for (int space = 0; space < 2; space++) {
		begin_two_spaces(space);
		look(AT(MIDDLE - ROOT), VMMU_PF_W);
		walk();
		relink(AT(MIDDLE - ROOT));
		end();
	}
}

/* A large page around it, before and after. */
static void test_space_has_large_page(void **state)
{
	(void)state;
	for (int n = 0; n < 4; n++) {
		begin_two_spaces(n & 1);
		machine_change(&m, 0x600, 0x601, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
		if (n & 2)
			walk();
		look(IN(1) + AT(MIDDLE - 0x600), 0);
		walk();
		relink(IN(1) + AT(MIDDLE - 0x600));
		end();
	}
}

/* --- Control bits ------------------------------------------------------------------------------------ */

/* CR0.WP clear and SMEP: what the supervisor writes does not become a page of its own that it may execute, nor the user's. */
static void test_smep_without_wp(void **state)
{
	struct machine_regs regs = long_mode;

	(void)state;
	regs.cr0 &= ~(1ull << 16);
	regs.cr4 |= 1ull << 20;
	begin_guest(&regs);
	entry(LAST, 3, DATA << 12 | RO);
	reaches(AT(3), VMMU_PF_W, DATA);
	assert_int_equal(try_access(AT(3), VMMU_PF_F), MACHINE_ACCESS_INJECTED);
	reaches(AT(3), VMMU_PF_W, DATA);
	assert_int_equal(try_access(AT(3), VMMU_PF_W | VMMU_PF_U), MACHINE_ACCESS_INJECTED);
	reaches(AT(3), VMMU_PF_U, DATA);
	reaches(AT(3), VMMU_PF_W, DATA);
	end();
}

/* PAE: CR3 is loaded with the value it had, and the four registers get others. */
static void test_other_pdptes(void **state)
{
	const struct machine_regs pae = { .cr0 = 1ull << 31, .cr4 = 1ull << 5, .cr3 = ROOTS << 12 };

	(void)state;
	begin(&shadow);
	entry(ROOTS, 1, MIDDLE << 12 | 1);
	entry(ROOTS + 1, 0, OTHER << 12 | RW);
	entry(OTHER, 3, (DATA + 16) << 12 | RW);
	assert_true(machine_guest_set_regs(c, &pae, 0));
	reaches(1ull << 30 | AT(3), 0, DATA + 3);
	entry(ROOTS, 1, (ROOTS + 1) << 12 | 1);
	assert_true(machine_guest_load_cr3(c, ROOTS << 12, true));
	reaches(1ull << 30 | AT(3), 0, DATA + 16);
	entry(ROOTS, 1, MIDDLE << 12 | 1);
	assert_true(machine_guest_load_cr3(c, ROOTS << 12, true));
	reaches(1ull << 30 | AT(3), VMMU_PF_W, DATA + 3);
	end();
}

/* Whatever a guest may ask for, in every mode, with a root and without. */
static void ask_everything(void)
{
	vmmu_invalidate_address(&c->v, c->v.current_context, 0x3000, true);
	vmmu_invalidate_address(&c->v, c->v.current_context, ~0xfffull, false);
	vmmu_sync(&c->v, c->v.current_context);
	vmmu_sync_cached(&c->v, c->v.current_context);
}

static void test_invalidation_in_every_mode(void **state)
{
	const struct machine_regs modes[] = {
		{ .cr0 = 0 },
		{ .cr0 = 1ull << 31, .cr3 = ROOTS << 12 },
		{ .cr0 = 1ull << 31, .cr4 = 1ull << 4, .cr3 = ROOTS << 12 },
		{ .cr0 = 1ull << 31, .cr4 = 1ull << 5, .cr3 = ROOTS << 12 },
		{ .cr0 = 1ull << 31, .cr4 = 1ull << 5, .efer = 1ull << 10, .cr3 = ROOT << 12 },
		{ .cr0 = 1ull << 31, .cr4 = 1ull << 5 | 1ull << 12, .efer = 1ull << 10, .cr3 = ROOT << 12 },
	};

	(void)state;
	begin(&shadow);
	for (unsigned int i = 0; i < 2 * sizeof(modes) / sizeof(modes[0]); i++) {
		assert_true(machine_guest_set_regs(c, &modes[i / 2], 0));
		machine_slots_read_lock(&m);
		vmmu_root_drop_current(&c->v, c->v.current_context);
		ask_everything();
		machine_slots_read_unlock(&m);
		assert_int_equal(machine_vcpu_load(c), VMMU_OK);
		machine_slots_read_lock(&m);
		ask_everything();
		machine_slots_read_unlock(&m);
		try_access(i & 1 ? DATA << 12 : 0x3000, 0);
		machine_guest_invlpg(c, 0x3000);
		machine_guest_flush_all(c);
	}
	end();
}

/* A write to a table that the write itself goes through: the host is told, or it would let the guest try for ever. */
static void test_write_to_own_table(void **state)
{
	static const struct {
		uint64_t frame;
		bool own;
	} writes[] = { { MIDDLE, true }, { ROOT, true }, { LAST, true }, { DATA, false }, { OTHER, false } };

	(void)state;
	begin_guest(&long_mode);
	reaches(AT(3), 0, DATA + 3);
	for (unsigned int i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		struct vmmu_fault f = { .addr = AT(8), .error_code = VMMU_PF_W, .max_level = VMMU_LEVEL_4K };

		entry(LAST, 8, writes[i].frame << 12 | RW);
		machine_guest_flush(c);
		machine_slots_read_lock(&m);
		assert_int_equal(vmmu_fault(&c->v, &f), writes[i].own && writes[i].frame != LAST ? VMMU_FAULT_EMULATE : VMMU_FAULT_FIXED);
		machine_slots_read_unlock(&m);
		assert_int_equal(f.own_table, writes[i].own);
	}
	end();
}

/* A and D that the host sets in a guest's table are writes of the guest: the log has the table's page. */
static void test_flags_are_logged(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	entry(LAST, 3, (DATA + 3) << 12 | (RW & ~D));
	entry(LAST, 4, (DATA + 4) << 12 | (RW & ~D & ~0x20ull));
	reaches(AT(3), 0, DATA + 3);
	machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN);
	reaches(AT(3), VMMU_PF_W, DATA + 3);
	assert_int_equal(machine_log_harvest(&m, 0, 0, 0, false), 2);
	reaches(AT(4), 0, DATA + 4);
	assert_int_equal(machine_log_harvest(&m, 0, 0, 0, false), 1);
	assert_true(machine_log_check(&m, 0, 0) == ~0ull);
	end();
}

/* --- Quota ------------------------------------------------------------------------------------------- */

/* A guest that only ever switches makes pages, too: as many as the quota allows, and those that it stands on. */
static void test_quota_of_roots(void **state)
{
	(void)state;
	begin_guest(&long_mode);
	m.vm.shadow_quota = 1;
	for (unsigned int i = 0; i < 200; i++) {
		assert_true(machine_guest_load_cr3(c, (ROOTS + i) << 12, true));
		assert_int_equal(machine_vcpu_load(c), VMMU_OK);
		assert_true(count(VMMU_C_SHADOWS_NOW) < 50);
	}
	end();
}

/* --- L2, whose writes the CPU's log does not hold -------------------------------------------------- */

#define EPT_RWX	7ull
#define EPT_WB	0x30ull
#define EPT_A_D	0x300ull

static const struct machine_config pml = {
	.ept = true, .ad = true, .pml = true, .phys_bits = 46, .level = 4, .huge_level_max = 2, .root_cache = 4, .seed = 1,
	.guest_phys_bits = 46,
};

static void begin_l2(bool ad)
{
	const struct machine_nested ept = { .ept = true, .root = ROOT << 12, .level = 4, .largest = 2, .ad = ad };

	begin(&pml);
	for (uint64_t table = ROOT; table < LAST; table++)
		entry(table, 0, (table + 1) << 12 | EPT_RWX);
	for (unsigned int i = 0; i < 16; i++)
		entry(LAST, i, (DATA + i) << 12 | EPT_RWX | EPT_WB | EPT_A_D);
	machine_guest_enter(c, &ept, &long_mode, true);
}

static void test_log_of_l2(void **state)
{
	(void)state;
	for (int ad = 0; ad < 2; ad++) {
		begin_l2(ad);
		reaches(AT(3), VMMU_PF_W, DATA + 3);
		machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN);
		for (int i = 0; i < 4; i++) {
			reaches(AT(3), VMMU_PF_W, DATA + 3);
			reaches(AT(4 + i), 0, DATA + 4 + (uint64_t)i);
			reaches(AT(4 + i), VMMU_PF_W, DATA + 4 + (uint64_t)i);
			machine_log_harvest(&m, 0, 0, 0, false);
			assert_true(machine_log_check(&m, 0, 0) == ~0ull);
		}
		end();
	}
}

/*
 * A table of L2's own stands in the page of an EPT table of L1's. As the host's emulator walks it, A is set in the entry by
 * which it goes on, where EPT has a reserved bit: after the next flush nothing is reached by that entry.
 */
static void test_table_of_both_stages(void **state)
{
	struct machine_regs l2 = long_mode;
	struct vmmu_guest_fault fault;

	(void)state;
	begin_l2(true);
	entry(LAST, 11, MIDDLE << 12 | EPT_RWX | EPT_WB | EPT_A_D);
	entry(MIDDLE, 3, 0x600ull << 12 | EPT_RWX | EPT_WB | EPT_A_D | LARGE);
	for (unsigned int i = 8; i < 11; i++)
		entry(DATA + i, 0, AT(i + 1) | RW);
	l2.cr3 = AT(8);
	assert_true(machine_guest_l2_regs(c, &l2));
	reaches(AT(3), 0, DATA + 3);
	machine_slots_read_lock(&m);
	assert_int_equal(machine_guest_l2_translate(c, 0, 0, &fault), LAST << 12);
	machine_slots_read_unlock(&m);
	machine_guest_flush_all(c);
	assert_int_equal(try_access(AT(3), 0), MACHINE_ACCESS_INJECTED);
	end();
}

/*
 * L1 flushes everything while another EPT is current, which has no A and D flags: what mirrors the first one is not to be
 * compared by the second one's rules, by which a leaf may keep W while D is clear.
 */
static void test_flush_of_another_mode(void **state)
{
	const struct machine_nested first = { .ept = true, .root = ROOT << 12, .level = 4, .largest = 2, .ad = true };
	const struct machine_nested second = { .ept = true, .root = ROOT2 << 12, .level = 4, .largest = 2 };

	(void)state;
	begin_l2(true);
	reaches(AT(3), VMMU_PF_W, DATA + 3);
	machine_guest_leave(c);
	/* Once it sees the table, L1 may write it freely. */
	reaches(LAST << 12, 0, LAST);
	c->g.store_value = (DATA + 3) << 12 | EPT_RWX | EPT_WB;
	c->g.store_bytes = 8;
	reaches(LAST << 12 | 3 * 8, VMMU_PF_W, LAST);
	c->g.store_bytes = 0;
	machine_guest_enter(c, &second, &long_mode, false);
	assert_int_equal(machine_vcpu_load(c), VMMU_OK);
	machine_guest_flush_all(c);
	machine_guest_enter(c, &first, &long_mode, false);
	reaches(AT(3), VMMU_PF_W, DATA + 3);
	assert_true((*((uint64_t *)machine_ram_content(&m.ram, LAST) + 3) & EPT_A_D) == EPT_A_D);
	end();
}

/* L1's table of the one space is in the middle of what is a large page to the host: no large leaf in the other either. */
static void test_table_in_other_space(void **state)
{
	struct machine_vcpu *smm;

	(void)state;
	begin_l2(true);
	machine_slot_add(&m, 1, 0, START, FRAMES, START, false);
	machine_change(&m, 0x600, 0x601, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
	reaches(AT(3), VMMU_PF_W, DATA + 3);
	smm = machine_vcpu_add(&m);
	machine_vcpu_switch(smm, 1, false, 4);
	assert_int_equal(machine_access(smm, AT(0x700), 0, 3), MACHINE_ACCESS_DONE);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_for_large_page),
		cmocka_unit_test(test_other_large_page),
		cmocka_unit_test(test_two_ways_to_a_table),
		cmocka_unit_test(test_mmio_for_memory),
		cmocka_unit_test(test_device_is_read_first),
		cmocka_unit_test(test_no_entries_for_devices),
		cmocka_unit_test(test_large_pages_across_borders),
		cmocka_unit_test(test_space_maps_table),
		cmocka_unit_test(test_space_has_table_mapped),
		cmocka_unit_test(test_space_has_large_page),
		cmocka_unit_test(test_smep_without_wp),
		cmocka_unit_test(test_other_pdptes),
		cmocka_unit_test(test_invalidation_in_every_mode),
		cmocka_unit_test(test_write_to_own_table),
		cmocka_unit_test(test_flags_are_logged),
		cmocka_unit_test(test_quota_of_roots),
		cmocka_unit_test(test_log_of_l2),
		cmocka_unit_test(test_flush_of_another_mode),
		cmocka_unit_test(test_table_of_both_stages),
		cmocka_unit_test(test_table_in_other_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
