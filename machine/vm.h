/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The simulated machine: a VM with memslots over the host's memory, CPUs that walk the core's tables and keep what they
 * have read for as long as nobody flushes, and a host that moves, swaps and logs memory underneath.
 *
 * One VM at a time. Any number of threads may play vCPUs and host.
 */
#ifndef MACHINE_VM_H
#define MACHINE_VM_H

#include <vmmu/context.h>
#include <vmmu/fault.h>
#include <vmmu/memory.h>
#include <vmmu/vm.h>
#include "ram.h"
#include "thread.h"

#define MACHINE_SLOTS	8
#define MACHINE_VCPUS	8
#define MACHINE_SPACES	2

/* What the CPU can do, and what the host wants. */
struct machine_config {
	bool ept, ad, exec_only, pml;
	uint8_t phys_bits;		/* at least 36 */
	uint8_t l1tf_cache_bits;	/* 0: no such bug */
	uint8_t huge_level_max;
	uint8_t level;			/* of direct trees */
	uint8_t root_cache, prefetch;
	bool odd_policy;		/* for what follows; else the defaults */
	uint8_t sync_patience, write_flood;
	uint16_t frame_leaves;
	bool encrypted;			/* legacy: the highest address bit says that memory is encrypted */
	bool shadow;			/* legacy: no nested paging, the guest's own tables are mirrored */
	bool guest_gb, guest_amd;	/* what the guest's CPU is */
	uint8_t guest_phys_bits;
	uint64_t generation;		/* memslots' first one; even */
	uint64_t invalidations;		/* count of those there were */
	uint64_t seed;			/* of all that is left to chance */
};

/* What a slot keeps while its flags change. */
struct machine_slot_records {
	uint64_t frames;
	uint64_t *dirty;		/* bit by frame. Atomic */
	uint32_t *copied;		/* by frame: its version when it was last transferred */
	int *huge_disallowed[2];	/* by block of level 2 and 3: reasons against a large page. Atomic */
	uint8_t *tracked;		/* by frame: by machine_track(). Atomic */
	uint16_t *track;		/* by frame: reasons to keep it from being written unseen. Atomic */
};

/* Constant once it is published, but for its reverse maps: a change is a new slot with the old records. */
struct vmmu_slot {
	int id, space;
	vmmu_gfn_t start, end;
	uint64_t page;			/* of the host, behind the first frame */
	bool read_only, logs, invalid;
	bool announced;			/* the generation has changed since it came. Atomic */
	struct machine_slot_records *records;
	/* By block of level 1 to 3; NULL until there are shadow pages, and for ever in a slot replaced before. Atomic. */
	vmmu_entry_set *rmap[3];
};

enum machine_yield {
	MACHINE_YIELD_NEVER,
	MACHINE_YIELD_ALWAYS,
	MACHINE_YIELD_AT_RANDOM,
	MACHINE_YIELD_IF_AWAITED,
};

struct machine_vcpu;
struct oracle;

struct machine_vm {
	struct vmmu_vm vm;
	struct machine_config config;
	struct vmmu_spte_format fmt;

	pthread_rwlock_t lock;
	struct vmmu_shares shares;		/* of the lock */
	int waiting;				/* for the lock, or for who shares it. Atomic */
	enum machine_yield yield;
	uint64_t yield_random;			/* atomic enough: any value will do */

	pthread_mutex_t slots_lock;
	pthread_rwlock_t slots_read;
	struct vmmu_slot *slot[MACHINE_SPACES][MACHINE_SLOTS];	/* atomic pointers */
	uint64_t generation[MACHINE_SPACES];	/* atomic */
	uint64_t slots_tracked;			/* frames that machine_track() tracks. Atomic */
	pthread_mutex_t words_lock;
	bool shadow_ready;			/* slots have the words that shadow pages need. [words_lock], atomic */
	long nx_splits;				/* atomic */

	struct machine_ram ram;
	pthread_mutex_t ram_lock;		/* look-ups against changes */
	pthread_mutex_t change_lock;		/* one change of the host's memory at a time */
	/* Written by who holds the VM's lock for writing. Atomic. */
	long invalidating;
	uint64_t invalid_start, invalid_end;	/* pages of the host */

	struct machine_vcpu *vcpu[MACHINE_VCPUS];
	unsigned int vcpus;

	int slots_changing;			/* one is on its way out, or about to come. Atomic */
	struct oracle *oracle;			/* NULL: nobody judges what guests' tables give */

	long leaves[VMMU_LEVEL_MAX + 1];	/* atomic */
	uint64_t flushes, flushed_ranges, kicks, retries, emulated, mmio;	/* atomic */
};

static inline struct machine_vm *machine_of(struct vmmu_vm *vm)
{
	return (struct machine_vm *)((char *)vm - offsetof(struct machine_vm, vm));
}

static inline void machine_count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* The memory frames stand for: of the one VM there is. */
extern struct machine_ram *machine_ram_now;

static inline struct machine_vm *machine_now(void)
{
	return (struct machine_vm *)((char *)machine_ram_now - offsetof(struct machine_vm, ram));
}

/* For who follows: what has become of a table page. */
void machine_say_page(const struct vmmu_page *page, enum vmmu_page_event event);

void machine_vm_init(struct machine_vm *m, const struct machine_config *config);
/* Every vCPU is gone. Complains of anything that was not given back. */
void machine_vm_destroy(struct machine_vm *m);
const char *machine_config_name(const struct machine_config *config);

/* --- lock.c: the VM's lock, the slot read section ------------------------------------------- */

void machine_lock_shared(struct machine_vm *m);
void machine_unlock_shared(struct machine_vm *m);
void machine_lock_excl(struct machine_vm *m);
void machine_unlock_excl(struct machine_vm *m);
/*
 * The same in two parts, as a host takes it whose own code knows nothing of shares (core/base/shares.h): after the
 * first some may still hold it shared. Given back by machine_unlock_excl().
 */
void machine_lock_write(struct machine_vm *m);
void machine_close_shares(struct machine_vm *m);
/* Does this thread have the VM to itself? */
bool machine_is_alone(const struct machine_vm *m);
bool machine_should_yield(struct machine_vm *m);
void machine_yield_shared(struct machine_vm *m);
void machine_yield_excl(struct machine_vm *m);
void machine_spin_init(vmmu_spinlock_t *lock);
void machine_slots_read_lock(struct machine_vm *m);
void machine_slots_read_unlock(struct machine_vm *m);
/* Wait for every slot read section that is open now. */
void machine_slots_synchronize(struct machine_vm *m);
/* The core's locks. Return: had it to wait? */
bool machine_spin_lock(vmmu_spinlock_t *lock);
bool machine_bit_lock(uintptr_t *word, int bit);
void machine_bit_unlock(uintptr_t *word, int bit);
/* Plain locks that the order check knows. */
bool machine_mutex_lock(enum machine_lock class, pthread_mutex_t *mutex);
void machine_mutex_unlock(pthread_mutex_t *mutex);

/* --- slots.c ---------------------------------------------------------------------------------- */

/* Context of look-ups: a slot read section or slots_lock. */
struct vmmu_slot *machine_slot_at(struct machine_vm *m, int space, vmmu_gfn_t gfn);
struct vmmu_slot *machine_slot(struct machine_vm *m, int space, int id);
/* The host's page behind @gfn. */
static inline uint64_t machine_slot_page(const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	return slot->page + (gfn - slot->start);
}

bool machine_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level);
void machine_slot_add(struct machine_vm *m, int space, int id, vmmu_gfn_t start, uint64_t frames, uint64_t page,
		      bool read_only);
void machine_slot_delete(struct machine_vm *m, int space, int id);
void machine_slot_move(struct machine_vm *m, int space, int id, vmmu_gfn_t start);
void machine_slots_free(struct machine_vm *m);
/* Writes to @gfn are the host's business from now on, or no longer, in both address spaces. */
void machine_track(struct machine_vm *m, vmmu_gfn_t gfn, bool on);
bool machine_is_tracked(struct machine_vm *m, vmmu_gfn_t gfn);

/* --- shadow.c: the words of slots, and guest tables ------------------------------------------- */

/* All slots have their words on return, and those to come will. Return: VMMU_OK or VMMU_ENOMEM. */
int machine_prepare_shadow(struct machine_vm *m);
static inline bool machine_shadow_ready(const struct machine_vm *m)
{
	return __atomic_load_n(&m->shadow_ready, __ATOMIC_ACQUIRE);
}

/* Words for one slot, if it has none. Context: words_lock. Return: false without memory. */
bool machine_slot_words(struct vmmu_slot *slot);
/* The slot has gone: they are free, and as they were made. */
void machine_slot_words_free(const struct vmmu_slot *slot);
bool machine_is_rmap_word(const void *word);
/* Index of @gfn's block among those of its slot. */
static inline uint64_t machine_slot_block(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return (gfn >> (9 * (level - 1))) - (slot->start >> (9 * (level - 1)));
}

/* Where the guest entry at @gpa is, swapped out or not. Context: atomic, slots. */
int machine_gpte_locate(struct machine_vm *m, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at);
/* Read it. @may_sleep: memory that is swapped out comes in. */
int machine_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, bool may_sleep, uint64_t *value);
int machine_gpte_cmpxchg(struct machine_vm *m, int space, const struct vmmu_gpte *at, unsigned int bytes, uint64_t old,
			 uint64_t value);

/* --- log.c: the dirty log --------------------------------------------------------------------- */

enum machine_log_way {
	MACHINE_LOG_PLAIN,
	MACHINE_LOG_SPLIT,		/* large pages are split when logging begins */
	MACHINE_LOG_ALL_SET, /* every page counts as dirty at first; protection waits for the first harvest */
};
void machine_log_start(struct machine_vm *m, int space, int id, enum machine_log_way way);
void machine_log_stop(struct machine_vm *m, int space, int id);
void machine_mark_dirty(struct machine_vm *m, const struct vmmu_slot *slot, vmmu_gfn_t gfn);
/*
 * Transfer what was written, 64 frames at a time beginning @offset frames into the slot (what lies before comes last).
 * @split: split large pages on the way, as after MACHINE_LOG_ALL_SET. Return: frames transferred.
 */
uint64_t machine_log_harvest(struct machine_vm *m, int space, int id, uint64_t offset, bool split);
/* CPUs stand still, all was harvested: is each frame transferred as it is? Return: the first gfn that is not, or ~0. */
uint64_t machine_log_check(struct machine_vm *m, int space, int id);

/* --- notify.c: the host changes what stands behind guest memory -------------------------------- */

enum machine_change {
	MACHINE_MOVE,			/* to other frames */
	MACHINE_SWAP_OUT,
	MACHINE_PROTECT,		/* copy on write */
	MACHINE_MAKE_2M,		/* the blocks that hold the range become large pages */
	MACHINE_MAKE_1G,
	MACHINE_SPLIT,			/* large pages become small ones */
};
/* Change [@start, @end) of the host's pages, and what has to go with them. Context: may sleep. */
void machine_change(struct machine_vm *m, uint64_t start, uint64_t end, enum machine_change change,
		    enum vmmu_yield yield);
/* The frame behind one page is replaced by another one with equal content, read-only. */
void machine_replace(struct machine_vm *m, uint64_t page);
/* Services of the contract. */
bool machine_is_invalidating_at(struct machine_vm *m, const struct vmmu_fault *f);
/* @level: of the tree that is to map it. */
int machine_fault_in(struct vmmu_vcpu *v, struct vmmu_fault *f);
int machine_pfns_atomic(struct machine_vm *m, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool write, vmmu_pfn_t *pfns,
			int count);
void machine_fault_release(struct machine_vm *m, struct vmmu_fault *f);
/* Memory that is swapped out comes in. Context: ram_lock is not held. */
void machine_bring_in(struct machine_vm *m, uint64_t page);
/*
 * The host is about to write @page itself: what is to be copied first is.
 * Return: false if somebody else changes memory.
 */
bool machine_ready_to_write(struct machine_vm *m, uint64_t page);

/* --- cpu.c -------------------------------------------------------------------------------------- */

void machine_flush(struct machine_vm *m, vmmu_gfn_t start, vmmu_gfn_t end);
/* For a test that looks at what is there while a flush is carried out. */
extern void (*machine_at_flush)(void);
void machine_kick_obsolete_roots(struct machine_vm *m);

/* NX for large pages on or off, as a module parameter would do it. */
void machine_set_nx(struct machine_vm *m, bool on);

#endif
