/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The host changes what stands behind guest memory, in the order of Linux' MMU notifiers: announce, unmap and flush,
 * change, announce the end. A large page of the host's goes as a whole before a part of it changes. See vm.h.
 */
#include "say.h"
#include "vm.h"

/* Run @visit on the frames of each slot behind which pages [@start, @end) stand. Context: slots. */
static bool for_each_range(struct machine_vm *m, uint64_t start, uint64_t end, enum vmmu_yield yield)
{
	bool flush = false;

	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++) {
			struct vmmu_slot *slot = machine_slot(m, space, id);
			uint64_t first, last;

			if (!slot || slot->page >= end || slot->page + (slot->end - slot->start) <= start)
				continue;
			first = start > slot->page ? start - slot->page : 0;
			last = end - slot->page < slot->end - slot->start ? end - slot->page : slot->end - slot->start;
			flush |= vmmu_unmap_range(&m->vm, space, slot->start + first, slot->start + last, yield);
		}
	return flush;
}

static void invalidate_begin(struct machine_vm *m, uint64_t start, uint64_t end, enum vmmu_yield yield)
{
	uint64_t lost;

	machine_lock_write(m);
	if (!__atomic_fetch_add(&m->invalidating, 1, __ATOMIC_SEQ_CST)) {
		word_store(&m->invalid_start, start);
		word_store(&m->invalid_end, end);
	} else {
		word_store(&m->invalid_start, start < m->invalid_start ? start : m->invalid_start);
		word_store(&m->invalid_end, end > m->invalid_end ? end : m->invalid_end);
	}
	machine_close_shares(m);
	if (for_each_range(m, start, end, yield))
		machine_flush(m, 0, ~0ull);
	machine_unlock_excl(m);
	lost = machine_ram_check_told(&m->ram, start, end);
	if (lost != end)
		machine_bug("page %#llx was written, and its owner was not told before it went",
			    (unsigned long long)lost);
}

static void invalidate_end(struct machine_vm *m)
{
	machine_lock_write(m);
	__atomic_fetch_sub(&m->invalidating, 1, __ATOMIC_SEQ_CST);
	machine_unlock_excl(m);
}

bool machine_is_invalidating_at(struct machine_vm *m, const struct vmmu_fault *f)
{
	uint64_t page = machine_slot_page(f->slot, f->gfn);

	if (machine_lock_held(&m->lock) == MACHINE_NOT_HELD)
		machine_bug("invalidating_at without the VM's lock");
	return __atomic_load_n(&m->invalidating, __ATOMIC_ACQUIRE) && page >= word_load(&m->invalid_start) &&
		page < word_load(&m->invalid_end);
}

static void set_flags(struct machine_ram *ram, uint64_t start, uint64_t end, unsigned int set, unsigned int clear)
{
	for (uint64_t page = start; page < end; page++)
		ram_set_flags(ram, page, (ram_flags(ram, page) & ~clear) | set);
}

static void set_levels(struct machine_ram *ram, uint64_t start, uint64_t end, int level)
{
	int block = level > 1 ? level : 2;
	uint64_t step = vmmu_level_frames(block);

	for (uint64_t page = start & ~(step - 1); page < end; page += step)
		machine_ram_set_level(ram, page, machine_ram_level(ram, page) > block ? 3 : block, level);
}

/* Widen the range to whole blocks: those the change makes, and those the host maps as one now. */
static void widen(const struct machine_ram *ram, uint64_t *start, uint64_t *end, enum machine_change change)
{
	uint64_t size = vmmu_level_frames(change == MACHINE_MAKE_1G ? 3 : change == MACHINE_MAKE_2M ? 2 : 1);
	uint64_t block_start, block_end;

	*start &= ~(size - 1);
	*end = (*end + size - 1) & ~(size - 1);
	machine_ram_block(ram, *start, &block_start, &block_end);
	*start = block_start < *start ? block_start : *start;
	machine_ram_block(ram, *end - 1, &block_start, &block_end);
	*end = block_end > *end ? block_end : *end;
}

/* @start and @end: what was asked for; the blocks around it are unmapped. Context: ram_lock. */
static void carry_out(struct machine_vm *m, uint64_t start, uint64_t end, uint64_t wide_start, uint64_t wide_end,
		      enum machine_change change)
{
	struct machine_ram *ram = &m->ram;

	switch (change) {
	case MACHINE_MOVE:
	case MACHINE_SWAP_OUT:
	case MACHINE_PROTECT:
	case MACHINE_SPLIT:
		set_levels(ram, wide_start, wide_end, 1);
		if (change == MACHINE_MOVE)
			machine_ram_move(ram, start, end);
		else if (change == MACHINE_SWAP_OUT)
			set_flags(ram, start, end, RAM_ABSENT, RAM_COPY_ON_WRITE);
		else if (change == MACHINE_PROTECT)
			set_flags(ram, start, end, RAM_COPY_ON_WRITE, 0);
		break;
	case MACHINE_MAKE_2M:
	case MACHINE_MAKE_1G:
		machine_ram_move(ram, wide_start, wide_end);
		set_flags(ram, wide_start, wide_end, 0, RAM_ABSENT | RAM_COPY_ON_WRITE | RAM_DEVICE);
		set_levels(ram, wide_start, wide_end, change == MACHINE_MAKE_1G ? 3 : 2);
		break;
	}
}

/* Context: slots, change_lock. */
static void change_locked(struct machine_vm *m, uint64_t start, uint64_t end, enum machine_change change,
			  enum vmmu_yield yield)
{
	static const char *const what[] = {
		[MACHINE_MOVE] = "moves", [MACHINE_SWAP_OUT] = "swaps out", [MACHINE_PROTECT] = "copies on write",
		[MACHINE_MAKE_2M] = "makes large", [MACHINE_MAKE_1G] = "makes very large",
		[MACHINE_SPLIT] = "makes small",
	};
	uint64_t wide_start = start, wide_end = end;

	MACHINE_SAY("the host: %s pages %#llx to %#llx", what[change], (unsigned long long)start,
		    (unsigned long long)end);
	widen(&m->ram, &wide_start, &wide_end, change);
	invalidate_begin(m, wide_start, wide_end, yield);
	if (machine_hook)
		machine_hook(MACHINE_AT_INVALIDATING);
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	carry_out(m, start, end, wide_start, wide_end, change);
	machine_mutex_unlock(&m->ram_lock);
	invalidate_end(m);
}

void machine_change(struct machine_vm *m, uint64_t start, uint64_t end, enum machine_change change,
		    enum vmmu_yield yield)
{
	machine_slots_read_lock(m);
	machine_mutex_lock(MACHINE_LOCK_CHANGE, &m->change_lock);
	change_locked(m, start, end, change, yield);
	machine_mutex_unlock(&m->change_lock);
	machine_slots_read_unlock(m);
}

/* Context: slots, excl. @page has one image more than now. */
static bool set_frame_everywhere(struct machine_vm *m, uint64_t page, vmmu_pfn_t pfn)
{
	bool flush = false;

	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++) {
			struct vmmu_slot *slot = machine_slot(m, space, id);

			if (slot && page >= slot->page && page - slot->page < slot->end - slot->start)
				flush |= vmmu_set_frame(&m->vm, space, slot->start + (page - slot->page), pfn);
		}
	return flush;
}

void machine_replace(struct machine_vm *m, uint64_t page)
{
	uint64_t pfn, lost;

	machine_slots_read_lock(m);
	machine_mutex_lock(MACHINE_LOCK_CHANGE, &m->change_lock);
	if (machine_ram_level(&m->ram, page) > 1)
		change_locked(m, page, page + 1, MACHINE_SPLIT, VMMU_YIELD_ALLOWED);
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	machine_lock_excl(m);
	pfn = machine_ram_next_pfn(&m->ram, page);
	ram_set_flags(&m->ram, page, ram_flags(&m->ram, page) | RAM_REPLACING);
	if (set_frame_everywhere(m, page, pfn))
		machine_flush(m, 0, ~0ull);
	lost = machine_ram_check_told(&m->ram, page, page + 1);
	if (lost == page)
		machine_bug("page %#llx was written, and its owner was not told before it was replaced",
			    (unsigned long long)page);
	machine_ram_move(&m->ram, page, page + 1);
	ram_set_flags(&m->ram, page, (ram_flags(&m->ram, page) & ~(RAM_ABSENT | RAM_REPLACING)) | RAM_COPY_ON_WRITE);
	machine_unlock_excl(m);
	machine_mutex_unlock(&m->ram_lock);
	machine_mutex_unlock(&m->change_lock);
	machine_slots_read_unlock(m);
}

/* A page that a write copies: the copy takes its place. Return: false if somebody else is changing memory. */
static bool try_copy(struct machine_vm *m, uint64_t page)
{
	if (machine_self()->shared_only || pthread_mutex_trylock(&m->change_lock))
		return false;
	machine_lock_note(MACHINE_LOCK_CHANGE, &m->change_lock, true);
	if (ram_flags(&m->ram, page) & RAM_COPY_ON_WRITE) {
		change_locked(m, page, page + 1, MACHINE_MOVE, VMMU_YIELD_ALLOWED);
		machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
		ram_set_flags(&m->ram, page, ram_flags(&m->ram, page) & ~RAM_COPY_ON_WRITE);
		machine_mutex_unlock(&m->ram_lock);
	}
	machine_mutex_unlock(&m->change_lock);
	return true;
}

static int no_memory(struct vmmu_fault *f)
{
	f->slot = NULL;
	f->writable = false;
	return 0;
}

/* Context: ram_lock. */
static void bring_in(struct machine_vm *m, uint64_t page)
{
	if (ram_flags(&m->ram, page) & RAM_ABSENT) {
		machine_ram_move(&m->ram, page, page + 1);
		ram_set_flags(&m->ram, page, ram_flags(&m->ram, page) & ~RAM_ABSENT);
	}
}

void machine_bring_in(struct machine_vm *m, uint64_t page)
{
	machine_assert_may_sleep("bring_in");
	if (!(ram_flags(&m->ram, page) & RAM_ABSENT))
		return;
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	bring_in(m, page);
	machine_mutex_unlock(&m->ram_lock);
}

bool machine_ready_to_write(struct machine_vm *m, uint64_t page)
{
	machine_bring_in(m, page);
	return !(ram_flags(&m->ram, page) & RAM_COPY_ON_WRITE) || try_copy(m, page);
}

/* Context: ram_lock. */
static void look_up(struct machine_vm *m, struct vmmu_fault *f, uint64_t page)
{
	bring_in(m, page);
	f->pfn = machine_ram_pfn(&m->ram, page);
	f->writable = !f->slot->read_only && !(ram_flags(&m->ram, page) & RAM_COPY_ON_WRITE);
	f->host = (void *)(uintptr_t)f->pfn;
	__atomic_fetch_add(&m->ram.taken, 1, __ATOMIC_RELAXED);
}

int machine_fault_in(struct vmmu_vcpu *v, struct vmmu_fault *f)
{
	struct machine_vm *m = machine_of(v->vm);
	bool write = vmmu_fault_is_write(f);
	uint64_t page;

	machine_assert_may_sleep("fault_in");
	if (!f->slot)
		return no_memory(f);
	if (f->slot->invalid)
		return VMMU_FAULT_RETRY;
	if (write && f->slot->read_only)
		return VMMU_FAULT_EMULATE;
	page = machine_slot_page(f->slot, f->gfn);
	if (write && (ram_flags(&m->ram, page) & RAM_COPY_ON_WRITE)) {
		if (!try_copy(m, page))
			return VMMU_FAULT_RETRY;
		if (!vmmu_fault_mark(v, f))
			return VMMU_FAULT_RETRY;
	}
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	look_up(m, f, page);
	machine_mutex_unlock(&m->ram_lock);
	if (machine_hook)
		machine_hook(MACHINE_AT_FAULT_IN);
	return 0;
}

void machine_fault_release(struct machine_vm *m, struct vmmu_fault *f)
{
	if (!f->slot)
		return;
	if (f->pfn != (uintptr_t)f->host)
		machine_bug("frame %#llx is given back, another one was taken", (unsigned long long)f->pfn);
	__atomic_fetch_sub(&m->ram.taken, 1, __ATOMIC_RELAXED);
}

int machine_pfns_atomic(struct machine_vm *m, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool write, vmmu_pfn_t *pfns,
			int count)
{
	int got = 0;

	if (slot->invalid || (write && slot->read_only))
		return 0;
	if (gfn < slot->start || gfn + (unsigned int)count > slot->end)
		machine_bug("frames outside the slot are looked up");
	for (; got < count; got++) {
		uint64_t page = machine_slot_page(slot, gfn + (unsigned int)got);

		if (ram_flags(&m->ram, page) & (RAM_ABSENT | (write ? RAM_COPY_ON_WRITE : 0)))
			break;
		pfns[got] = machine_ram_pfn(&m->ram, page);
		__atomic_fetch_add(&m->ram.taken, 1, __ATOMIC_RELAXED);
	}
	return got;
}
