/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See machine.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vmmu/host.h>
#include <vmmu/memory.h>
#include "machine.h"

struct bench_cpu bench_cpus[BENCH_THREADS + 1];
_Thread_local struct bench_cpu *bench_me;
char *bench_tables;
struct bench_table *bench_descriptors;

static uint64_t tables_taken;		/* atomic */
static uint64_t rcu_time = 1;		/* atomic */

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fflush(stdout);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void *bench_reserve(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("no memory");
	return memory;
}

/* --- Memory of each thread's own ----------------------------------------------------------------- */

#define REFILL 64u

static char *refill_memory(enum bench_pool kind, size_t bytes)
{
	uint64_t first;

	if (kind != POOL_TABLE)
		return bench_reserve(REFILL * bytes);
	first = __atomic_fetch_add(&tables_taken, REFILL, __ATOMIC_RELAXED);
	if (first + REFILL > BENCH_TABLES)
		bench_die("no more tables");
	return bench_tables + first * bytes;
}

void *bench_refill(enum bench_pool kind)
{
	static const size_t sizes[] = {
		[POOL_TABLE] = VMMU_PAGE_SIZE,
		[POOL_PAGE] = (sizeof(struct vmmu_page) + BENCH_LINE - 1) / BENCH_LINE * BENCH_LINE,
		[POOL_MIRROR] = VMMU_PAGE_SIZE,
		[POOL_NODE] = 2 * BENCH_LINE,
	};
	size_t bytes = sizes[kind];
	char *memory = refill_memory(kind, bytes);

	for (unsigned int n = 1; n < REFILL; n++) {
		struct bench_free *item = (struct bench_free *)(memory + n * bytes);

		item->next = bench_me->free[kind];
		bench_me->free[kind] = item;
	}
	return memory;
}

/* --- RCU ------------------------------------------------------------------------------------------- */

/* The callbacks given since the last batch become the next one, due when every thread has seen a time after all of them. */
static void next_batch(struct bench_cpu *me)
{
	me->due = me->fresh;
	me->fresh = NULL;
	me->due_at = __atomic_add_fetch(&rcu_time, 1, __ATOMIC_SEQ_CST);
}

static void run_batch(struct bench_cpu *cpu)
{
	struct vmmu_rcu *rcu = cpu->due, *next;

	cpu->due = NULL;
	for (; rcu; rcu = next) {
		next = rcu->next;
		rcu->fn(rcu);
	}
}

static bool is_due(const struct bench_cpu *me)
{
	for (unsigned int n = 0; n <= BENCH_THREADS; n++)
		if (__atomic_load_n(&bench_cpus[n].seen, __ATOMIC_SEQ_CST) < me->due_at)
			return false;
	return true;
}

void bench_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu))
{
	rcu->fn = fn;
	rcu->next = bench_me->fresh;
	bench_me->fresh = rcu;
}

static void settle(struct bench_cpu *cpu)
{
	while (cpu->due || cpu->fresh) {
		if (!cpu->due)
			next_batch(cpu);
		run_batch(cpu);
	}
}

void bench_rcu_settle(void)
{
	settle(bench_me);
}

void bench_rcu_drain(void)
{
	for (unsigned int n = 0; n <= BENCH_THREADS; n++)
		settle(&bench_cpus[n]);
}

void bench_rcu_quiescent(void)
{
	struct bench_cpu *me = bench_me;

	/* What is read from here on is read after the time, and what was read before is done with: the processor keeps that order. */
	__atomic_store_n(&me->seen, __atomic_load_n(&rcu_time, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	if ((!me->due && !me->fresh) || ++me->calm % 64)
		return;
	if (!me->due)
		next_batch(me);
	else if (is_due(me))
		run_batch(me);
}

void bench_rcu_online(void)
{
	__atomic_store_n(&bench_me->seen, __atomic_load_n(&rcu_time, __ATOMIC_ACQUIRE), __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void bench_rcu_offline(void)
{
	__atomic_store_n(&bench_me->seen, ~0ull, __ATOMIC_SEQ_CST);
}

/* --- The VM's lock ----------------------------------------------------------------------------------- */

bool bench_read_wait(struct bench_rwlock *lock)
{
	unsigned int spins = 0;

	__atomic_fetch_sub(&lock->word, RW_READER, __ATOMIC_RELAXED);
	bench_spin_lock(&lock->queue);
	__atomic_fetch_add(&lock->word, RW_READER, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&lock->word, __ATOMIC_ACQUIRE) & RW_WRITER)
		bench_pause(&spins);
	bench_spin_unlock(&lock->queue);
	return true;
}

bool bench_write_wait(struct bench_rwlock *lock)
{
	uint32_t alone = RW_AWAITED;
	unsigned int spins = 0;

	bench_spin_lock(&lock->queue);
	__atomic_fetch_or(&lock->word, RW_AWAITED, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&lock->word, &alone, RW_WRITER, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) != RW_AWAITED)
			bench_pause(&spins);
		alone = RW_AWAITED;
	}
	bench_spin_unlock(&lock->queue);
	return true;
}

bool bench_close_shares(struct vmmu_shares *shares)
{
	unsigned int spins = 0;

	if (!shares_close(shares))
		return false;
	for (unsigned int n = 0; n <= BENCH_THREADS; n++)
		while (!shares_left(shares, &bench_cpus[n].share))
			bench_pause(&spins);
	return spins;
}

/* --- VMs ----------------------------------------------------------------------------------------------- */

void bench_request(struct bench_vm *m, enum bench_request what)
{
	for (unsigned int n = 0; n < m->vcpus; n++)
		__atomic_fetch_or(&m->vcpu[n]->requests, what, __ATOMIC_SEQ_CST);
	for (unsigned int n = 0; n < m->vcpus; n++) {
		unsigned int spins = 0;

		while (m->vcpu[n]->cpu != bench_me && __atomic_load_n(&m->vcpu[n]->in_guest, __ATOMIC_SEQ_CST))
			bench_pause(&spins);
	}
}

struct bench_vm *bench_vm_new(enum bench_locking locking)
{
	struct bench_vm *m = bench_reserve(sizeof(*m));

	if (!bench_tables) {
		bench_tables = bench_reserve(BENCH_TABLES * VMMU_PAGE_SIZE);
		bench_descriptors = bench_reserve(BENCH_TABLES * sizeof(*bench_descriptors));
	}
	m->locking = locking;
	m->content = bench_reserve(BENCH_THREADS * BENCH_TABLE_FRAMES * VMMU_PAGE_SIZE);
	m->slot.track = bench_reserve(BENCH_FRAMES * sizeof(*m->slot.track));
	m->slot.at_hand = bench_reserve(BENCH_FRAMES);
	for (int level = VMMU_LEVEL_4K; level <= VMMU_LEVEL_HUGE_MAX; level++) {
		uint64_t count = ((BENCH_FRAMES - 1) >> vmmu_level_frames_lg2(level)) + 1;

		m->slot.rmap[level - 1] = bench_reserve(count * sizeof(vmmu_entry_set));
		m->slot.disallow[level - 1] = bench_reserve(count * sizeof(int));
	}
	vmmu_spte_format_init_legacy(&m->fmt, 48, 0);
	vmmu_params_default(&m->vm.params);
	m->vm.fmt = &m->fmt;
	m->vm.huge_level_max = VMMU_LEVEL_HUGE_MAX;
	vmmu_vm_init(&m->vm);
	return m;
}

struct bench_vcpu *bench_vcpu_new(struct bench_vm *m, unsigned int thread)
{
	struct bench_vcpu *c = bench_reserve(sizeof(*c));

	c->m = m;
	c->cpu = &bench_cpus[thread];
	vmmu_vcpu_init(&c->v, &m->vm);
	m->vcpu[m->vcpus++] = c;
	return c;
}

void bench_vm_end(struct bench_vm *m)
{
	while (m->vcpus)
		vmmu_vcpu_destroy(&m->vcpu[--m->vcpus]->v);
	vmmu_vm_destroy(&m->vm);
	for (int level = VMMU_LEVEL_4K; level <= VMMU_LEVEL_MAX; level++) {
		uint64_t left = 0;

		for (unsigned int n = 0; n <= BENCH_THREADS; n++)
			left += m->leaves[n].level[level];
		if (left)
			bench_die("%lld leaves of level %d are left over", (long long)left, level);
	}
	for (uint64_t gfn = 0; gfn < BENCH_FRAMES; gfn++)
		if (m->slot.rmap[0][gfn] || m->slot.track[gfn])
			bench_die("frame %#llx still is mapped, or tracked", (unsigned long long)gfn);
}
