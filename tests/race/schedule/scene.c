/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See scene.h. */
#include <stdlib.h>
#include "scene.h"

#define ROUNDS 64

struct machine_vm m;

const struct scene *scene_at(unsigned int n)
{
	static unsigned int direct;

	while (direct_scene(direct))
		direct++;
	return n < direct ? direct_scene(n) : shadow_scene(n - direct);
}

/* What only counts does not matter to anybody. */
static void ignore_counters(void)
{
	memory_ignore(m.vm.count, sizeof(m.vm.count));
	memory_ignore(m.vm.leaf_count, sizeof(m.vm.leaf_count));
	memory_ignore(&m.waiting, sizeof(m.waiting));
	memory_ignore(m.leaves, sizeof(m.leaves));
	memory_ignore(&m.flushes, sizeof(m.flushes));
	memory_ignore(&m.flushed_ranges, sizeof(m.flushed_ranges));
	memory_ignore(&m.kicks, sizeof(m.kicks));
	memory_ignore(&m.retries, sizeof(m.retries));
	memory_ignore(&m.emulated, sizeof(m.emulated));
	memory_ignore(&m.mmio, sizeof(m.mmio));
	memory_ignore(&m.ram.taken, sizeof(m.ram.taken));
	for (unsigned int i = 0; i < m.vcpus; i++)
		memory_ignore(m.vcpu[i]->v.count, sizeof(m.vcpu[i]->v.count));
}

void scene_begin(const struct machine_config *config)
{
	memory_watch(&m, sizeof(m));
	machine_vm_init(&m, config);
	m.yield = MACHINE_YIELD_IF_AWAITED;
	machine_slot_add(&m, 0, 0, START, FRAMES, START, false);
	for (int i = 0; i < 2; i++)
		if (machine_vcpu_load(machine_vcpu_add(&m)))
			abort();
	ignore_counters();
}

void scene_vary(uint32_t seed)
{
	for (unsigned int i = 0; i < m.vcpus; i++)
		m.vcpu[i]->random ^= (uint64_t)seed << 20;
}

void scene_access(unsigned int vcpu, vmmu_gfn_t gfn, uint64_t pf)
{
	/* What it waits for may be in another thread's hands. */
	for (int tries = 0; machine_access(m.vcpu[vcpu], gfn << VMMU_PAGE_SHIFT, pf, 2) == MACHINE_ACCESS_GAVE_UP; tries++) {
		if (tries == ROUNDS)
			machine_bug("an access to gfn %#llx makes no progress", (unsigned long long)gfn);
		schedule_give_way();
	}
}

void scene_age(void)
{
	machine_slots_read_lock(&m);
	machine_lock_shared(&m);
	vmmu_age_range(&m.vm, 0, GFN, GFN + 1);
	machine_unlock_shared(&m);
	machine_slots_read_unlock(&m);
}

void scene_move(void) { machine_change(&m, GFN, GFN + 1, MACHINE_MOVE, VMMU_YIELD_ALLOWED); }
void scene_log_start(void) { machine_log_start(&m, 0, 0, MACHINE_LOG_PLAIN); }
void scene_harvest(void) { machine_log_harvest(&m, 0, 0, GFN - START, false); }

void scene_zap_all(void)
{
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
	vmmu_zap_all_fast(&m.vm);
	machine_mutex_unlock(&m.slots_lock);
}

static void check_access(unsigned int vcpu, vmmu_gfn_t gfn, uint64_t pf)
{
	enum machine_access_result expected = MACHINE_ACCESS_DONE;

	machine_slots_read_lock(&m);
	if (!machine_slot_at(&m, 0, gfn))
		expected = MACHINE_ACCESS_MMIO;
	else if ((pf & VMMU_PF_W) && machine_is_tracked(&m, gfn))
		expected = MACHINE_ACCESS_EMULATED;
	machine_slots_read_unlock(&m);
	if (machine_access(m.vcpu[vcpu], gfn << VMMU_PAGE_SHIFT, pf, ROUNDS) != expected)
		machine_bug("an access at rest does not end as it has to");
}

void scene_check(void)
{
	static const uint64_t pf[] = { 0, VMMU_PF_W, VMMU_PF_F };

	audit(&m);
	for (unsigned int i = 0; i < 6; i++)
		check_access(i % 2, GFN, pf[i / 2]);
	/* A large page away: with tables that come from the pools as they were left. */
	for (unsigned int i = 0; i < 2; i++)
		check_access(i, START + i, 0);
	audit(&m);
	scene_end();
}

void scene_end(void)
{
	if (slot() && slot()->logs) {
		machine_log_harvest(&m, 0, 0, 0, true);
		if (machine_log_check(&m, 0, 0) != ~0ull)
			machine_bug("a write is not in the dirty log");
	}
	audit(&m);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
}
