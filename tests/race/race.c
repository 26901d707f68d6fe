/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Threads that do everything at once to one VM, for the thread sanitizer:  race SECONDS [SEED]
 *
 * vCPUs fault and write, one CPU only accesses (and so sets A and D bits while others change entries), the host moves
 * memory, logs, toggles NX, splits, collapses, recovers and zaps. Where there is no nested paging, and where there are nested
 * guests, vCPUs also rewrite, share, flush and switch tables that are mirrored. Now and then all stand still and everything
 * is compared.
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

static const uint64_t pf[] = { 0, VMMU_PF_W, VMMU_PF_W, VMMU_PF_F };

static void guest(struct actor *a)
{
	struct machine_vcpu *c = m.vcpu[a->number];

	if (!below(a, 100))
		machine_vcpu_switch(c, !below(a, 4), !below(a, 3), c->level);
	if (!below(a, 50))
		machine_prefetch(c, any_gfn(a));
	for (int i = 0; i < 8; i++)
		guest_access(c, any_gfn(a) << VMMU_PAGE_SHIFT, pf[below(a, 4)]);
}

/* --- Tables of the guest's, in its memory ------------------------------------------------------- */

/* Frames of the first slot. */
#define TOPS		0x500ull
#define UPPERS		0x504ull	/* level 3 */
#define MIDDLES		0x506ull	/* level 2 */
#define LASTS		0x508ull	/* level 1 */
#define WINDOW		0x510ull	/* level 1, shows all tables, and is never rewritten; nor is the way to it */
enum { N_TOPS = 4, N_UPPERS = 2, N_MIDDLES = 2, N_LASTS = 8, N_TABLES = 17, WINDOW_AT = 9, LARGE_AT = 8, ENTRIES = 16 };

/* Present, writable, user, accessed, dirty; without D; without W; as a large page. */
#define RW	0x67ull
#define CLEAN	0x27ull
#define READ	0x65ull
#define LARGE	0xe7ull

static uint64_t in_window(uint64_t table, uint64_t i)
{
	return 1ull << 30 | (uint64_t)WINDOW_AT << 21 | (table - TOPS) << 12 | i << 3;
}

static uint64_t any_address(struct actor *a)
{
	return below(a, 2) << 30 | below(a, LARGE_AT + 1) << 21 | below(a, ENTRIES) << 12;
}

static void tables_make(void)
{
	for (uint64_t i = 0; i < N_TOPS; i++)
		machine_store(&m, TOPS + i, 0, (UPPERS + i % N_UPPERS) << 12 | RW, 8, true);
	for (uint64_t i = 0; i < N_UPPERS * N_MIDDLES; i++)
		machine_store(&m, UPPERS + i / 2, 8 * (i % 2), (MIDDLES + i % 2) << 12 | RW, 8, true);
	for (uint64_t k = 0; k < N_MIDDLES; k++) {
		for (uint64_t i = 0; i < N_LASTS; i++)
			machine_store(&m, MIDDLES + k, 8 * i, (LASTS + i) << 12 | RW, 8, true);
		machine_store(&m, MIDDLES + k, 8 * LARGE_AT, 0x600 << 12 | LARGE, 8, true);
		machine_store(&m, MIDDLES + k, 8 * WINDOW_AT, WINDOW << 12 | RW, 8, true);
	}
	for (uint64_t i = 0; i < N_TABLES; i++)
		machine_store(&m, WINDOW, 8 * i, (TOPS + i) << 12 | RW, 8, true);
}

/* Choose an entry of some table, and what it becomes. */
static uint64_t any_entry(struct actor *a, uint64_t *table, uint64_t *i)
{
	static const uint64_t bits[] = { RW, RW, CLEAN, READ };

	*i = 0;
	switch (below(a, 16)) {
	case 0:
		*table = TOPS + below(a, N_TOPS);
		return (UPPERS + below(a, N_UPPERS)) << 12 | RW;
	case 1:
		*table = UPPERS + below(a, N_UPPERS);
		return below(a, 4) ? (MIDDLES + below(a, N_MIDDLES)) << 12 | RW : 0;
	case 2:
	case 3:
		*table = MIDDLES + below(a, N_MIDDLES);
		*i = below(a, N_LASTS);
		return below(a, 4) ? (LASTS + below(a, N_LASTS)) << 12 | RW : 0;
	default:
		*table = LASTS + below(a, N_LASTS);
		*i = below(a, ENTRIES);
	}
	switch (below(a, 8)) {
	case 0:
		return 0;
	case 1:
		return (TOPS + below(a, N_TABLES)) << 12 | READ;
	default:
		return any_gfn(a) << 12 | bits[below(a, 4)];
	}
}

/* It writes an entry, through the window or, below L2, where the table is. */
static void rewrite(struct actor *a, struct machine_vcpu *c)
{
	uint64_t table, i;

	c->g.store_value = any_entry(a, &table, &i);
	c->g.store_bytes = 8;
	guest_access(c, m.config.shadow ? in_window(table, i) : table << 12 | i << 3, VMMU_PF_W);
	c->g.store_bytes = 0;
}

static void use_tables(struct actor *a, struct machine_vcpu *c)
{
	switch (below(a, 8)) {
	case 0:
		machine_guest_flush(c);
		break;
	case 1:
		machine_guest_invlpg(c, any_address(a));
		break;
	case 2:
		machine_guest_flush_all(c);
		break;
	default:
		break;
	}
	for (int i = 0; i < 8; i++)
		guest_access(c, any_address(a), VMMU_PF_U | pf[below(a, 4)]);
}

static const struct machine_regs long_mode = {
	.cr0 = 1ull << 31 | 1ull << 16 | 1, .cr4 = 1 << 5, .efer = 1 << 8 | 1 << 10 | 1 << 11, .cr3 = TOPS << 12,
};

/* Without nested paging: processes of its own. */
static void shadowed_guest(struct actor *a)
{
	struct machine_vcpu *c = m.vcpu[a->number];

	if (!below(a, 4))
		machine_guest_load_cr3(c, (TOPS + below(a, N_TOPS)) << 12, below(a, 2));
	rewrite(a, c);
	use_tables(a, c);
}

/* With it: L2s on L1's nested tables. */
static void nesting_guest(struct actor *a)
{
	struct machine_vcpu *c = m.vcpu[a->number];
	const struct machine_nested l2 = {
		.root = (TOPS + below(a, N_TOPS)) << 12, .ept = false,
	};

	rewrite(a, c);
	guest_access(c, any_gfn(a) << VMMU_PAGE_SHIFT, pf[below(a, 4)]);
	machine_guest_enter(c, &l2, &long_mode, below(a, 2));
	use_tables(a, c);
	machine_guest_leave(c);
}

/* What the host does to shadow pages alone. */
static void shadow_shaper(struct actor *a)
{
	machine_slots_read_lock(&m);
	if (below(a, 2)) {
		vmmu_unprotect(&m.vm, TOPS + below(a, N_TABLES));
	} else {
		machine_lock_shared(&m);
		vmmu_shrink(&m.vm, below(a, 30));
		machine_unlock_shared(&m);
	}
	machine_slots_read_unlock(&m);
}

/* A CPU that never asks the host for anything but its root. */
static void hardware(struct actor *a)
{
	struct machine_vcpu *c = m.vcpu[a->number];

	if (machine_vcpu_load(c))
		machine_bug("no memory for a root");
	for (int i = 0; i < 50; i++)
		if (machine_cpu_access(c, m.config.shadow ? any_address(a) : any_gfn(a) << VMMU_PAGE_SHIFT,
				       below(a, 2) ? VMMU_PF_W : 0) == CPU_LOG_FULL) {
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
	m.vm.shadow_quota = 40;
	tables_make();
	for (unsigned int i = 0; i <= GUESTS; i++) {
		struct machine_vcpu *c = machine_vcpu_add(&m);

		if (config->shadow && !machine_guest_set_regs(c, &long_mode, 0))
			machine_bug("no such registers");
		if (machine_vcpu_load(c))
			machine_bug("no memory for a root");
	}
}

static void race(const struct machine_config *config, unsigned long seconds)
{
	/* Nested tables: only where the guest's CPU is said to have what they are made of. */
	bool nests = !config->shadow && config->guest_phys_bits, mirrors = nests || config->shadow;
	void (*const one)(struct actor *a) = config->shadow ? shadowed_guest : nests ? nesting_guest : guest;
	void (*const steps[])(struct actor *a) = {
		one, one, config->shadow ? one : guest, hardware, mover, logger, shaper, zapper, mirrors ? shadow_shaper : shaper,
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
	printf("%s: %lu turns, %llu faults, %llu races lost, %llu pages synced, %lu comparisons\n", machine_config_name(config),
	       done, (unsigned long long)vmmu_counter_read(&m.vm, VMMU_C_FAULTS),
	       (unsigned long long)vmmu_counter_read(&m.vm, VMMU_C_RACES_LOST),
	       (unsigned long long)vmmu_counter_read(&m.vm, VMMU_C_SYNCED), compared);
	fflush(stdout);
	if (mirrors && !vmmu_counter_read(&m.vm, VMMU_C_SYNCED))
		machine_bug("no table was out of step: nothing was tried");
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
		{ .shadow = true,
		  .phys_bits = 48,
		  .guest_phys_bits = 48,
		  .level = 4,
		  .huge_level_max = 3,
		  .root_cache = 3,
		  .prefetch = 8 },
		{ .phys_bits = 48,
		  .guest_phys_bits = 48,
		  .guest_amd = true,
		  .level = 4,
		  .huge_level_max = 3,
		  .root_cache = 3,
		  .prefetch = 8 },
	};
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 45, n = sizeof(configs) / sizeof(configs[0]);

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	for (unsigned long i = 0; i < n; i++)
		race(&configs[i], (seconds + n - 1) / n);
	printf("%lu passed, 0 failed, 0 skipped\n", n);
	return 0;
}
