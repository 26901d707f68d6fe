/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Sync: the guest flushed translations, so entries made from guest entries that have changed since must go.
 *
 * Unsync pages below a root are found by marks that lead to them: a bit for each entry below which one may be. A mark
 * is taken away only under the lock under which it would be set, and only once the page below is in sync, so that a second
 * vCPU's sync never passes a page that the first is still at work on.
 *
 * First the frames of a batch of pages are protected, then all CPUs that may hold writable translations of them are flushed,
 * once; only then the guest's entries are read. A page whose guest table is rewritten right after every sync is not
 * protected at all: it stays unsync and is read again each time. The flush of what the comparison takes away is deferred,
 * see flush_is_guests().
 */
#include "engine/shadow.h"
#include "base/count.h"
#include "base/lock.h"
#include "engine/change.h"
#include "format/spte.h"

#define BATCH 16
#define RUN 32		/* entries that are read at a time */

/*
 * The guest's entry has changed: make the leaf what @gpte gives now, as far as that takes something away. Return: false if it
 * has to go: it maps another frame or none, or the guest wants to see A set by the next access.
 */
static bool follow(const struct vmmu_gfmt *f, const struct vmmu_mode *mode, struct vmmu_page *page, unsigned int i,
		   uint64_t gpte, struct vmmu_flush *debt)
{
	uint64_t word, spte = pte_load(&page->table[i]);
	uint64_t dirty = gfmt_dirty(f, mode), accessed = gfmt_accessed(f, mode, VMMU_LEVEL_4K);
	bool writable = spte_is_writable(spte) || spte_is_mmu_writable(page->vm->fmt, spte);
	unsigned int access = mirror_access(f, page, gpte);

	if (accessed && !(gpte & accessed))
		return false;
	word = vmmu_mirror_word(mode, page, gpte);
	if (!word || mirror_gfn(word) != leaf_gfn(page, i))
		return false;
	/* The next write has to set D: it must fault. */
	if (writable && dirty && !(gpte & dirty))
		access &= ~(unsigned int)VMMU_ACC_W;
	if (access != mirror_access(f, page, page->s.mirrored[i]) && !vmmu_shadow_narrow(page, i, access, debt))
		return false;
	page->s.mirrored[i] = word;
	return true;
}

/* Is there anything in the RUN entries from @entry on? */
static bool any_set(const uint64_t *entry)
{
	uint64_t all = 0;

	for (unsigned int k = 0; k < RUN; k += 4)
		all |= pte_load(&entry[k]) | pte_load(&entry[k + 1]) | pte_load(&entry[k + 2]) | pte_load(&entry[k + 3]);
	return all;
}

/* Read the guest's entries behind RUN entries from @i on; that behind entry 0 is at @table. Return: can they be read now? */
VMMU_ALWAYS_INLINE bool read_run(const struct vmmu_gfmt *f, const struct vmmu_gpte *table, unsigned int i, uint64_t *gpte)
{
	uint64_t offset = gfmt_offset(f, i);
	struct vmmu_gpte at = { .host = (char *)table->host + offset, .gpa = table->gpa + offset };

	return !vmmu_host_gpte_read_run(&at, f->entry_bytes, RUN, gpte);
}

/*
 * Whole tables are compared, whenever a guest that has written them flushes: that is much of what shadow paging costs. So
 * there is an instance of this for each format, and entries are read as many at a time as are to be compared.
 */
VMMU_ALWAYS_INLINE void compare_by(const struct vmmu_gfmt *f, const struct vmmu_mode *mode, struct vmmu_page *page,
				   struct vmmu_flush *debt)
{
	VMMU_UNINITIALIZED uint64_t gpte[RUN];
	struct vmmu_gpte at;
	bool located = vmmu_mirror_locate(page, 0, &at);

	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i += RUN) {
		bool known;

		if (!any_set(&page->table[i]))
			continue;
		known = located && read_run(f, &at, i, gpte);
		for (unsigned int k = 0; k < RUN; k++) {
			uint64_t spte = pte_load(&page->table[i + k]);

			if (!spte || (known && spte_is_present(spte) && mirror_is_current(f, page->s.mirrored[i + k], gpte[k])))
				continue;
			if (!known || !spte_is_present(spte) || !follow(f, mode, page, i + k, gpte[k], debt))
				vmmu_shadow_drop(page, i + k, debt);
		}
	}
}

/* Context: the lock of @page, of level 1, is held. */
static void compare_entries(const struct vmmu_mode *mode, struct vmmu_page *page, struct vmmu_flush *debt)
{
	const struct vmmu_gfmt *f = mirror_format(page);

	if (f == &vmmu_gfmt_pt64)
		compare_by(&vmmu_gfmt_pt64, mode, page, debt);
	else if (f == &vmmu_gfmt_ept)
		compare_by(&vmmu_gfmt_ept, mode, page, debt);
	else if (f == &vmmu_gfmt_pae)
		compare_by(&vmmu_gfmt_pae, mode, page, debt);
	else
		compare_by(&vmmu_gfmt_pt32, mode, page, debt);
}

struct sync_batch {
	struct vmmu_vm *vm;
	const struct vmmu_mode *mode;
	bool for_flush;			/* of the guest's, which was counted before; the VM's lock may be yielded */
	uint64_t since;			/* flushes counted by then */
	bool stop;			/* somebody waits: come out, and begin again */
	unsigned int count;
	struct vmmu_page *page[BATCH];
};

static void batch_run(struct sync_batch *batch)
{
	struct vmmu_flush debt = flush_none(batch->vm);
	uint64_t flushes = shadow_flushes(batch->vm);

	if (!batch->count)
		return;
	for (unsigned int n = 0; n < batch->count; n++) {
		struct vmmu_page *page = batch->page[n];

		page_lock(page);
		if (page->s.unsync && !page->s.tracked && !flag_load(&page->invalid) &&
		    page->s.rewritten <= batch->vm->params.sync_patience)
			vmmu_shadow_track(page, &debt);
		/* Also where another has protected the frame, or dropped its leaves: that one's flush may be due still. */
		if (page->s.unsync && page->s.tracked)
			flush_add(&debt, page->gfn, VMMU_LEVEL_4K);
		page_unlock(page);
	}
	vmmu_flush_pay(&debt);
	for (unsigned int n = 0; n < batch->count; n++) {
		struct vmmu_page *page = batch->page[n];

		page_lock(page);
		/* A page on its way out may still be reached by a link that its zapper has not cleared yet. */
		if (page->s.unsync) {
			compare_entries(batch->mode, page, &debt);
			/* Made writable again meanwhile: what was read is as fresh as this flush asks for, and it stays unsync. */
			if (page->s.tracked) {
				flag_store(&page->s.unsync, false);
				vmmu_host_trace_page(batch->vm, page, VMMU_PAGE_SYNC);
			} else if (page->s.rewritten) {
				page->s.rewritten--;
			}
			count_vm(batch->vm, VMMU_C_SYNCED, 1);
		}
		page_unlock(page);
	}
	if (flush_is_guests(batch->mode))
		vmmu_flush_defer(&debt);
	vmmu_flush_pay(&debt);
	for (unsigned int n = 0; n < batch->count; n++)
		__atomic_store_n(&batch->page[n]->s.compared, flushes, __ATOMIC_RELEASE);
	if (batch->for_flush && vmmu_host_should_yield(batch->vm))
		batch->stop = true;
	batch->count = 0;
}

/*
 * Was @page compared with the guest's table after the flush, by whomever? Then it does for this flush as well, even if it stays
 * unsync: so a sync that has begun again gets on, whatever is written meanwhile. A new way to a page wants it compared now.
 */
static bool is_compared(const struct sync_batch *batch, const struct vmmu_page *page)
{
	return batch->for_flush && __atomic_load_n(&page->s.compared, __ATOMIC_ACQUIRE) >= batch->since;
}

static bool nothing_below(const struct vmmu_page *page)
{
	for (unsigned int n = 0; n < VMMU_TABLE_ENTRIES / 64; n++)
		if (__atomic_load_n(&page->s.unsync_below[n], __ATOMIC_ACQUIRE))
			return false;
	return true;
}

static void clear_mark(struct vmmu_page *page, unsigned int i)
{
	__atomic_fetch_and(&page->s.unsync_below[i / 64], ~(1ull << (i % 64)), __ATOMIC_SEQ_CST);
}

/* Take the mark at entry @i away if it leads to nothing unsync any more. */
static void unmark(struct vmmu_page *page, unsigned int i, struct vmmu_page *child)
{
	/* Under the page's lock the entry stays what it is: another child there has a claim of its own on the mark. */
	page_lock(page);
	parents_lock(child);
	if (entry_child(page, pte_load(&page->table[i])) == child && !flag_load(&child->s.unsync) && nothing_below(child)) {
		child->s.known_above = false;
		clear_mark(page, i);
	}
	parents_unlock(child);
	page_unlock(page);
}

/*
 * The mark leads nowhere: the entry has changed since, or a link is being made, whose marks come first. Return: the page
 * that is linked there by now, else NULL, and the mark is gone.
 */
static struct vmmu_page *unmark_stale(struct vmmu_page *page, unsigned int i)
{
	struct vmmu_page *child;

	page_lock(page);
	child = entry_child(page, pte_load(&page->table[i]));
	if (!child)
		clear_mark(page, i);
	page_unlock(page);
	return child;
}

static void sync_below(struct sync_batch *batch, struct vmmu_page *page);

static void sync_children(struct sync_batch *batch, struct vmmu_page *page, bool take_marks_away)
{
	for (unsigned int n = 0; n < VMMU_TABLE_ENTRIES / 64; n++) {
		uint64_t bits = __atomic_load_n(&page->s.unsync_below[n], __ATOMIC_ACQUIRE);

		for (; bits && (take_marks_away || !batch->stop); bits &= bits - 1) {
			unsigned int i = n * 64 + (unsigned int)__builtin_ctzll(bits);
			struct vmmu_page *child = entry_child(page, pte_load(&page->table[i]));

			if (!child)
				child = unmark_stale(page, i);
			if (!child)
				continue;
			if (take_marks_away)
				unmark(page, i, child);
			else
				sync_below(batch, child);
		}
	}
}

/* Depth is bounded by the levels of a tree. */
static void sync_below(struct sync_batch *batch, struct vmmu_page *page)
{
	if (page->role.level == VMMU_LEVEL_4K) {
		if (is_compared(batch, page))
			return;
		if (batch->count == BATCH)
			batch_run(batch);
		batch->page[batch->count++] = page;
		return;
	}
	sync_children(batch, page, false);
	batch_run(batch);
	sync_children(batch, page, true);
}

/* Context: rcu. */
static void sync_all_below(struct sync_batch *batch, struct vmmu_page *page)
{
	batch->stop = false;
	if (page->role.level == VMMU_LEVEL_4K || !nothing_below(page)) {
		sync_below(batch, page);
		batch_run(batch);
	}
}

void vmmu_shadow_sync_page(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_page *page)
{
	struct sync_batch batch = { .vm = vm, .mode = mode };

	vmmu_host_rcu_read_lock();
	sync_all_below(&batch, page);
	vmmu_host_rcu_read_unlock();
}

void vmmu_shadow_sync_root(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_page *root)
{
	struct sync_batch batch = { .vm = vm, .mode = mode, .for_flush = true, .since = shadow_flushes(vm) };

	for (;;) {
		vmmu_host_rcu_read_lock();
		sync_all_below(&batch, root);
		vmmu_host_rcu_read_unlock();
		/* Of a root that was zapped meanwhile nothing is left to be used. */
		if (!batch.stop || flag_load(&root->invalid))
			return;
		vmmu_host_yield_shared(vm);
	}
}

bool vmmu_shadow_flush_begins(struct vmmu_vm *vm, const struct vmmu_page *root)
{
	/* Before any mark is looked at: see vmmu_shadow_link(). */
	__atomic_fetch_add(&vm->guest_flushes, 1, __ATOMIC_SEQ_CST);
	return !nothing_below(root);
}
