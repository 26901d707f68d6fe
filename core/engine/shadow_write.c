/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the guest does to its tables where we see it: emulated writes, and invalidations of one address. */
#include "engine/shadow.h"
#include "base/count.h"
#include "base/lock.h"
#include "format/spte.h"
#include "page/index.h"

static unsigned int entry_bytes(const struct vmmu_page *page)
{
	return page->role.format == VMMU_FORMAT_PT32 || page->role.format == VMMU_FORMAT_NPT32 ? 4 : 8;
}

/*
 * Writes that a kernel does not make to a table in use: across entries, or of a part of one. A single byte at the start of an
 * entry is how some set its flags.
 */
static bool is_odd_write(const struct vmmu_page *page, unsigned int offset, unsigned int bytes)
{
	unsigned int size = entry_bytes(page);

	if (bytes == 1 && !(offset % size))
		return false;
	return bytes < 4 || offset / size != (offset + bytes - 1) / size;
}

static bool is_flooded(struct vmmu_page *page)
{
	unsigned int most = page->vm->params.write_flood;

	return most && page->role.level > VMMU_LEVEL_4K && __atomic_add_fetch(&page->s.writes, 1, __ATOMIC_RELAXED) >= most;
}

/* Drop what guest entry @g of the mirrored table stands behind. Context: page's lock. */
static void drop_guest_entry(struct vmmu_page *page, unsigned int g, struct vmmu_flush *debt)
{
	bool upper = page->role.level > VMMU_LEVEL_4K;
	unsigned int part, first, count = 1;

	if (entry_bytes(page) == 8) {
		part = 0;
		first = g;
	} else {
		/* A 4 MiB entry is two of ours, on one of four pages; a 4 KiB entry is on one of two pages. */
		part = g / (upper ? 256 : 512);
		first = upper ? g % 256 * 2 : g % 512;
		count = upper ? 2 : 1;
	}
	if (part != page->role.quadrant)
		return;
	for (unsigned int i = first; i < first + count; i++)
		if (pte_load(&page->table[i]))
			vmmu_shadow_drop(page, i, debt);
}

/* Return: false if another is letting go of @page. */
static bool let_go(struct vmmu_page *page, struct vmmu_flush *debt)
{
	if (!vmmu_shadow_zap(page, debt))
		return false;
	vmmu_host_trace_page(page->vm, page, VMMU_PAGE_FLOODED);
	count_vm(page->vm, VMMU_C_SHADOWS_FLOODED, 1);
	return true;
}

static void page_written(struct vmmu_page *page, unsigned int offset, unsigned int bytes, struct vmmu_flush *debt)
{
	unsigned int size = entry_bytes(page);

	vmmu_host_trace_page(page->vm, page, VMMU_PAGE_WRITTEN);
	if ((is_odd_write(page, offset, bytes) || is_flooded(page)) && let_go(page, debt))
		return;
	page_lock(page);
	for (unsigned int g = offset / size; g <= (offset + bytes - 1) / size; g++)
		drop_guest_entry(page, g, debt);
	page_unlock(page);
}

void vmmu_shadow_written(struct vmmu_vm *vm, vmmu_gpa_t gpa, unsigned int bytes)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *page;

	/* The bytes are written: a fault that reads the guest's entry after this, under the page's lock, sees them. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vmmu_host_rcu_read_lock();
	for (page = vmmu_index_first(vm, gpa >> VMMU_PAGE_SHIFT); page; page = vmmu_index_next(page)) {
		page_written(page, (unsigned int)(gpa & (VMMU_PAGE_SIZE - 1)), bytes, &debt);
		count_vm(vm, VMMU_C_GUEST_WRITES, 1);
	}
	vmmu_flush_pay(&debt);
	vmmu_host_rcu_read_unlock();
}

bool vmmu_shadow_unprotect(struct vmmu_vm *vm, vmmu_gfn_t gfn)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *page;
	bool any = false;

	vmmu_host_rcu_read_lock();
	for (page = vmmu_index_first(vm, gfn); page; page = vmmu_index_next(page)) {
		vmmu_shadow_zap(page, &debt);
		any = true;
	}
	vmmu_flush_pay(&debt);
	vmmu_host_rcu_read_unlock();
	return any;
}

void vmmu_shadow_invalidate_address(struct vmmu_vm *vm, const struct vmmu_mode *mode, struct vmmu_page *root, uint64_t addr)
{
	struct vmmu_flush debt = flush_none(vm);
	struct vmmu_page *page = root;
	unsigned int i;
	uint64_t spte;

	__atomic_fetch_add(&vm->guest_flushes, 1, __ATOMIC_SEQ_CST);
	vmmu_host_rcu_read_lock();
	for (;;) {
		i = (unsigned int)(addr >> (VMMU_PAGE_SHIFT + vmmu_level_frames_lg2(page->role.level))) &
		    (VMMU_TABLE_ENTRIES - 1);
		spte = pte_load(&page->table[i]);
		if (!spte_is_table(spte, page->role.level))
			break;
		page = vmmu_host_table_page(vmmu_host_table_at(spte_address(vm->fmt, spte)));
	}
	/* Also where nothing is there yet: a fault that has read the old entry may be about to install. */
	if (page->role.level == VMMU_LEVEL_4K) {
		page_lock(page);
		spte = pte_load(&page->table[i]);
		/* A table in sync has had its entry dropped when it was written. */
		if (spte && (page->s.unsync || !spte_is_present(spte)))
			vmmu_shadow_drop(page, i, &debt);
		page_unlock(page);
	}
	if (flush_is_guests(mode))
		vmmu_flush_defer(&debt);
	vmmu_flush_pay(&debt);
	vmmu_host_rcu_read_unlock();
}
