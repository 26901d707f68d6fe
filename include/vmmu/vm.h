/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The objects: a VM, its vCPUs, the paging contexts of a vCPU, the pages that hold our tables.
 *
 * A host embeds `struct vmmu_vm` and `struct vmmu_vcpu` in objects of its own. A vCPU has one context
 * for what L1 runs on and one for what a nested guest runs on; a context holds the rules of the guest's
 * paging (struct vmmu_mode), the identity of the root it needs (union vmmu_role), that root, and the
 * roots it used before.
 *
 * Tags say who may touch a field:
 *   [const]           set before anybody else knows the object
 *   [const once set]  0 at first, then one value for ever; atomic reads
 *   [cpu]             its vCPU's thread, or whoever knows that the vCPU cannot run
 *   [atomic]          anybody: a flag, or a number, each access by itself
 *   [cas]             anybody: atomic changes that depend on the value before
 *   [excl]            the VM's lock exclusive to write, held any way to read
 *   [lock:x]          that lock to write; x is a kind of core/base/lock.h, or the field that is the lock. "page" and
 *                     "parents" are the page's own
 *   [rcu]             is followed under RCU, without the lock
 *   [owner]           who alone has the page in hand: who made it, took it out, or dropped the last reference to it
 */
#ifndef VMMU_VM_H
#define VMMU_VM_H

#include <vmmu/types.h>
#include <vmmu/mode.h>
#include <vmmu/spte_format.h>
#include <vmmu/role.h>
#include "vmmu_host_types.h"

struct vmmu_slot;

/* Intrusive doubly linked list; an unlinked node points at itself. */
struct vmmu_list {
	struct vmmu_list *next, *prev;
};

/* Counted events of a VM; names by vmmu_counter_name(). All only ever grow, but for those marked (now). */
enum vmmu_counter {
	VMMU_C_FAULTS,			/* faults given to vmmu_fault(), prefetches by the host excluded */
	VMMU_C_FAULTS_FIXED,
	VMMU_C_FAULTS_FAST,		/* fixed without the VM's lock */
	VMMU_C_FAULTS_SPURIOUS,
	VMMU_C_FAULTS_EMULATED,
	VMMU_C_FAULTS_RETRIED,
	VMMU_C_RACES_LOST,		/* compare-and-exchanges that another thread won */
	VMMU_C_ROOTS_BUILT,		/* a root's table was allocated */
	VMMU_C_ROOTS_HIT,		/* a context changed its root and found the new one in its cache */
	VMMU_C_ROOTS_SHARED,		/* not in the cache, but another context of the VM has it: no build */
	VMMU_C_ROOTS_MISS_COLD,		/* miss: no root with this identity was in use before */
	VMMU_C_ROOTS_MISS_OBSOLETE,	/* miss: the root was dropped since it had become obsolete */
	VMMU_C_TABLES_MADE,
	VMMU_C_TABLES_FREED,
	VMMU_C_TABLES_NOW,		/* (now) tables in use, roots included */
	VMMU_C_LEAVES_SET,
	VMMU_C_LEAVES_ZAPPED,
	VMMU_C_SPLITS,			/* large leaves replaced by a table of smaller ones */
	VMMU_C_COLLAPSES,		/* tables replaced by, or dropped for, a large leaf */
	VMMU_C_NX_SPLITS_NOW,		/* (now) tables that exist only since large pages must not be executable */
	VMMU_C_PREFETCHED,
	VMMU_C_SHADOWS_NOW,		/* (now) shadow pages */
	VMMU_C_SHADOWS_EVICTED,
	VMMU_C_SHADOWS_FLOODED,		/* let go since the guest no longer used the frame as a table */
	VMMU_C_UNSYNCED,		/* pages that became unsync */
	VMMU_C_SYNCED,			/* unsync pages brought up to date */
	VMMU_C_SYNCS,			/* syncs asked for */
	VMMU_C_SYNCS_EMPTY,		/* of these: nothing was unsync */
	VMMU_C_GUEST_FAULTS,		/* faults that were the guest's own */
	VMMU_C_FAULTS_AHEAD,		/* faults of L2 that were served as L1 resumed it */
	VMMU_C_GUEST_WRITES,		/* emulated writes to mirrored frames */
	VMMU_C_MMIO_SET,
	VMMU_C_FLUSHES,			/* flushes issued by the core itself */
	VMMU_C_FLUSHES_HANDED_UP,	/* flushes left to the caller, who merges them */
	VMMU_C_FLUSHES_DEFERRED,	/* of other CPUs, for what a guest's own flush took away, put off:
					 * engine/flush.h */
	VMMU_C_ZAP_ALL,
	VMMU_C_LOCK_EXCL,		/* times the core took the VM's lock exclusively */
	VMMU_C_LOCK_WAIT_VM,		/* times it had to wait for a lock, by kind: see core/base/lock.h */
	VMMU_C_LOCK_WAIT_PAGE,
	VMMU_C_LOCK_WAIT_BUCKET,
	VMMU_C_LOCK_WAIT_PARENTS,
	VMMU_C_LOCK_WAIT_RMAP,
	VMMU_C_LOCK_WAIT_LISTS,
	VMMU_C_NR
};

/*
 * A set of table entries, in one word: which leaves map a frame, which entries point at a table. Bit 1 is its lock.
 * Empty, one entry, or a chain of nodes (bit 0); see page/entry_set.h.
 */
typedef uintptr_t vmmu_entry_set;

/* What a page that mirrors a guest table, or stands below one that does, has beyond its table. */
struct vmmu_shadow {
	vmmu_spinlock_t lock;		/* a leaf or a link is made under it, and what it was made from is remembered */
	vmmu_entry_set parents;		/* [lock:parents] entries that point here;
					 * none is added once the page is invalid */
	struct vmmu_page *hash_next;	/* [lock:bucket, rcu] */
	struct vmmu_list all;		/* [lock:vm->lists] in vm->shadows, or in vm->condemned */
	uint64_t *mirrored;		/* [lock:page] for each leaf: what its guest entry was, see engine/mirror.h;
					 * NULL for direct pages */
	uint64_t unsync_below[VMMU_TABLE_ENTRIES / 64];	/* [cas] entries below which an unsync page may be */
	bool known_above;		/* [lock:parents] every parent has this page's bit in unsync_below */
	bool unsync;			/* [lock:page] level 1:
					 * the guest may have changed the table since its entries were made */
	bool tracked;			/* [lock:page] counts in the write-track word of the mirrored frame */
	uint16_t own_parents;		/* [lock:parents] entries of contexts' own tables that point here:
					 * part of a root in use */
	bool own;			/* [const] a context's own table above what mirrors the guest's;
					 * not in the index */
	bool low;			/* [const] such a root in PAE form: four entries,
					 * which the CPU keeps in registers */
	bool parked;			/* [lock:vm->lists] such a root that no context remembers, in vm->parked */
	bool used;			/* [atomic] found since the eviction hand passed */
	uint8_t writes;			/* [atomic] emulated writes in a row, without a fault through the page */
	uint64_t compared;		/* [atomic] vm->guest_flushes before it was last compared with
					 * the guest's table */
	uint8_t rewritten;		/* [lock:page] grows as it becomes unsync again,
					 * shrinks with each sync that leaves it so */
};

/*
 * One page of our tables. Life: made (private to its maker) -> linked (an entry or a root reference points
 * at it, found by walkers under RCU) -> removed (no entry points at it, its own entries are frozen; a flush
 * is owed) -> freed after that flush and a grace period.
 */
struct vmmu_page {
	uint64_t *table;		/* [const] the 512 entries */
	vmmu_gfn_t gfn;			/* [const] first guest frame the table covers (direct),
					 * or the frame of the guest table it shadows */
	union vmmu_role role;		/* [const] */
	bool nx_split;			/* [lock:vm->lists] counted in VMMU_C_NX_SPLITS_NOW and
					 * linked in vm->nx_splits */
	bool shadow;			/* [const] of the shadow engine */
	bool invalid;			/* [excl; of a shadow page lock:parents; atomic reads]
					 * no vCPU may start to use it; set once, never cleared */
	bool held_by_vm;		/* [lock:vm->lists] direct roots: one of the references is the VM's own */
	uint32_t root_refs;		/* [cas] one for being linked or findable,
					 * one for each context that has it as a root, one for each walker */
	uint64_t *parent_entry;		/* [const] direct, not a root: the entry that links this table */
	struct vmmu_list link;		/* [lock:vm->lists] direct roots: in vm->roots; a context's own that is parked:
					 * in vm->parked */
	struct vmmu_list nx_link;	/* [lock:vm->lists] in vm->nx_splits */
	struct vmmu_page *next_dead;	/* [owner] chain of removed pages that wait for their flush */
	struct vmmu_vm *vm;		/* [const] */
	struct vmmu_rcu rcu;		/* [owner] */
	struct vmmu_shadow s;		/* shadow pages only */
};

struct vmmu_entry_node;
struct vmmu_index;

enum vmmu_page_event {
	VMMU_PAGE_MADE,
	VMMU_PAGE_FOUND,
	VMMU_PAGE_ZAPPED,
	/* Shadow pages only. */
	VMMU_PAGE_UNSYNC,		/* the guest may write the table from now on */
	VMMU_PAGE_SYNC,			/* it is in step with the table again, and protected */
	VMMU_PAGE_WRITTEN,		/* the host carried out a write to the table */
	VMMU_PAGE_FLOODED,		/* it is being zapped: the frame does not look like a table any more */
	VMMU_PAGE_EVICTED,		/* it is being zapped: there are too many */
};

/* Policy of a VM; every field has a default in vmmu_params_default(). */
struct vmmu_params {
	uint8_t root_cache;		/* roots a context remembers beside its current one, 0..VMMU_ROOT_CACHE_MAX */
	uint8_t roots_seen;		/* of these, how many the host's own handling of guest flushes knows of */
	uint8_t prefetch;		/* leaves tried around a 4K fault,
					 * a power of two up to VMMU_PREFETCH_MAX; 0: none */
	uint8_t sync_patience;		/* syncs for which a table that is written after each of them stays writable,
					 * 0..VMMU_SYNC_PATIENCE_MAX; 0: it is protected by every sync */
	uint8_t write_flood;		/* emulated writes in a row, without a fault through the table between them,
					 * after which an upper table is taken for none any more; 0: never */
	uint16_t frame_leaves;		/* shadow leaves that may map one frame, or some more, and then one goes for
					 * each that comes; at least VMMU_FRAME_LEAVES_MIN */
};
#define VMMU_ROOT_CACHE_MAX 64
#define VMMU_PREFETCH_MAX 16
#define VMMU_SYNC_PATIENCE_MAX 127
#define VMMU_FRAME_LEAVES_MIN 16
/* What a host starts from before it changes fields, all ahead of vmmu_vm_init(), which forces each into its bounds. */
void vmmu_params_default(struct vmmu_params *params);

/*
 * Leaves come and go with nearly every fault. They are counted by the table they are in, so that vCPUs that run
 * different processes seldom write the same cache line.
 */
#define VMMU_LEAF_COUNTS 32
struct vmmu_leaf_count {
	uint64_t set, zapped;			/* [atomic] */
	uint64_t unused[6];			/* the rest of a cache line */
};

/* What the host has invalidated lately: see vmmu_fault_mark(). */
#define VMMU_RECENT_RANGES	32
struct vmmu_range {
	vmmu_gfn_t start, end;
	int space;				/* negative: all */
};
struct vmmu_recent {
	uint64_t count;				/* [atomic] ranges there were ever; the last ones are in range[],
						 * modulo its size */
	struct vmmu_range range[VMMU_RECENT_RANGES];	/* [excl] */
};

/* Grouped by who writes: what each fault reads shares no cache line with what many write. */
struct vmmu_vm {
	const struct vmmu_spte_format *fmt;	/* [const] what the bits of our entries mean */
	struct vmmu_params params;		/* [const] */
	uint8_t huge_level_max;			/* [const] largest leaf the CPU takes */
	bool dirty_by_pml;			/* [const] the CPU logs writes by the D bit: clear D instead of W */
	bool nx_huge_pages;			/* [atomic] large leaves must not be executable */
	struct vmmu_index *index;		/* [const once set] (gfn, role) -> shadow page;
						 * NULL until the first one is made */
	bool index_seen;			/* [const once set] every fault looks at reverse maps and track
						 * words by now */
	uint64_t shadow_quota;			/* [atomic] shadow pages to have at most,
						 * beside roots in use and what one instruction needs */
	struct vmmu_recent recent;		/* what the host's invalidations alone write */

	vmmu_spinlock_t lists;			/* guards the lists below; a leaf lock: nothing is taken inside */
	struct vmmu_list roots;			/* [lock:lists] valid and invalid roots;
						 * who looks at one outside holds a reference */
	struct vmmu_list nx_splits;		/* [lock:lists] oldest first */
	struct vmmu_list vcpus;			/* [lock:lists] */
	struct vmmu_list shadows;		/* [lock:lists] every valid shadow page,
						 * in the order the eviction hand goes */
	struct vmmu_list condemned;		/* [lock:lists] but for these,
						 * which a zap of everything takes out one by one */
	struct vmmu_list parked;		/* [lock:lists] roots of contexts' own tables that none remembers,
						 * oldest first */
	unsigned int parked_count;		/* [lock:lists] */
	uint64_t shadow_pins;			/* [atomic] shadow pages that may not be evicted,
						 * for contexts have them as roots */
	uint64_t guest_flushes;			/* [atomic] syncs and invalidations of addresses the guest
						 * has asked for */
	uint64_t flushes_deferred;		/* [atomic] see engine/flush.h */
	uint64_t flushes_paid;			/* [atomic] of those, a flush has come after so many */
	uint64_t count[VMMU_C_NR];		/* [atomic] what no vCPU's thread did,
						 * and what destroyed vCPUs had counted */
	struct vmmu_leaf_count leaf_count[VMMU_LEAF_COUNTS] __attribute__((aligned(16)));
};

/* A root as a context remembers it. */
struct vmmu_root {
	struct vmmu_page *page;			/* NULL: none */
	uint64_t pgd;				/* the guest's page-table address it was made for;
						 * 0 for a direct root */
	uint64_t pdpte[4];			/* PAE, NPT_PAE: the PDPTEs it was made for */
	uint8_t guest_levels;			/* of the guest's tables: the CPU's tree may have more;
						 * 0 for a direct root */
	uint8_t pins;				/* its share of vm->shadow_pins */
	bool was_unseen;			/* in the cache beyond params.roots_seen: flushes may have missed it */
};

/* One paging context. All fields: [cpu]. */
struct vmmu_context {
	struct vmmu_mode mode;			/* how the guest's own tables are walked */
	union vmmu_role role;			/* identity of the root this context needs now */
	uint64_t pgd;				/* and the guest table it shadows; 0 for a direct root */
	struct vmmu_root root;			/* current */
	bool shadow;				/* the root mirrors guest tables,
						 * or maps gva = gpa for a guest without paging */
	uint64_t pdpte[4];			/* PAE: the guest's PDPTE registers; NPT_PAE: L1's,
						 * as read at the switch. Part of the root's identity */
	uint8_t cached;				/* entries of cache[] in use, most recent first */
	bool hit_unseen;			/* the root that was found last was in the cache where flushes may
						 * have missed it */
	bool dropped_obsolete;			/* the next miss is due to a dropped obsolete root */
	struct vmmu_root cache[VMMU_ROOT_CACHE_MAX];
};

/* Table pages a fault may need, allocated before it takes a lock. [cpu] */
#define VMMU_POOL_PAGES	(VMMU_LEVEL_MAX + 4)
#define VMMU_POOL_NODES	32
struct vmmu_pool {
	uint8_t count;
	uint8_t mirrors;
	uint8_t nodes;
	struct vmmu_page *page[VMMU_POOL_PAGES];
	uint64_t *mirror[VMMU_POOL_PAGES];		/* for vmmu_shadow.mirrored */
	struct vmmu_entry_node *node[VMMU_POOL_NODES];
};

/* The nested fault that L1 was told about last. [cpu] */
struct vmmu_told {
	bool pending;			/* L2 has not been resumed on those tables since */
	union vmmu_role role;		/* of the tables: a root's identity */
	uint64_t pgd;
	uint64_t addr;			/* as in struct vmmu_fault */
	uint64_t error_code;
};

struct vmmu_vcpu {
	struct vmmu_vm *vm;			/* [const] */
	struct vmmu_context l1;			/* [cpu] what L1 runs on, and L2 where L1 gives it no nested tables */
	struct vmmu_context nested;		/* [cpu] what L2 runs on where L1 gives it EPT or NPT */
	struct vmmu_context *current_context;	/* [cpu] one of the two */
	struct vmmu_pool pool;			/* [cpu] */
	struct vmmu_told told;			/* [cpu] */
	struct vmmu_list link;			/* [lock:vm->lists] in vm->vcpus */
	uint64_t count[VMMU_C_NR];		/* [cpu] to write; others read it as it is */
	uint8_t prefetch_wait;			/* [cpu] faults to go until neighbours are tried again */
	uint8_t prefetch_backoff;		/* [cpu] its next start value: grows while neighbours are not at hand */
};

/*
 * Start of a VM. The host has zeroed *@vm and then set fmt, params (by vmmu_params_default() first), huge_level_max
 * (VMMU_LEVEL_4K to VMMU_LEVEL_HUGE_MAX), dirty_by_pml, and, where they are not to be 0, nx_huge_pages and shadow_quota
 * (0 here: no bound). Cannot fail. Context: nobody else knows @vm yet.
 */
void vmmu_vm_init(struct vmmu_vm *vm);
/* Its end: every vCPU is destroyed. Frees all tables and waits for their callbacks. Context: may sleep. */
void vmmu_vm_destroy(struct vmmu_vm *vm);
/* Start and end of a vCPU. Context: may sleep. vmmu_vcpu_destroy() drops its roots. */
void vmmu_vcpu_init(struct vmmu_vcpu *v, struct vmmu_vm *vm);
void vmmu_vcpu_destroy(struct vmmu_vcpu *v);

/* "?" for what is none. */
const char *vmmu_counter_name(enum vmmu_counter c);
/* Sum over the VM and its vCPUs; no snapshot while they run. Context: atomic; takes vm->lists. */
uint64_t vmmu_counter_read(struct vmmu_vm *vm, enum vmmu_counter c);

#endif
