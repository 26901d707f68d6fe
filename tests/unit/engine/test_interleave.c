/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two operations on the same frames, the second one run whole between any two steps of the first: in every state of the
 * frames, at every access to a shared word. What has to hold at rest holds afterwards, and every access makes progress.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/audit.h"

#define START	0x400ull		/* of the slot: aligned, three large pages long */
#define FRAMES	0x600ull
#define GFN	0x655ull		/* what everything is about, in the second one */
#define ROUNDS	12

/* Pairs are tried at each point of the first operation; where a sanitizer slows that down, at every so many. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define STRIDE	9
#endif
#endif
#ifndef STRIDE
#define STRIDE	4
#endif

static struct machine_vm m;
static struct machine_thread *other;
static long countdown;			/* points to go until the other thread runs */
static const struct op *second, *third;
static const char *state_name, *first_name;
static unsigned int first_how;
static long point;
static bool was_run, broken;

static struct vmmu_slot *slot(void) { return machine_slot(&m, 0, 0); }

static void bug(const char *what)
{
	machine_hook = NULL;
	broken = true;
	print_error("%s\n  %s: state %s, first %s, second %s%s%s at point %ld\n", what, machine_config_name(&m.config),
		    state_name, first_name, second ? *(const char *const *)second : "none", third ? ", " : "",
		    third ? *(const char *const *)third : "", point);
	fail();
}

/* --- Operations ------------------------------------------------------------------------------- */

static void read0(void) { machine_access(m.vcpu[0], GFN << 12, 0, 4); }
static void write0(void) { machine_access(m.vcpu[0], GFN << 12, VMMU_PF_W, 4); }
static void fetch0(void) { machine_access(m.vcpu[0], GFN << 12, VMMU_PF_F, 4); }
static void read1(void) { machine_access(m.vcpu[1], GFN << 12, 0, 4); }
static void write1(void) { machine_access(m.vcpu[1], GFN << 12, VMMU_PF_W, 4); }
static void fetch1(void) { machine_access(m.vcpu[1], GFN << 12, VMMU_PF_F, 4); }
static void read1_near(void) { machine_access(m.vcpu[1], (GFN + 1) << 12, 0, 4); }
static void write1_near(void) { machine_access(m.vcpu[1], (GFN ^ 2) << 12, VMMU_PF_W, 4); }
static void prefetch0(void) { machine_prefetch(m.vcpu[0], GFN); }

static void with_slots(void (*run)(void))
{
	machine_slots_read_lock(&m);
	run();
	machine_slots_read_unlock(&m);
}

static void collapse_in(void) { vmmu_collapse_slot(&m.vm, slot()); }
static void collapse(void) { with_slots(collapse_in); }
static void split_in(void) { vmmu_split_range(&m.vm, slot(), GFN, GFN + 1, 1); }
static void split(void) { with_slots(split_in); }
static void recover_in(void) { vmmu_nx_recover(&m.vm, 8); }
static void recover(void) { with_slots(recover_in); }

static void zap_slot_in(void)
{
	vmmu_zap_slot(&m.vm, slot());
	/* On return no entry and no TLB refers to its frames. */
	for (unsigned int v = 0; v < m.vcpus; v++)
		for (unsigned int i = 0; i < CPU_TLB; i++)
			if (m.vcpu[v]->tlb[i].root)
				machine_bug("zap_slot returned, and a CPU still holds a translation");
}

/* Memslots change, and all is zapped, one after the other. */
static void with_slots_lock(void (*run)(void))
{
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
	run();
	machine_mutex_unlock(&m.slots_lock);
}

static void zap_slot(void) { with_slots_lock(zap_slot_in); }

static void age(void)
{
	machine_lock_shared(&m);
	vmmu_age_range(&m.vm, 0, START, START + FRAMES);
	machine_unlock_shared(&m);
}

/* Of the log: as the harvest does it, which flushes before anybody looks at the pages. */
static void wrprot_in(void) { vmmu_wrprot_slot(&m.vm, slot(), VMMU_LEVEL_4K); }
static void wrprot(void)
{
	with_slots(wrprot_in);
	machine_flush(&m, 0, ~0ull);
}

static void harvest(void) { machine_log_harvest(&m, 0, 0, 0, false); }
static void move(void) { machine_change(&m, GFN, GFN + 1, MACHINE_MOVE, VMMU_YIELD_ALLOWED); }
static void make_2m(void) { machine_change(&m, GFN, GFN + 1, MACHINE_MAKE_2M, VMMU_YIELD_NEVER); }
static void copy_on_write(void) { machine_change(&m, GFN, GFN + 1, MACHINE_PROTECT, VMMU_YIELD_NEVER); }
static void replace(void) { machine_replace(&m, GFN); }
static void zap_fast_in(void) { vmmu_zap_all_fast(&m.vm); }
static void zap_fast(void) { with_slots_lock(zap_fast_in); }
static void track(void) { machine_track(&m, GFN, true); }

enum {
	EXCL = 1,			/* needs the VM's lock exclusively */
	SLOTS = 2,			/* needs slots_lock */
	FAULTS = 4,			/* looks up the slot, which nobody does any more when it is zapped */
	ZAPS = 8,
};

static const struct op {
	const char *name;
	void (*run)(void);
	unsigned int how;
} ops[] = {
	{ "read", read0, FAULTS }, { "write", write0, FAULTS }, { "fetch", fetch0, FAULTS },
	{ "prefetch", prefetch0, FAULTS }, { "collapse", collapse, 0 }, { "split", split, 0 },
	{ "NX recovery", recover, 0 }, { "age", age, 0 }, { "zap slot", zap_slot, SLOTS | ZAPS },
	{ "wrprot", wrprot, 0 },
	{ "harvest", harvest, EXCL | SLOTS }, { "move", move, EXCL }, { "make 2M", make_2m, EXCL },
	{ "copy on write", copy_on_write, EXCL }, { "replace", replace, EXCL }, { "zap all", zap_fast, EXCL | SLOTS },
	{ "track", track, EXCL | SLOTS },
}, others[] = {
	{ "read", read1, FAULTS }, { "write", write1, FAULTS }, { "fetch", fetch1, FAULTS },
	{ "read near", read1_near, FAULTS }, { "write near", write1_near, FAULTS },
	{ "collapse", collapse, 0 }, { "split", split, 0 }, { "NX recovery", recover, 0 },
	{ "age", age, 0 }, { "zap slot", zap_slot, SLOTS | ZAPS }, { "wrprot", wrprot, 0 },
	{ "harvest", harvest, EXCL | SLOTS }, { "move", move, EXCL }, { "make 2M", make_2m, EXCL },
	{ "copy on write", copy_on_write, EXCL }, { "replace", replace, EXCL }, { "zap all", zap_fast, EXCL | SLOTS },
	{ "track", track, EXCL | SLOTS },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- States ------------------------------------------------------------------------------------- */

static void touch_both(uint64_t pf)
{
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(machine_access(m.vcpu[i], GFN << 12, pf, ROUNDS), MACHINE_ACCESS_DONE);
		assert_int_equal(machine_access(m.vcpu[i], (GFN + 1) << 12, 0, ROUNDS), MACHINE_ACCESS_DONE);
	}
}

static void s_empty(void) {}
static void s_read(void) { touch_both(0); }
static void s_written(void) { touch_both(VMMU_PF_W); }
static void s_aged(void) { touch_both(VMMU_PF_W); age(); }
static void s_large(void) { make_2m(); touch_both(VMMU_PF_W); }
static void s_large_aged(void) { make_2m(); touch_both(VMMU_PF_W); age(); }
static void s_large_empty(void) { make_2m(); }
static void s_small_over_large(void) { s_large(); split(); }
static void s_log(void) { touch_both(VMMU_PF_W); machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN); }
static void s_log_large(void) { s_large(); machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN); }
static void s_log_all_set(void) { s_large(); machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET); }
static void s_log_written(void) { s_log(); touch_both(VMMU_PF_W); }
static void s_nx_empty(void) { machine_set_nx(&m, true); make_2m(); }
static void s_nx_large(void) { s_nx_empty(); touch_both(VMMU_PF_W); }
static void s_nx_small(void) { s_nx_empty(); touch_both(VMMU_PF_F); touch_both(VMMU_PF_W); }
static void s_copy_on_write(void) { copy_on_write(); touch_both(0); }

static const struct state {
	const char *name;
	void (*enter)(void);
} states[] = {
	{ "empty", s_empty },
	{ "read", s_read },
	{ "written", s_written },
	{ "aged", s_aged },
	{ "large", s_large },
	{ "large, aged", s_large_aged },
	{ "large, empty", s_large_empty },
	{ "small over large", s_small_over_large },
	{ "log", s_log },
	{ "log, large", s_log_large },
	{ "log, all set", s_log_all_set },
	{ "log, written", s_log_written },
	{ "NX, empty", s_nx_empty },
	{ "NX, large", s_nx_large },
	{ "NX, small", s_nx_small },
	{ "copy on write", s_copy_on_write },
};

static void leave(void)
{
	machine_log_stop(&m, 0, 0);
	if (m.vm.nx_huge_pages)
		machine_set_nx(&m, false);
	machine_track(&m, GFN, false);
	machine_change(&m, START, START + FRAMES, MACHINE_SPLIT, VMMU_YIELD_NEVER);
	for (uint64_t page = START; page < START + FRAMES; page++)
		ram_set_flags(&m.ram, page, 0);
	vmmu_zap_all_fast(&m.vm);
	assert_int_equal(machine_vcpu_load(m.vcpu[0]) | machine_vcpu_load(m.vcpu[1]), 0);
}

/* --- One scene ---------------------------------------------------------------------------------- */

static bool free_now(pthread_mutex_t *mutex)
{
	if (pthread_mutex_trylock(mutex))
		return false;
	pthread_mutex_unlock(mutex);
	return true;
}

/* May @op run while the first thread stands here? */
static bool possible(const struct op *op)
{
	enum machine_held held = machine_lock_held(&m.lock);

	if (machine_holds_class(MACHINE_LOCK_LISTS) || machine_holds_class(MACHINE_LOCK_CPU) ||
	    held == MACHINE_HELD_EXCL)
		return false;
	if ((op->how & EXCL) && (held != MACHINE_NOT_HELD || !free_now(&m.change_lock)))
		return false;
	/* Dirty logging begins and ends with a wait for all who look at slots. */
	return !(op->how & SLOTS) || (!machine_holds_class(MACHINE_LOCK_SLOTS) && free_now(&m.slots_lock));
}

/* A slot is zapped when nobody can fault on it any more. */
static bool excluded(unsigned int how, unsigned int other_how)
{
	return (how & ZAPS) && (other_how & FAULTS);
}

static void run_other(const struct op *op)
{
	struct machine_thread *self;
	bool held = machine_lock_held(&m.lock) != MACHINE_NOT_HELD;

	if (!possible(op) || excluded(first_how, op->how) || excluded(op->how, first_how))
		return;
	self = machine_thread_become(other);
	other->shared_only = held;
	op->run();
	machine_thread_become(self);
	was_run = true;
}

static void hook(enum machine_point at)
{
	(void)at;
	if (--countdown)
		return;
	machine_hook = NULL;
	run_other(second);
	if (third)
		run_other(third);
}

/* What has to hold, whatever was done. */
static void check_rest(void)
{
	static const uint64_t pf[] = { 0, VMMU_PF_W, VMMU_PF_F };
	enum machine_access_result expected;

	audit(&m);
	for (unsigned int i = 0; i < 6; i++) {
		expected = pf[i / 2] == VMMU_PF_W && m.slots_tracked ? MACHINE_ACCESS_EMULATED : MACHINE_ACCESS_DONE;
		if (machine_access(m.vcpu[i % 2], GFN << 12, pf[i / 2], ROUNDS) != expected)
			machine_bug("an access makes no progress");
	}
	if (slot()->logs) {
		machine_log_harvest(&m, 0, 0, 0, true);
		if (machine_log_check(&m, 0, 0) != ~0ull)
			machine_bug("a write is not in the dirty log");
	}
	audit(&m);
}

/* Return: did the first operation get as far as that point? */
static bool scene(const struct state *state, const struct op *first, long at)
{
	bool reached;

	state_name = state->name;
	first_name = first->name;
	first_how = first->how;
	point = at;
	state->enter();
	was_run = false;
	countdown = at;
	machine_hook = hook;
	first->run();
	reached = !machine_hook;
	machine_hook = NULL;
	check_rest();
	leave();
	return reached;
}

static void setup_vm(const struct machine_config *config)
{
	if (broken)
		skip();
	machine_on_bug = bug;
	other = other ? other : machine_thread_new();
	machine_vm_init(&m, config);
	m.yield = MACHINE_YIELD_NEVER;
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	machine_vcpu_add(&m);
	machine_vcpu_add(&m);
}

static void end_vm(void)
{
	second = third = NULL;
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
	machine_on_bug = NULL;
}

static const struct machine_config configs[] = {
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 4, .seed = 1 },
	{ .ept = true,
	  .ad = true,
	  .pml = true,
	  .phys_bits = 46,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 4,
	  .prefetch = 8,
	  .seed = 2 },
	{ .ept = true, .phys_bits = 46, .level = 5, .huge_level_max = 3, .root_cache = 4, .seed = 3 },
};

/* Every pair in every state at every point. */
static void test_pairs(void **state)
{
	unsigned long scenes = 0;

	setup_vm(*state);
	for (unsigned int s = 0; s < COUNT(states); s++)
		for (unsigned int a = 0; a < COUNT(ops); a++)
			for (unsigned int b = 0; b < COUNT(others); b++) {
				second = &others[b];
				for (long at = 1 + (long)(a + b + s) % STRIDE;
				     scene(&states[s], &ops[a], at) && at < 400; at += STRIDE)
					scenes++;
			}
	end_vm();
	print_message("%lu scenes\n", scenes);
}

/* Three operations: the second takes away what the first has just made, the third puts something else there. */
static void test_triples(void **state)
{
	static const unsigned int seconds[] = { 5, 7, 9, 6 }, thirds[] = { 0, 1, 2, 6 };
	unsigned long scenes = 0;

	setup_vm(*state);
	for (unsigned int s = 0; s < COUNT(states); s++)
		for (unsigned int a = 0; a < 7; a++)
			for (unsigned int i = 0; i < COUNT(seconds) * COUNT(thirds); i++) {
				second = &others[seconds[i / COUNT(thirds)]];
				third = &others[thirds[i % COUNT(thirds)]];
				for (long at = 1; scene(&states[s], &ops[a], at) && at < 60; at += STRIDE > 2 ? 3 : 1)
					scenes++;
			}
	end_vm();
	print_message("%lu scenes\n", scenes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "pairs, legacy", test_pairs, NULL, NULL, (void *)&configs[0] },
		{ "pairs, EPT with PML", test_pairs, NULL, NULL, (void *)&configs[1] },
		{ "pairs, EPT without A/D", test_pairs, NULL, NULL, (void *)&configs[2] },
		{ "triples, legacy", test_triples, NULL, NULL, (void *)&configs[0] },
		{ "triples, EPT without A/D", test_triples, NULL, NULL, (void *)&configs[2] },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
