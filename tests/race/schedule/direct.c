/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Scenes on direct tables. */
#include <stdlib.h>
#include "scene.h"

static const struct machine_config legacy = {
	.phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 4, .seed = 1,
};
static const struct machine_config prefetching = {
	.phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 4, .prefetch = 4, .seed = 1,
};
static const struct machine_config ept_pml = {
	.ept = true, .ad = true, .pml = true, .phys_bits = 46, .level = 4, .huge_level_max = 2, .root_cache = 4, .seed = 1,
};
static const struct machine_config ept_no_ad = {
	.ept = true, .phys_bits = 46, .level = 4, .huge_level_max = 2, .root_cache = 4, .seed = 1,
};

static const struct machine_config no_cache = {
	.phys_bits = 48, .level = 4, .huge_level_max = 2, .seed = 1,
};

/* --- What threads do ---------------------------------------------------------------------------- */

static void read0(void) { scene_access(0, GFN, 0); }
static void write0(void) { scene_access(0, GFN, VMMU_PF_W); }
static void fetch0(void) { scene_access(0, GFN, VMMU_PF_F); }
static void write1(void) { scene_access(1, GFN, VMMU_PF_W); }
static void read1(void) { scene_access(1, GFN, 0); }
static void write1_near(void) { scene_access(1, GFN + 1, VMMU_PF_W); }
static void fetch1(void) { scene_access(1, GFN, VMMU_PF_F); }

static void with_slots(void (*what)(void))
{
	machine_slots_read_lock(&m);
	what();
	machine_slots_read_unlock(&m);
}

static void collapse_in(void)
{
	struct vmmu_slot *there = slot();

	if (there)
		vmmu_collapse_slot(&m.vm, there);
}
static void collapse(void) { with_slots(collapse_in); }
static void split_in(void) { vmmu_split_range(&m.vm, slot(), GFN, GFN + 1, 1); }
static void split(void) { with_slots(split_in); }
static void recover_in(void) { vmmu_nx_recover(&m.vm, 8); }
static void recover(void) { with_slots(recover_in); }

static void zap_range_in(void)
{
	machine_lock_excl(&m);
	vmmu_zap_range(&m.vm, GFN, GFN + 1);
	machine_unlock_excl(&m);
}

static void zap_range(void) { with_slots(zap_range_in); }

/* Who moves memory that was written wants to have been told. */
static void collapse_and_move(void) { collapse(); scene_move(); }
static void make_2m(void) { machine_change(&m, GFN, GFN + 1, MACHINE_MAKE_2M, VMMU_YIELD_NEVER); }
static void copy_on_write(void) { machine_change(&m, GFN, GFN + 1, MACHINE_PROTECT, VMMU_YIELD_NEVER); }
static void replace(void) { machine_replace(&m, GFN); }
/* No CPU holds the frame any more; @write: holds it writable. */
static void check_tlbs(bool write)
{
	for (unsigned int n = 0; n < m.vcpus; n++) {
		struct machine_vcpu *c = m.vcpu[n];

		machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
		for (unsigned int i = 0; i < CPU_TLB; i++)
			if (c->tlb[i].root && (c->tlb[i].write || !write) &&
			    GFN - c->tlb[i].gfn < vmmu_level_frames(c->tlb[i].level))
				machine_bug("the frame is out of reach, and a CPU holds it still");
		machine_mutex_unlock(&c->cpu_lock);
	}
}

static void track(void)
{
	machine_track(&m, GFN, true);
	check_tlbs(true);
}

static void delete(void)
{
	machine_slot_delete(&m, 0, 0);
	check_tlbs(false);
}
static void untrack(void) { machine_track(&m, GFN, false); }
static void zap_near_in(void)
{
	machine_lock_excl(&m);
	vmmu_zap_range(&m.vm, GFN & ~3ull, GFN | 3);
	machine_unlock_excl(&m);
}
static void zap_near(void) { with_slots(zap_near_in); }
static void move_near(void) { machine_change(&m, GFN + 1, GFN + 2, MACHINE_MOVE, VMMU_YIELD_ALLOWED); }

/* The VM's lock itself: who holds it, on the heap, where an access can be a step. */
static uint64_t *sharers, *owners;

static void add(uint64_t *word, int n)
{
	schedule_step((uintptr_t)word, true);
	*word += (uint64_t)n;
}

static uint64_t look_at(const uint64_t *word)
{
	schedule_step((uintptr_t)word, false);
	return *word;
}

static void hold_shared(void)
{
	for (int n = 0; n < 2; n++) {
		machine_lock_shared(&m);
		add(sharers, 1);
		if (look_at(owners))
			machine_bug("the lock is held shared beside somebody who has it alone");
		add(sharers, -1);
		machine_unlock_shared(&m);
	}
}

static void hold_alone(void)
{
	machine_lock_excl(&m);
	add(owners, 1);
	if (look_at(owners) != 1 || look_at(sharers))
		machine_bug("somebody has the lock alone, and is not");
	add(owners, -1);
	machine_unlock_excl(&m);
}

/* A nested guest has roots of its own. */
static void look_nested(unsigned int vcpu)
{
	machine_vcpu_switch(m.vcpu[vcpu], 0, true, 4);
	scene_access(vcpu, GFN, 0);
}

static void switch_back_and_forth(unsigned int vcpu)
{
	look_nested(vcpu);
	machine_vcpu_switch(m.vcpu[vcpu], 0, false, 4);
	scene_access(vcpu, GFN, VMMU_PF_W);
}

static void look_nested0(void) { look_nested(0); }
static void look_nested1(void) { look_nested(1); }
static void switch0(void) { switch_back_and_forth(0); }
static void switch1(void) { switch_back_and_forth(1); }

static void prefetch0(void) { machine_prefetch(m.vcpu[0], GFN); }
static void nx_on(void) { machine_set_nx(&m, true); }

/* --- What there is at the beginning --------------------------------------------------------------- */

static void touch(uint64_t pf)
{
	for (unsigned int i = 0; i < 2; i++) {
		scene_access(i, GFN, pf);
		scene_access(i, GFN + 1, 0);
	}
}

static void empty(void) { scene_begin(&legacy); }
static void near_there(void) { empty(); scene_access(0, GFN + 1, 0); }
static void lock_counted(void) { near_there(); sharers = calloc(2, sizeof(*sharers)); owners = sharers + 1; }

static void near_prefetching(void) { scene_begin(&prefetching); scene_access(0, GFN + 16, 0); }
static void seen(void) { empty(); touch(0); }
static void written(void) { empty(); touch(VMMU_PF_W); }
static void two_written(void) { written(); write1_near(); }
static void written_no_ad(void) { scene_begin(&ept_no_ad); touch(VMMU_PF_W); }
/* Now and then the host flushes after aging; then the CPU has to come back. */
static void age_and_flush(void) { scene_age(); machine_flush(&m, 0, ~0ull); }
static void aged_no_ad(void) { written_no_ad(); age_and_flush(); }
static void logged(void) { written(); scene_log_start(); }
static void logged_written(void) { logged(); touch(VMMU_PF_W); }
static void logged_no_ad(void) { written_no_ad(); scene_log_start(); touch(0); age_and_flush(); }
static void logged_pml(void) { scene_begin(&ept_pml); touch(VMMU_PF_W); scene_log_start(); }
static void written_pml(void) { logged_pml(); touch(VMMU_PF_W); }
/* The root that maps the frame is the first vCPU's alone, and nobody caches it. */
static void alone(void) { scene_begin(&no_cache); look_nested1(); write0(); }
static void large_empty(void) { empty(); make_2m(); }
static void large(void) { large_empty(); touch(VMMU_PF_W); }
static void large_logged(void) { large(); scene_log_start(); }
static void large_all_set(void) { large(); machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET); }
static void small_over_large(void) { large(); split(); }
/* Nobody has written yet, and everybody may. */
static void small_unwritten_over_large(void) { large_empty(); touch(0); split(); }
static void hole_over_large(void) { small_over_large(); zap_range(); }
static void aged_small_over_large(void)
{
	scene_begin(&ept_no_ad);
	make_2m();
	touch(VMMU_PF_W);
	split();
	age_and_flush();
}
static void nx_empty(void) { empty(); nx_on(); make_2m(); }
static void nx_large(void) { nx_empty(); touch(VMMU_PF_W); }
static void nx_small(void) { nx_empty(); touch(VMMU_PF_F); touch(VMMU_PF_W); }
static void nx_hole(void) { nx_small(); zap_range(); }
static void cow(void) { seen(); copy_on_write(); touch(0); }
static void tracked(void) { written(); track(); touch(0); }

#define SCENE(title, state, ...) { .name = title, .prepare = state, .thread = { __VA_ARGS__ }, .check = scene_check }
static const struct scene all[] = {
	SCENE("fault, fault", empty, write0, write1),
	SCENE("read, fault", near_there, read0, write1),
	SCENE("fault, fault near", empty, write0, write1_near),
	SCENE("fault, fault, fault near", near_there, write0, write1, write1_near),
	SCENE("fault, fault large", large_empty, write0, write1_near),
	SCENE("fault, zap range", written, write0, zap_range),
	SCENE("fault, zap range, empty", near_there, write0, zap_range),
	SCENE("fault, fault, zap range", near_there, write0, write1, zap_range),
	SCENE("zap near, zap all", two_written, zap_near, scene_zap_all),
	SCENE("zap near, move, write", two_written, zap_near, scene_move, write0),
	SCENE("fault, move", near_there, write0, scene_move),
	SCENE("fault, move, mapped", written, write0, scene_move),
	SCENE("fault, fault, move", near_there, write0, write1, scene_move),
	SCENE("fault, copy on write", seen, write0, copy_on_write),
	SCENE("copy on write by two", cow, write0, write1),
	SCENE("fault, replace", written, write0, replace),
	SCENE("fault, make large", written, write0, make_2m),
	SCENE("fault, zap all", written, write0, scene_zap_all),
	SCENE("fault, zap all, empty", near_there, write0, scene_zap_all),
	SCENE("root switch, zap all", written, switch0, scene_zap_all),
	SCENE("root switch by two", written, switch0, switch1),
	SCENE("root switch by two, zap all", written, look_nested0, look_nested1, scene_zap_all),
	SCENE("last reference to a root, zap all, move", alone, write0, scene_zap_all, scene_move),
	SCENE("zap all, zap all", written, scene_zap_all, scene_zap_all),
	SCENE("fault, zap all, move", near_there, write0, scene_zap_all, scene_move),
	SCENE("fault, slot goes", written, write0, delete),
	SCENE("fault, slot goes, empty", near_there, write0, delete),
	SCENE("fast fault, age", aged_no_ad, write0, scene_age),
	SCENE("fast fault, fast fault", aged_no_ad, write0, write1),
	SCENE("fast fault, age, move", aged_no_ad, write0, scene_age, scene_move),
	SCENE("fast fault, age, collapse", aged_small_over_large, write0, scene_age, collapse),
	SCENE("fault, age", near_there, write0, scene_age),
	SCENE("fault, age, mapped", seen, write0, scene_age),
	SCENE("age, move", written, scene_age, scene_move),
	SCENE("write, begin of log", written, write0, scene_log_start),
	SCENE("first write, begin of log", seen, write0, scene_log_start),
	SCENE("fault, begin of log", near_there, write0, scene_log_start),
	SCENE("fast fault, harvest", logged, write0, scene_harvest),
	SCENE("write, harvest", logged_written, write0, scene_harvest),
	SCENE("write, harvest, zap all", logged_written, write0, scene_harvest, scene_zap_all),
	SCENE("fast fault of two, harvest", logged, write0, write1, scene_harvest),
	SCENE("fast fault, harvest, age", logged_no_ad, write0, scene_harvest, scene_age),
	SCENE("fast fault, move, logged", logged, write0, scene_move),
	SCENE("CPU's log, harvest", logged_pml, write0, scene_harvest),
	SCENE("CPU's log, harvest, written", written_pml, write0, scene_harvest),
	SCENE("CPU's log of two, harvest", written_pml, write0, write1_near, scene_harvest),
	SCENE("write, track", written, write0, track),
	SCENE("fault, track", near_there, write0, track),
	SCENE("fast fault, track", logged, write0, track),
	SCENE("write, harvest, track", logged_written, write0, scene_harvest, track),
	SCENE("write, age, track", written_no_ad, write0, scene_age, track),
	SCENE("write, untrack", tracked, write0, untrack),
	SCENE("split, write", large, split, write0),
	SCENE("split, split", large, split, split),
	SCENE("split, move", large, split, scene_move),
	SCENE("write of large, first harvest", large_all_set, write0, scene_harvest),
	SCENE("split by fault, harvest", large_logged, write0, scene_harvest),
	SCENE("split by two faults", large_logged, write0, write1_near),
	SCENE("collapse, write", small_over_large, collapse, write0),
	SCENE("collapse and move, first write", small_unwritten_over_large, collapse_and_move, write0),
	SCENE("collapse, fault", hole_over_large, collapse, write0),
	SCENE("collapse, slot goes", small_over_large, collapse, delete),
	SCENE("collapse, age", small_over_large, collapse, scene_age),
	SCENE("collapse, collapse", small_over_large, collapse, collapse),
	SCENE("collapse, split", small_over_large, collapse, split),
	SCENE("large leaf over table, write near", hole_over_large, write0, write1_near),
	SCENE("large leaf over table, by two", hole_over_large, write0, read1),
	SCENE("large leaf over table, age", hole_over_large, write0, scene_age),
	SCENE("large leaf over table, split", hole_over_large, write0, split),
	SCENE("large leaf over table, zap all", hole_over_large, write0, scene_zap_all),
	SCENE("fetch, NX recovery", nx_small, fetch0, recover),
	SCENE("fetch of large, NX recovery", nx_large, fetch0, recover),
	SCENE("fetch of large, zap all", nx_large, fetch0, scene_zap_all),
	SCENE("fetch of large, collapse", nx_large, fetch0, collapse),
	SCENE("fetch into a hole, NX recovery", nx_hole, fetch0, recover),
	SCENE("fetch of large, by two", nx_large, fetch0, fetch1),
	SCENE("NX recovery, write", nx_small, recover, write0),
	SCENE("NX recovery, move", nx_small, recover, scene_move),
	SCENE("NX recovery, move, read", nx_small, recover, scene_move, read0),
	SCENE("NX recovery by two", nx_small, recover, recover),
	SCENE("NX recovery, zap all", nx_small, recover, scene_zap_all),
	SCENE("NX recovery, collapse", nx_small, recover, collapse),
	SCENE("NX begins, fetch", large, nx_on, fetch0),
	SCENE("prefetch, zap all", near_prefetching, write0, scene_zap_all),
	SCENE("prefetch, zap range", near_prefetching, write0, zap_near),
	SCENE("prefetch, move near", near_prefetching, write0, move_near),
	SCENE("prefetch, fault near", near_prefetching, write0, write1_near),
	SCENE("prefetch, begin of log", near_prefetching, write0, scene_log_start),
	SCENE("prefetch for guest, move", near_there, prefetch0, scene_move),
	SCENE("prefetch for guest, fault", near_there, prefetch0, write1),
	SCENE("lock: shared, alone", lock_counted, hold_shared, hold_alone),
	SCENE("lock: shared, alone, alone", lock_counted, hold_shared, hold_alone, hold_alone),
	SCENE("lock: shared, shared, alone", lock_counted, hold_shared, hold_shared, hold_alone),
};

const struct scene *direct_scene(unsigned int n)
{
	return n < sizeof(all) / sizeof(all[0]) ? &all[n] : NULL;
}
