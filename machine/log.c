/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The dirty log of a slot, begun, harvested and ended as Linux does it. See vm.h. */
#include <stdlib.h>
#include <string.h>
#include "vcpu.h"

void machine_mark_dirty(struct machine_vm *m, const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	uint64_t n = gfn - slot->start;

	(void)m;
	if (slot->logs)
		__atomic_fetch_or(&slot->records->dirty[n / 64], 1ull << (n % 64), __ATOMIC_RELEASE);
}

/* The user sees the frame as it is now. */
static void transfer(struct machine_vm *m, const struct vmmu_slot *slot, uint64_t n)
{
	slot->records->copied[n] = __atomic_load_n(&m->ram.version[slot->space][slot->page + n], __ATOMIC_RELAXED);
}

static void sync_logs(struct machine_vm *m)
{
	for (unsigned int i = 0; i < m->vcpus; i++)
		machine_vcpu_sync_log(m->vcpu[i]);
}

/* Put a slot in place that does or does not log. Context: slots_lock. */
static struct vmmu_slot *replace_flags(struct machine_vm *m, struct vmmu_slot *old, struct vmmu_slot *fresh, bool logs)
{
	/* The reverse maps are made in the slot that can be looked up. */
	machine_mutex_lock(MACHINE_LOCK_WORDS, &m->words_lock);
	*fresh = *old;
	fresh->logs = logs;
	__atomic_store_n(&m->slot[old->space][old->id], fresh, __ATOMIC_RELEASE);
	machine_mutex_unlock(&m->words_lock);
	machine_slots_synchronize(m);
	return fresh;
}

static void protect(struct machine_vm *m, struct vmmu_slot *slot, enum machine_log_way way)
{
	if (way == MACHINE_LOG_ALL_SET) {
		for (uint64_t n = 0; n < slot->records->frames; n++)
			machine_mark_dirty(m, slot, slot->start + n);
		return;
	}
	if (way == MACHINE_LOG_SPLIT)
		vmmu_split_range(&m->vm, slot, slot->start, slot->end, VMMU_LEVEL_4K);
	if (m->config.pml) {
		vmmu_clean_slot(&m->vm, slot);
		vmmu_wrprot_slot(&m->vm, slot, VMMU_LEVEL_2M);
	} else {
		vmmu_wrprot_slot(&m->vm, slot, VMMU_LEVEL_4K);
	}
	machine_flush(m, slot->start, slot->end);
}

void machine_log_start(struct machine_vm *m, int space, int id, enum machine_log_way way)
{
	struct vmmu_slot *old, *slot;

	MACHINE_SAY("the host: logs slot %d of space %d", id, space);
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	old = machine_slot(m, space, id);
	if (old && !old->logs) {
		slot = replace_flags(m, old, malloc(sizeof(*slot)), true);
		free(old);
		protect(m, slot, way);
		for (uint64_t n = 0; n < slot->records->frames; n++)
			transfer(m, slot, n);
	}
	machine_mutex_unlock(&m->slots_lock);
}

void machine_log_stop(struct machine_vm *m, int space, int id)
{
	struct vmmu_slot *old, *slot;

	MACHINE_SAY("the host: logs slot %d of space %d no more", id, space);
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	old = machine_slot(m, space, id);
	if (old && old->logs) {
		sync_logs(m);
		slot = replace_flags(m, old, malloc(sizeof(*slot)), false);
		free(old);
		memset(slot->records->dirty, 0, (slot->records->frames + 63) / 64 * 8);
		vmmu_collapse_slot(&m->vm, slot);
	}
	machine_mutex_unlock(&m->slots_lock);
}

/* Take the bits of up to 64 frames from number @n on out of the log. */
static uint64_t take_bits(const struct machine_slot_records *r, uint64_t n, uint64_t count)
{
	uint64_t want = count < 64 ? (1ull << count) - 1 : ~0ull, shift = n % 64;
	uint64_t low = want << shift, high = shift ? want >> (64 - shift) : 0;
	uint64_t got = __atomic_fetch_and(&r->dirty[n / 64], ~low, __ATOMIC_ACQ_REL) & low;
	uint64_t mask = got >> shift;

	if (high) {
		got = __atomic_fetch_and(&r->dirty[n / 64 + 1], ~high, __ATOMIC_ACQ_REL) & high;
		mask |= got << (64 - shift);
	}
	return mask;
}

static uint64_t harvest_window(struct machine_vm *m, struct vmmu_slot *slot, uint64_t n, uint64_t count, bool split)
{
	uint64_t mask = take_bits(slot->records, n, count), found = 0;

	if (!mask)
		return 0;
	machine_lock_write(m);
	if (split)
		vmmu_split_range_atomic(&m->vm, slot, slot->start + n + (unsigned int)__builtin_ctzll(mask),
					slot->start + n + 64 - (unsigned int)__builtin_clzll(mask), VMMU_LEVEL_4K);
	vmmu_log_again(&m->vm, slot, slot->start + n, mask);
	machine_unlock_excl(m);
	machine_flush(m, slot->start, slot->end);
	for (; mask; mask &= mask - 1, found++)
		transfer(m, slot, n + (unsigned int)__builtin_ctzll(mask));
	return found;
}

uint64_t machine_log_harvest(struct machine_vm *m, int space, int id, uint64_t offset, bool split)
{
	struct vmmu_slot *slot;
	uint64_t found = 0;

	MACHINE_SAY("the host: harvests the log of slot %d of space %d", id, space);
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	slot = machine_slot(m, space, id);
	if (slot && slot->logs) {
		uint64_t frames = slot->records->frames, n;

		sync_logs(m);
		for (n = offset % frames; n < frames; n += 64)
			found += harvest_window(m, slot, n, frames - n < 64 ? frames - n : 64, split);
		for (n = 0; n < offset % frames; n += 64)
			found += harvest_window(m, slot, n, offset % frames - n < 64 ? offset % frames - n : 64, split);
	}
	machine_mutex_unlock(&m->slots_lock);
	return found;
}

uint64_t machine_log_check(struct machine_vm *m, int space, int id)
{
	struct vmmu_slot *slot = machine_slot(m, space, id);

	if (!slot || !slot->logs)
		return ~0ull;
	for (uint64_t n = 0; n < slot->records->frames; n++)
		if (slot->records->copied[n] !=
		    __atomic_load_n(&m->ram.version[space][slot->page + n], __ATOMIC_RELAXED))
			return slot->start + n;
	return ~0ull;
}
