/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What is owed to the TLBs, as a value.
 *
 * Whoever takes a right away from an entry, or a table out of a tree, adds to a debt; the debt is paid, or
 * handed up to a caller who pays, before anything relies on the right being gone and before the VM's lock is
 * given up. Tables ride along: they are freed only once no CPU can walk them.
 *
 * Deferred flushes. As one CPU of the guest's flushes, leaves follow the guest's entries: that CPU's own translations
 * go by the guest's flush, and the others may keep theirs until they flush as well. So nobody is sent one for it. Only
 * the host must not rely on the tables alone any more: what takes memory away, and finds no leaf of it, flushes for
 * what was deferred before. Whatever flushes everything pays for it.
 */
#ifndef VMMU_ENGINE_FLUSH_H
#define VMMU_ENGINE_FLUSH_H

#include <vmmu/vm.h>
#include "base/atomic.h"

struct vmmu_flush {
	struct vmmu_vm *vm;
	vmmu_gfn_t start, end;		/* frames whose translations may be stale; empty: nothing is owed */
	struct vmmu_page *dead;		/* removed tables, chained by next_dead */
};

static inline struct vmmu_flush flush_none(struct vmmu_vm *vm)
{
	return (struct vmmu_flush){ .vm = vm, .start = ~0ull };
}

static inline bool flush_is_owed(const struct vmmu_flush *flush)
{
	return flush->start < flush->end;
}

/* Frames [@start, @end); ~0: up to the last one. */
static inline void flush_add_range(struct vmmu_flush *flush, vmmu_gfn_t start, vmmu_gfn_t end)
{
	if (start < flush->start)
		flush->start = start;
	if (end > flush->end)
		flush->end = end;
}

static inline void flush_add(struct vmmu_flush *flush, vmmu_gfn_t gfn, int level)
{
	vmmu_gfn_t start = vmmu_gfn_round(gfn, level);

	flush_add_range(flush, start, start + vmmu_level_frames(level));
}

static inline void flush_add_dead(struct vmmu_flush *flush, struct vmmu_page *page)
{
	page->next_dead = flush->dead;
	flush->dead = page;
}

/*
 * May a CPU hold translations that no table shows any more, and that are in no debt?
 * Context: vm excl for a lasting answer.
 */
static inline bool flush_is_deferred(const struct vmmu_vm *vm)
{
	return __atomic_load_n(&vm->flushes_deferred, __ATOMIC_SEQ_CST) !=
	       __atomic_load_n(&vm->flushes_paid, __ATOMIC_SEQ_CST);
}

/* All of that, too. */
static inline void flush_add_deferred(struct vmmu_flush *flush)
{
	if (flush_is_deferred(flush->vm))
		flush_add_range(flush, 0, ~0ull);
}

/* What is owed, which is no tables, is deferred. The debt is 0 afterwards. Context: vm shared. */
void vmmu_flush_defer(struct vmmu_flush *flush);

/* Flush what is owed, then let go of the dead tables. The debt is 0 afterwards. Context: atomic. */
void vmmu_flush_pay(struct vmmu_flush *flush);
/*
 * Leave the flush, and any that is deferred, to the caller, who flushes the whole VM before it gives up its lock. Debts
 * with dead tables are paid here. Context: vm excl. Return: does the caller have to flush?
 */
VMMU_MUST_CHECK bool vmmu_flush_hand_up(struct vmmu_flush *flush);

#endif
