/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memslots: looked up without a lock, changed by replacing them, as Linux does it. See vm.h. */
#include <stdlib.h>
#include "vm.h"

static struct vmmu_slot *slot_load(struct machine_vm *m, int space, int id)
{
	return __atomic_load_n(&m->slot[space][id], __ATOMIC_ACQUIRE);
}

struct vmmu_slot *machine_slot_at(struct machine_vm *m, int space, vmmu_gfn_t gfn)
{
	if (!machine_holds_class(MACHINE_LOCK_SLOTS) && !machine_holds_class(MACHINE_LOCK_SLOTS_READ))
		machine_bug("a slot is looked up outside any slot read section");
	for (int id = 0; id < MACHINE_SLOTS; id++) {
		struct vmmu_slot *slot = slot_load(m, space, id);

		if (slot && gfn >= slot->start && gfn < slot->end)
			return slot;
	}
	return NULL;
}

struct vmmu_slot *machine_slot(struct machine_vm *m, int space, int id)
{
	return slot_load(m, space, id);
}

static uint64_t block_of(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	return (gfn >> (9 * (level - 1))) - (slot->start >> (9 * (level - 1)));
}

static uint64_t blocks(const struct vmmu_slot *slot, int level)
{
	return block_of(slot, slot->end - 1, level) + 1;
}

bool machine_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	if (gfn < slot->start || gfn >= slot->end || level < VMMU_LEVEL_2M || level > VMMU_LEVEL_HUGE_MAX) {
		machine_bug("gfn %#llx level %d is outside its slot", (unsigned long long)gfn, level);
		return true;
	}
	return __atomic_load_n(&slot->records->huge_disallowed[level - 2][block_of(slot, gfn, level)],
			       __ATOMIC_RELAXED);
}

static struct machine_slot_records *records_new(const struct vmmu_slot *slot)
{
	struct machine_slot_records *r = calloc(1, sizeof(*r));

	r->frames = slot->end - slot->start;
	r->dirty = calloc((r->frames + 63) / 64 + 1, sizeof(uint64_t));
	r->copied = calloc(r->frames, sizeof(uint32_t));
	r->tracked = calloc(r->frames, 1);
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++) {
		uint64_t size = vmmu_level_frames(level), count = blocks(slot, level);
		uint16_t *disallowed = calloc(count, sizeof(uint16_t));

		r->huge_disallowed[level - 2] = disallowed;
		if (slot->start % size)
			disallowed[0]++;
		if (slot->end % size)
			disallowed[count - 1]++;
		/* The page behind a frame has to lie as the frame does. */
		for (uint64_t i = 0; (slot->start ^ slot->page) % size && i < count; i++)
			disallowed[i]++;
	}
	return r;
}

static void records_free(struct machine_slot_records *r)
{
	free(r->dirty);
	free(r->copied);
	free(r->tracked);
	free(r->huge_disallowed[0]);
	free(r->huge_disallowed[1]);
	free(r);
}

/* Publish @slot (NULL: none) in place of the old one, which nobody looks at any more on return. Context: slots_lock. */
static void replace(struct machine_vm *m, int space, int id, const struct vmmu_slot *slot)
{
	struct vmmu_slot *copy = NULL, *old = slot_load(m, space, id);

	if (slot) {
		copy = malloc(sizeof(*copy));
		*copy = *slot;
	}
	__atomic_store_n(&m->slot[space][id], copy, __ATOMIC_RELEASE);
	machine_slots_synchronize(m);
	free(old);
}

/* Entries for MMIO hold the low bits of the generation: when those begin anew, all of them go. Context: slots_lock. */
static void next_generation(struct machine_vm *m, int space)
{
	uint64_t generation = m->generation[space] + MACHINE_SPACES;

	__atomic_store_n(&m->generation[space], generation, __ATOMIC_RELEASE);
	if (!((generation & VMMU_MMIO_GEN_MASK) / MACHINE_SPACES))
		vmmu_zap_all_fast(&m->vm);
}

static void count_tracked(struct machine_vm *m, const struct vmmu_slot *slot, vmmu_gfn_t gfn, bool on)
{
	__atomic_store_n(&slot->records->tracked[gfn - slot->start], on, __ATOMIC_RELAXED);
	__atomic_fetch_add(&m->slots_tracked, on ? 1 : -1ull, __ATOMIC_RELAXED);
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++)
		__atomic_fetch_add(&slot->records->huge_disallowed[level - 2][block_of(slot, gfn, level)],
				   (uint16_t)(on ? 1 : -1), __ATOMIC_RELAXED);
}

/* A frame tracked in one address space is tracked in a slot that comes to show it in the other one. */
static void adopt_tracked(struct machine_vm *m, const struct vmmu_slot *slot)
{
	if (!m->slots_tracked)
		return;
	for (vmmu_gfn_t gfn = slot->start; gfn < slot->end; gfn++)
		if (machine_is_tracked(m, gfn))
			count_tracked(m, slot, gfn, true);
}

static void add_locked(struct machine_vm *m, struct vmmu_slot *slot)
{
	if (!slot->records) {
		slot->records = records_new(slot);
		adopt_tracked(m, slot);
	}
	replace(m, slot->space, slot->id, slot);
	next_generation(m, slot->space);
}

void machine_slot_add(struct machine_vm *m, int space, int id, vmmu_gfn_t start, uint64_t frames, uint64_t page,
		      bool read_only)
{
	struct vmmu_slot slot = {
		.id = id, .space = space, .start = start, .end = start + frames, .page = page, .read_only = read_only,
	};

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	add_locked(m, &slot);
	machine_mutex_unlock(&m->slots_lock);
}

/* Nothing refers to the slot on return, while it can still be seen that it was there. Return: it as it was. */
static struct vmmu_slot invalidate_locked(struct machine_vm *m, int space, int id)
{
	struct vmmu_slot slot = *slot_load(m, space, id), gone = slot;

	gone.invalid = true;
	replace(m, space, id, &gone);
	vmmu_zap_slot(&m->vm, slot_load(m, space, id));
	return slot;
}

static uint64_t tracked_in(const struct machine_slot_records *r)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < r->frames; i++)
		n += !!__atomic_load_n(&r->tracked[i], __ATOMIC_RELAXED);
	return n;
}

void machine_slot_delete(struct machine_vm *m, int space, int id)
{
	struct vmmu_slot slot;

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	if (slot_load(m, space, id)) {
		slot = invalidate_locked(m, space, id);
		replace(m, space, id, NULL);
		next_generation(m, space);
		if (m->slots_tracked)
			__atomic_fetch_sub(&m->slots_tracked, tracked_in(slot.records), __ATOMIC_RELAXED);
		records_free(slot.records);
	}
	machine_mutex_unlock(&m->slots_lock);
}

void machine_slot_move(struct machine_vm *m, int space, int id, vmmu_gfn_t start)
{
	struct machine_slot_records *old;
	struct vmmu_slot slot;

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	if (slot_load(m, space, id) && !slot_load(m, space, id)->logs) {
		slot = invalidate_locked(m, space, id);
		old = slot.records;
		slot.end = start + (slot.end - slot.start);
		slot.start = start;
		slot.records = NULL;
		add_locked(m, &slot);
		if (m->slots_tracked)
			__atomic_fetch_sub(&m->slots_tracked, tracked_in(old), __ATOMIC_RELAXED);
		records_free(old);
	}
	machine_mutex_unlock(&m->slots_lock);
}

void machine_slots_free(struct machine_vm *m)
{
	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++)
			if (m->slot[space][id]) {
				records_free(m->slot[space][id]->records);
				free(m->slot[space][id]);
				m->slot[space][id] = NULL;
			}
}

bool machine_is_tracked(struct machine_vm *m, vmmu_gfn_t gfn)
{
	if (!__atomic_load_n(&m->slots_tracked, __ATOMIC_RELAXED))
		return false;
	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++) {
			struct vmmu_slot *slot = slot_load(m, space, id);

			if (slot && gfn >= slot->start && gfn < slot->end &&
			    __atomic_load_n(&slot->records->tracked[gfn - slot->start], __ATOMIC_RELAXED))
				return true;
		}
	return false;
}

/* Context: excl. */
static bool track_in_slot(struct machine_vm *m, struct vmmu_slot *slot, vmmu_gfn_t gfn, bool on)
{
	if (__atomic_load_n(&slot->records->tracked[gfn - slot->start], __ATOMIC_RELAXED) == on)
		return false;
	count_tracked(m, slot, gfn, on);
	return on && vmmu_wrprot_frame(&m->vm, slot, gfn);
}

void machine_track(struct machine_vm *m, vmmu_gfn_t gfn, bool on)
{
	bool flush = false;

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	machine_lock_excl(m);
	for (int space = 0; space < MACHINE_SPACES; space++) {
		struct vmmu_slot *slot = machine_slot_at(m, space, gfn);

		if (slot && !slot->invalid)
			flush |= track_in_slot(m, slot, gfn, on);
	}
	if (flush)
		machine_flush(m, 0, ~0ull);
	machine_unlock_excl(m);
	machine_mutex_unlock(&m->slots_lock);
}
