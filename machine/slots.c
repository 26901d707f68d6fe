/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memslots: looked up without a lock, changed by replacing them, as Linux does it. See vm.h. */
#include <stdlib.h>
#include "tables.h"
#include "vcpu.h"

static void slots_lock(struct machine_vm *m)
{
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	__atomic_fetch_add(&m->slots_changing, 1, __ATOMIC_RELAXED);
}

/* Guests have not flushed yet what they hold of the slots as they were. */
static void slots_unlock(struct machine_vm *m)
{
	machine_guest_slots_changed(m);
	__atomic_fetch_sub(&m->slots_changing, 1, __ATOMIC_RELAXED);
	machine_mutex_unlock(&m->slots_lock);
}

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

bool machine_slot_huge_disallowed(const struct vmmu_slot *slot, vmmu_gfn_t gfn, int level)
{
	if (gfn < slot->start || gfn >= slot->end || level < VMMU_LEVEL_2M || level > VMMU_LEVEL_HUGE_MAX) {
		machine_bug("gfn %#llx level %d is outside its slot", (unsigned long long)gfn, level);
		return true;
	}
	return __atomic_load_n(&slot->records->huge_disallowed[level - 2][machine_slot_block(slot, gfn, level)],
			       __ATOMIC_RELAXED);
}

/* Reasons against a large page that lie in the slot itself. */
static int disallowed_at_first(const struct vmmu_slot *slot, uint64_t block, int level)
{
	uint64_t size = vmmu_level_frames(level), last = machine_slot_block(slot, slot->end - 1, level);

	return (!block && slot->start % size) + (block == last && slot->end % size) +
	       /* The page behind a frame has to lie as the frame does. */
	       ((slot->start ^ slot->page) % size != 0);
}

static struct machine_slot_records *records_new(const struct vmmu_slot *slot)
{
	struct machine_slot_records *r = calloc(1, sizeof(*r));

	r->frames = slot->end - slot->start;
	r->dirty = calloc((r->frames + 63) / 64 + 1, sizeof(uint64_t));
	r->copied = calloc(r->frames, sizeof(uint32_t));
	r->tracked = calloc(r->frames, 1);
	r->track = calloc(r->frames, sizeof(uint16_t));
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++) {
		uint64_t count = machine_slot_block(slot, slot->end - 1, level) + 1;

		r->huge_disallowed[level - 2] = calloc(count, sizeof(int));
		for (uint64_t i = 0; i < count; i++)
			r->huge_disallowed[level - 2][i] = disallowed_at_first(slot, i, level);
	}
	return r;
}

/* Nobody but machine_track() counts in the words of a slot that has gone. */
static void check_counts(struct vmmu_slot *slot)
{
	struct machine_slot_records *r = slot->records;

	for (uint64_t n = 0; n < r->frames; n++) {
		if (r->track[n] != r->tracked[n])
			machine_bug("gfn %#llx still is tracked %u times when its slot goes",
				    (unsigned long long)(slot->start + n), r->track[n]);
		for (int level = VMMU_LEVEL_2M; r->tracked[n] && level <= VMMU_LEVEL_HUGE_MAX; level++)
			r->huge_disallowed[level - 2][machine_slot_block(slot, slot->start + n, level)]--;
	}
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++)
		for (uint64_t i = 0; i <= machine_slot_block(slot, slot->end - 1, level); i++)
			if (r->huge_disallowed[level - 2][i] != disallowed_at_first(slot, i, level))
				machine_bug("%d reasons against a large page of level %d are left in a slot that goes",
					    r->huge_disallowed[level - 2][i] - disallowed_at_first(slot, i, level), level);
}

/* @slot as it was when it could still be looked up. */
static void records_free(struct vmmu_slot *slot)
{
	struct machine_slot_records *r = slot->records;

	check_counts(slot);
	machine_slot_words_free(slot);
	free(r->track);
	free(r->dirty);
	free(r->copied);
	free(r->tracked);
	free(r->huge_disallowed[0]);
	free(r->huge_disallowed[1]);
	free(r);
}

/*
 * Publish @slot (NULL: none) in place of the old one, which nobody looks at any more on return. With the same records it takes
 * over the reverse maps as well. *@was: the old one. Context: slots_lock.
 */
static void replace(struct machine_vm *m, int space, int id, const struct vmmu_slot *slot, struct vmmu_slot *was)
{
	struct vmmu_slot *copy = NULL, *old = slot_load(m, space, id);

	if (slot) {
		copy = malloc(sizeof(*copy));
		*copy = *slot;
	}
	/* Who prepares for shadow pages finds the slot there, or the slot finds that they have been prepared for. */
	machine_mutex_lock(MACHINE_LOCK_WORDS, &m->words_lock);
	for (int i = 0; copy && i < VMMU_LEVEL_HUGE_MAX; i++)
		copy->rmap[i] = old && old->records == copy->records ? old->rmap[i] : NULL;
	if (copy && m->shadow_ready && !machine_slot_words(copy))
		machine_bug("a slot gets no memory for its words");
	__atomic_store_n(&m->slot[space][id], copy, __ATOMIC_RELEASE);
	machine_mutex_unlock(&m->words_lock);
	machine_slots_synchronize(m);
	if (was)
		*was = *old;
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
	__atomic_fetch_add(&slot->records->track[gfn - slot->start], (uint16_t)(on ? 1 : -1), __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&m->slots_tracked, on ? 1 : -1ull, __ATOMIC_RELAXED);
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_HUGE_MAX; level++)
		__atomic_fetch_add(&slot->records->huge_disallowed[level - 2][machine_slot_block(slot, gfn, level)],
				   on ? 1 : -1, __ATOMIC_RELAXED);
}

/* *@was: what it takes the place of. */
static void add_locked(struct machine_vm *m, struct vmmu_slot *slot, struct vmmu_slot *was)
{
	if (!slot->records)
		slot->records = records_new(slot);
	slot->announced = false;
	replace(m, slot->space, slot->id, slot, was);
	next_generation(m, slot->space);
	__atomic_store_n(&slot_load(m, slot->space, slot->id)->announced, true, __ATOMIC_RELEASE);
}

void machine_slot_add(struct machine_vm *m, int space, int id, vmmu_gfn_t start, uint64_t frames, uint64_t page,
		      bool read_only)
{
	struct vmmu_slot slot = {
		.id = id, .space = space, .start = start, .end = start + frames, .page = page, .read_only = read_only,
	};

	if (page + frames > RAM_PAGES - MACHINE_LOW_TABLES)
		machine_bug("a slot shows pages that are not the guest's");
	MACHINE_SAY("the host: slot %d of space %d shows pages from %#llx on at frames %#llx to %#llx%s", id, space,
		    (unsigned long long)page, (unsigned long long)start, (unsigned long long)slot.end, read_only ? ", read-only" : "");
	slots_lock(m);
	add_locked(m, &slot, NULL);
	slots_unlock(m);
}

/* Nothing refers to the slot on return, while it can still be seen that it was there. Return: it as it was. */
static struct vmmu_slot invalidate_locked(struct machine_vm *m, int space, int id)
{
	struct vmmu_slot slot = *slot_load(m, space, id), gone = slot;

	gone.invalid = true;
	replace(m, space, id, &gone, NULL);
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

	MACHINE_SAY("the host: slot %d of space %d goes", id, space);
	slots_lock(m);
	if (slot_load(m, space, id)) {
		invalidate_locked(m, space, id);
		replace(m, space, id, NULL, &slot);
		next_generation(m, space);
		if (m->slots_tracked)
			__atomic_fetch_sub(&m->slots_tracked, tracked_in(slot.records), __ATOMIC_RELAXED);
		records_free(&slot);
	}
	slots_unlock(m);
}

void machine_slot_move(struct machine_vm *m, int space, int id, vmmu_gfn_t start)
{
	struct vmmu_slot slot, old;

	MACHINE_SAY("the host: slot %d of space %d moves to frame %#llx", id, space, (unsigned long long)start);
	slots_lock(m);
	if (slot_load(m, space, id) && !slot_load(m, space, id)->logs) {
		slot = invalidate_locked(m, space, id);
		slot.end = start + (slot.end - slot.start);
		slot.start = start;
		slot.records = NULL;
		add_locked(m, &slot, &old);
		if (m->slots_tracked)
			__atomic_fetch_sub(&m->slots_tracked, tracked_in(old.records), __ATOMIC_RELAXED);
		records_free(&old);
	}
	slots_unlock(m);
}

void machine_slots_free(struct machine_vm *m)
{
	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++)
			if (m->slot[space][id]) {
				records_free(m->slot[space][id]);
				free(m->slot[space][id]);
				m->slot[space][id] = NULL;
			}
}

bool machine_is_tracked(struct machine_vm *m, vmmu_gfn_t gfn)
{
	if (!__atomic_load_n(&m->slots_tracked, __ATOMIC_RELAXED) && !machine_shadow_ready(m))
		return false;
	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++) {
			struct vmmu_slot *slot = slot_load(m, space, id);

			if (slot && gfn >= slot->start && gfn < slot->end &&
			    __atomic_load_n(&slot->records->track[gfn - slot->start], __ATOMIC_SEQ_CST))
				return true;
		}
	return false;
}

static bool counts_tracked(const struct vmmu_slot *slot, vmmu_gfn_t gfn)
{
	return __atomic_load_n(&slot->records->tracked[gfn - slot->start], __ATOMIC_RELAXED);
}

/* Take W from all leaves that show the frame, in whichever space. Return: was it anywhere? Context: excl. */
static bool protect_in_all_spaces(struct machine_vm *m, vmmu_gfn_t gfn)
{
	bool changed = false;

	for (int space = 0; space < MACHINE_SPACES; space++) {
		struct vmmu_slot *slot = machine_slot_at(m, space, gfn);

		if (slot && !slot->invalid)
			changed |= vmmu_wrprot_frame(&m->vm, slot, gfn);
	}
	return changed;
}

/* As in KVM, one slot has the count, and what it says holds for the frame in every address space. Context: excl. */
static void track(struct machine_vm *m, vmmu_gfn_t gfn)
{
	for (int space = 0; space < MACHINE_SPACES; space++) {
		struct vmmu_slot *slot = machine_slot_at(m, space, gfn);

		if (!slot || slot->invalid)
			continue;
		if (!counts_tracked(slot, gfn))
			count_tracked(m, slot, gfn, true);
		if (protect_in_all_spaces(m, gfn))
			machine_flush(m, 0, ~0ull);
		return;
	}
}

/* Context: excl. */
static void untrack(struct machine_vm *m, vmmu_gfn_t gfn)
{
	for (int space = 0; space < MACHINE_SPACES; space++) {
		struct vmmu_slot *slot = machine_slot_at(m, space, gfn);

		if (slot && !slot->invalid && counts_tracked(slot, gfn))
			count_tracked(m, slot, gfn, false);
	}
}

void machine_track(struct machine_vm *m, vmmu_gfn_t gfn, bool on)
{
	MACHINE_SAY("the host: writes to frame %#llx are %s", (unsigned long long)gfn, on ? "its business" : "the guest's again");
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	machine_lock_excl(m);
	if (on)
		track(m, gfn);
	else
		untrack(m, gfn);
	machine_unlock_excl(m);
	machine_mutex_unlock(&m->slots_lock);
}
