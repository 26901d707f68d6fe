/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Threads that do everything at once to one VM, for the thread sanitizer:  race SECONDS [SEED]
 *
 * vCPUs fault and write, one CPU only accesses (and so sets A and D bits while others change entries), the host moves
 * memory, logs, toggles NX, splits, collapses, recovers and zaps. Now and then all stand still and everything is
 * compared.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../support/audit.h"

#define GUESTS	3		/* vCPU threads that serve their faults; the one after them never does */
#define ROUNDS	100000

static struct machine_vm m;
static pthread_rwlock_t world;	/* shared: one operation goes on; exclusive: all stand still */
static bool stop;		/* atomic */
static unsigned long done;	/* atomic */
static uint64_t seed;

struct actor {
	pthread_t thread;
	uint64_t random;
	unsigned int number;
	void (*step)(struct actor *a);
};

static uint64_t below(struct actor *a, uint64_t n) { return machine_random_below(&a->random, n); }

/* --- What there is ------------------------------------------------------------------------------ */

static const struct {
	int space, id;
	vmmu_gfn_t start;
	uint64_t frames, page;
} slots[] = {
	{ 0, 0, 0x403, 0x9f0, 0x403 },		/* small and large pages */
	{ 0, 1, 0x40000, 0x40200, 0x40000 },	/* a very large one */
	{ 1, 0, 0x403, 0x9f0, 0x403 },		/* the same memory in the other address space */
	{ 1, 2, 0x2000, 0x80, 0x2000 },		/* comes and goes */
};

static vmmu_gfn_t any_gfn(struct actor *a)
{
	switch (below(a, 8)) {
	case 0:
		return 0x2000 + below(a, 0x80);
	case 1:
		return 0x40000 + below(a, 0x800);
	case 2:
		return 0x403 + below(a, 0x9f0);
	default:
		return 0x600 + below(a, 12);
	}
}

/* --- Who does what ------------------------------------------------------------------------------ */

/*
 * An access has to come through. What it waits for may be in the hands of a thread that does not run now: on a busy
 * machine that can last longer than any number of rounds, so it is given time between them.
 */
static void guest_access(struct machine_vcpu *c, vmmu_gpa_t gpa, uint64_t pf)
{
	for (int naps = 0; machine_access(c, gpa, pf, ROUNDS) == MACHINE_ACCESS_GAVE_UP; naps++) {
		if (naps == 10000)
			machine_bug("an access makes no progress");
		usleep(1000);
	}
}

static void guest(struct actor *a)
{
	static const uint64_t pf[] = { 0, VMMU_PF_W, VMMU_PF_W, VMMU_PF_F };
	struct machine_vcpu *c = m.vcpu[a->number];

	if (!below(a, 100))
		machine_vcpu_switch(c, !below(a, 4), !below(a, 3), c->level);
	if (!below(a, 50))
		machine_prefetch(c, any_gfn(a));
	for (int i = 0; i < 8; i++)
		guest_access(c, any_gfn(a) << VMMU_PAGE_SHIFT, pf[below(a, 4)]);
}

/* A CPU that never asks the host for anything but its root. */
static void hardware(struct actor *a)
{
	struct machine_vcpu *c = m.vcpu[a->number];

	if (machine_vcpu_load(c))
		machine_bug("no memory for a root");
	for (int i = 0; i < 50; i++)
		if (machine_cpu_access(c, any_gfn(a) << VMMU_PAGE_SHIFT, below(a, 2) ? VMMU_PF_W : 0) == CPU_LOG_FULL) {
			machine_slots_read_lock(&m);
			machine_vcpu_sync_log(c);
			machine_slots_read_unlock(&m);
		}
}

static void mover(struct actor *a)
{
	static const enum machine_change changes[] = { MACHINE_MOVE, MACHINE_SWAP_OUT, MACHINE_PROTECT, MACHINE_MAKE_2M,
						       MACHINE_SPLIT };
	uint64_t page = any_gfn(a);	/* the slots show pages of their own number */
	enum vmmu_yield yield = below(a, 2) ? VMMU_YIELD_ALLOWED : VMMU_YIELD_NEVER;

	if (!below(a, 8))
		machine_replace(&m, page);
	else if (!below(a, 40))
		machine_change(&m, 0x40000, 0x40001, MACHINE_MAKE_1G, yield);
	else
		machine_change(&m, page, page + 1 + below(a, 4), changes[below(a, 5)], yield);
}

static void logger(struct actor *a)
{
	int which = (int)below(a, 3), space = slots[which].space, id = slots[which].id;

	switch (below(a, 12)) {
	case 0:
		machine_log_start(&m, space, id, which == 1 ? MACHINE_LOG_PLAIN : (enum machine_log_way)below(a, 3));
		break;
	case 1:
		machine_log_stop(&m, space, id);
		break;
	default:
		machine_log_harvest(&m, space, id, below(a, slots[which].frames), below(a, 2));
	}
}

static void shaper(struct actor *a)
{
	struct vmmu_slot *slot;
	vmmu_gfn_t gfn;
	int which = (int)below(a, 2);

	machine_slots_read_lock(&m);
	slot = machine_slot(&m, 0, which);
	gfn = slot->start + below(a, 0x800);
	switch (below(a, 5)) {
	case 0:
		vmmu_collapse_slot(&m.vm, slot);
		break;
	case 1:
		vmmu_split_range(&m.vm, slot, gfn, gfn + 1 + below(a, 64), 1 + (int)below(a, 2));
		break;
	case 2:
		machine_lock_shared(&m);
		vmmu_age_range(&m.vm, 0, slot->start, slot->start + 0x800);
		machine_unlock_shared(&m);
		break;
	default:
		vmmu_nx_recover(&m.vm, 1 + below(a, 4));
	}
	machine_slots_read_unlock(&m);
}

static void zapper(struct actor *a)
{
	switch (below(a, 6)) {
	case 0:
		machine_set_nx(&m, !__atomic_load_n(&m.vm.nx_huge_pages, __ATOMIC_RELAXED));
		break;
	case 1:
		machine_slot_delete(&m, 1, 2);
		break;
	case 2:
		if (!__atomic_load_n(&m.slot[1][2], __ATOMIC_ACQUIRE))
			machine_slot_add(&m, 1, 2, 0x2000, 0x80, 0x2000, false);
		break;
	case 3:
		machine_track(&m, 0x600 + below(a, 12), true);
		break;
	case 4:
		for (vmmu_gfn_t gfn = 0x600; gfn < 0x60c; gfn++)
			machine_track(&m, gfn, false);
		break;
	default:
		machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
		vmmu_zap_all_fast(&m.vm);
		machine_mutex_unlock(&m.slots_lock);
	}
	/* Not so often that nothing else happens. */
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

static __thread uint64_t pause_random;

/* On few CPUs threads hardly ever meet between two words: give way there now and then. */
static void give_way(enum machine_point point)
{
	(void)point;
	if (!pause_random || machine_random_below(&pause_random, 6))
		return;
	if (machine_random_below(&pause_random, 32) || machine_holds_class(MACHINE_LOCK_LISTS))
		sched_yield();
	else
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
}

static void *actor_run(void *arg)
{
	struct actor *a = arg;

	pause_random = a->random;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_rwlock_rdlock(&world);
		a->step(a);
		pthread_rwlock_unlock(&world);
		__atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* --- The whole ---------------------------------------------------------------------------------- */

/* All stand still. */
static void compare(void)
{
	audit(&m);
	for (unsigned int i = 0; i < 3; i++) {
		vmmu_gfn_t lost;

		machine_log_harvest(&m, slots[i].space, slots[i].id, 0, false);
		lost = machine_log_check(&m, slots[i].space, slots[i].id);
		if (lost != ~0ull)
			machine_bug("a write to gfn %#llx is not in the dirty log", (unsigned long long)lost);
	}
	audit(&m);
}

static void begin(const struct machine_config *config)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&world, &attr);
	machine_vm_init(&m, config);
	m.yield = MACHINE_YIELD_IF_AWAITED;
	for (unsigned int i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		machine_slot_add(&m, slots[i].space, slots[i].id, slots[i].start, slots[i].frames, slots[i].page,
				 false);
	for (unsigned int i = 0; i <= GUESTS; i++)
		if (machine_vcpu_load(machine_vcpu_add(&m)))
			machine_bug("no memory for a root");
}

static void race(const struct machine_config *config, unsigned long seconds)
{
	static void (*const steps[])(struct actor *a) = {
		guest, guest, guest, hardware, mover, logger, shaper, zapper,
	};
	struct actor actors[sizeof(steps) / sizeof(steps[0])];
	time_t end = time(NULL) + (time_t)seconds;
	unsigned long compared = 0;

	begin(config);
	machine_hook = give_way;
	stop = false;
	done = 0;
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		actors[i] = (struct actor){ .number = i,
					    .step = steps[i],
					    .random = (seed + i) * 0x9e3779b97f4a7c15ull | 1 };
		pthread_create(&actors[i].thread, NULL, actor_run, &actors[i]);
	}
	while (time(NULL) < end) {
		nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
		pthread_rwlock_wrlock(&world);
		compare();
		pthread_rwlock_unlock(&world);
		compared++;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		pthread_join(actors[i].thread, NULL);
	machine_hook = NULL;
	compare();
	printf("%s: %lu turns, %llu faults, %llu races lost, %lu comparisons\n", machine_config_name(config), done,
	       (unsigned long long)vmmu_counter_read(&m.vm, VMMU_C_FAULTS),
	       (unsigned long long)vmmu_counter_read(&m.vm, VMMU_C_RACES_LOST), compared);
	fflush(stdout);
	while (m.vcpus)
		machine_vcpu_remove(&m);
	machine_vm_destroy(&m);
	pthread_rwlock_destroy(&world);
}

int main(int argc, char **argv)
{
	static const struct machine_config configs[] = {
		{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 4, .prefetch = 8 },
		{ .ept = true,
		  .ad = true,
		  .pml = true,
		  .phys_bits = 46,
		  .level = 4,
		  .huge_level_max = 3,
		  .root_cache = 4,
		  .prefetch = 8 },
		{ .ept = true, .phys_bits = 46, .level = 5, .huge_level_max = 3, .root_cache = 1, .prefetch = 8 },
	};
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 45, n = sizeof(configs) / sizeof(configs[0]);

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	for (unsigned long i = 0; i < n; i++)
		race(&configs[i], (seconds + n - 1) / n);
	printf("%lu passed, 0 failed, 0 skipped\n", n);
	return 0;
}
