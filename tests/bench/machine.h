/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The machine the benchmark runs on: as little as possible beside the core, and in that little the shared words that a
 * kernel has, too. Memory comes from lists of each thread's own, as a kernel's comes from its per-CPU lists. RCU costs a
 * reader nothing. The VM's lock is one as Linux' rwlock_t is, with shares of it (core/base/shares.h), as the drop-in for KVM
 * has it. A counter of leaves is shared, as KVM's statistics are. Frames are numbers; only those of guest tables have
 * content. Nothing is checked but what the CPU reaches.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <vmmu/vm.h>
#include "base/shares.h"

#define BENCH_THREADS	4		/* vCPUs, each on a thread of its own */
#define BENCH_LINE	64

/* Each vCPU has frames of its own in the VM's one slot, guest tables first. The host's frame of each is so much further on. */
#define BENCH_REGION_LG2	16
#define BENCH_REGION		(1ull << BENCH_REGION_LG2)
#define BENCH_FRAMES		(BENCH_THREADS * BENCH_REGION)
#define BENCH_TABLE_FRAMES	64u
#define BENCH_PFN_BASE		(1ull << 24)

/* --- Threads: what each has to itself ------------------------------------------------------------ */

enum bench_pool {
	POOL_TABLE,
	POOL_PAGE,
	POOL_MIRROR,
	POOL_NODE,
	POOLS
};

struct bench_free {
	struct bench_free *next;
};

struct bench_cpu {
	struct bench_free *free[POOLS];
	long live[POOLS];		/* taken by this thread less given back by it */
	struct vmmu_rcu *fresh, *due;	/* callbacks: since the last batch; the batch that waits for its grace period */
	uint64_t due_at;
	unsigned int calm;		/* quiescent states since a grace period was looked for */
	struct vmmu_share share __attribute__((aligned(BENCH_LINE)));	/* of a VM's lock */
	uint64_t seen __attribute__((aligned(BENCH_LINE)));	/* RCU's time at the last quiescent state; ~0: not here. Atomic */
} __attribute__((aligned(BENCH_LINE)));

/* One for each vCPU's thread, the last for the thread that starts and ends VMs. */
extern struct bench_cpu bench_cpus[BENCH_THREADS + 1];
extern _Thread_local struct bench_cpu *bench_me;

/* Memory of a kind, not zeroed. */
void *bench_refill(enum bench_pool kind);

static inline void *bench_take(enum bench_pool kind)
{
	struct bench_free *item = bench_me->free[kind];

	bench_me->live[kind]++;
	if (!item)
		return bench_refill(kind);
	bench_me->free[kind] = item->next;
	return item;
}

static inline void bench_give(enum bench_pool kind, void *memory)
{
	struct bench_free *item = memory;

	bench_me->live[kind]--;
	item->next = bench_me->free[kind];
	bench_me->free[kind] = item;
}

/* Tables lie in one array, and each has a descriptor in a cache line of its own, as a kernel's pages have. */
struct bench_table {
	struct vmmu_page *page;
} __attribute__((aligned(BENCH_LINE)));

#define BENCH_TABLES	(1ull << 16)
#define BENCH_TABLES_AT	(1ull << 40)	/* physical address of the first */
extern char *bench_tables;
extern struct bench_table *bench_descriptors;

static inline struct bench_table *bench_descriptor(const void *table)
{
	return &bench_descriptors[((const char *)table - bench_tables) >> VMMU_PAGE_SHIFT];
}

/* --- RCU: readers are between two quiescent states of their thread, so that they need not say so -------------------- */

void bench_rcu_call(struct vmmu_rcu *rcu, void (*fn)(struct vmmu_rcu *rcu));
/* Run the callbacks of all threads. The others are not here. */
void bench_rcu_drain(void);
/* Run those of this thread. */
void bench_rcu_settle(void);
/* Nothing that was read before is used from here on. */
void bench_rcu_quiescent(void);
void bench_rcu_online(void);
void bench_rcu_offline(void);

/* --- Locks ----------------------------------------------------------------------------------------------- */

/* The CPU may be another program's for a while. */
static inline void bench_pause(unsigned int *spins)
{
	if (++*spins % 256)
		__builtin_ia32_pause();
	else
		sched_yield();
}

static inline bool bench_spin_lock(uint32_t *held)
{
	unsigned int spins = 0;

	while (__atomic_exchange_n(held, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(held, __ATOMIC_RELAXED))
			bench_pause(&spins);
	return spins;
}

static inline void bench_spin_unlock(uint32_t *held)
{
	__atomic_store_n(held, 0, __ATOMIC_RELEASE);
}

/* As Linux' queued rwlock: readers count in one word; who cannot have it at once waits in a queue. */
struct bench_rwlock {
	uint32_t word;
	uint32_t queue;
} __attribute__((aligned(BENCH_LINE)));

#define RW_WRITER	1u
#define RW_AWAITED	2u	/* by a writer: who comes later queues up behind */
#define RW_READER	4u

/* Return: true if it had to wait. */
bool bench_read_wait(struct bench_rwlock *lock);
bool bench_write_wait(struct bench_rwlock *lock);

static inline bool bench_read_lock(struct bench_rwlock *lock)
{
	if (!(__atomic_fetch_add(&lock->word, RW_READER, __ATOMIC_ACQUIRE) & (RW_WRITER | RW_AWAITED)))
		return false;
	return bench_read_wait(lock);
}

static inline void bench_read_unlock(struct bench_rwlock *lock)
{
	__atomic_fetch_sub(&lock->word, RW_READER, __ATOMIC_RELEASE);
}

static inline bool bench_write_lock(struct bench_rwlock *lock)
{
	uint32_t nobody = 0;

	if (__atomic_compare_exchange_n(&lock->word, &nobody, RW_WRITER, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	return bench_write_wait(lock);
}

static inline void bench_write_unlock(struct bench_rwlock *lock)
{
	__atomic_fetch_and(&lock->word, ~RW_WRITER, __ATOMIC_RELEASE);
}

/* Nobody holds one of @shares any more. Context: the lock is held for writing. Return: true if it had to wait. */
bool bench_close_shares(struct vmmu_shares *shares);

/* --- The VM ------------------------------------------------------------------------------------------------- */

enum bench_locking {
	BENCH_OURS,		/* what the core asks for */
	BENCH_LOCAL,		/* the same, with leaves counted in a word of each thread's own */
	BENCH_SINGLE_LOCK,	/* a model of stock KVM: what the core would share, one holds alone */
};

struct vmmu_slot {
	vmmu_entry_set *rmap[VMMU_LEVEL_HUGE_MAX];
	int *disallow[VMMU_LEVEL_HUGE_MAX];	/* from level 2 on */
	uint16_t *track;
	uint8_t *at_hand;		/* the host has the frame in memory */
};

enum bench_request {
	BENCH_FLUSH = 1,
	BENCH_DROP_OBSOLETE = 2,
};

struct bench_vcpu {
	struct vmmu_vcpu v;
	struct bench_vm *m;
	struct bench_cpu *cpu;			/* where it runs */
	/* Others write it. */
	uint32_t requests __attribute__((aligned(BENCH_LINE)));
	/* Others read it. */
	bool in_guest __attribute__((aligned(BENCH_LINE)));
} __attribute__((aligned(BENCH_LINE)));

struct bench_vm {
	struct vmmu_vm vm;
	struct vmmu_spte_format fmt;
	enum bench_locking locking;
	struct vmmu_slot slot;
	uint64_t (*content)[VMMU_TABLE_ENTRIES];	/* of guest tables' frames */
	unsigned int vcpus;
	struct bench_vcpu *vcpu[BENCH_THREADS];
	struct vmmu_shares shares __attribute__((aligned(BENCH_LINE)));
	struct bench_rwlock lock;
	/* By level. The first is everybody's; BENCH_LOCAL: one for each thread. Atomic. */
	struct {
		uint64_t level[VMMU_LEVEL_MAX + 1];
	} __attribute__((aligned(BENCH_LINE))) leaves[BENCH_THREADS + 1];
} __attribute__((aligned(BENCH_LINE)));

static inline struct bench_vm *bench_vm_of(struct vmmu_vm *vm)
{
	return (struct bench_vm *)((char *)vm - offsetof(struct bench_vm, vm));
}

static inline struct bench_vcpu *bench_vcpu_of(struct vmmu_vcpu *v)
{
	return (struct bench_vcpu *)((char *)v - offsetof(struct bench_vcpu, v));
}

/* 512 words, or NULL: the frame holds no table. */
static inline uint64_t *bench_content(struct bench_vm *m, vmmu_gfn_t gfn)
{
	uint64_t n = gfn & (BENCH_REGION - 1);

	if (gfn >= BENCH_FRAMES || n >= BENCH_TABLE_FRAMES)
		return NULL;
	return m->content[(gfn >> BENCH_REGION_LG2) * BENCH_TABLE_FRAMES + n];
}

struct bench_vm *bench_vm_new(enum bench_locking locking);
/* Every table, leaf and callback has to be gone. */
void bench_vm_end(struct bench_vm *m);
/* vCPU number m->vcpus, to run on thread @thread. */
struct bench_vcpu *bench_vcpu_new(struct bench_vm *m, unsigned int thread);

/* Every vCPU does @what before it enters the guest again, and none is in the guest any more. */
void bench_request(struct bench_vm *m, enum bench_request what);

/* Says what and ends the program. */
void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Zeroed memory that is there when it is touched. */
void *bench_reserve(uint64_t bytes);

#endif
