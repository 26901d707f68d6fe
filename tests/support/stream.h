/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A stream of random operations on a simulated machine, each followed by a look at everything (audit.h). One number,
 * the seed, makes the whole stream again. At the points where another thread could get in, operations of others are run
 * in between.
 */
#ifndef TESTS_SUPPORT_STREAM_H
#define TESTS_SUPPORT_STREAM_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "audit.h"

#define STREAM_CONFIGS 8

/* Guests whose tables are mirrored: L1's own, and L1's nested ones. */
#define STREAM_GUEST_CONFIGS 9

static const struct machine_config stream_guest_configs[STREAM_GUEST_CONFIGS] = {
	{ .shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .ept = true, .ad = true, .phys_bits = 46, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .shadow = true, .phys_bits = 52, .level = 5, .huge_level_max = 3, .root_cache = 3, .prefetch = 0 },
	{ .phys_bits = 52, .level = 5, .huge_level_max = 3, .root_cache = 2, .prefetch = 16 },
	{ .ept = true, .ad = true, .exec_only = true, .pml = true, .phys_bits = 52, .level = 5, .huge_level_max = 2, .root_cache = 3, .prefetch = 0 },
	{ .shadow = true, .phys_bits = 40, .level = 4, .huge_level_max = 2, .root_cache = 1, .prefetch = 4, .encrypted = true },
	{ .ept = true, .exec_only = true, .phys_bits = 39, .l1tf_cache_bits = 39, .level = 4, .huge_level_max = 3, .root_cache = 0, .prefetch = 8 },
	{ .shadow = true, .phys_bits = 36, .l1tf_cache_bits = 36, .level = 4, .huge_level_max = 1, .root_cache = 0, .prefetch = 2 },
};

static const struct machine_config stream_configs[STREAM_CONFIGS] = {
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .phys_bits = 52, .level = 5, .huge_level_max = 3, .root_cache = 3, .prefetch = 16 },
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 1, .prefetch = 0, .encrypted = true },
	{ .ept = true,
	  .ad = true,
	  .pml = true,
	  .phys_bits = 46,
	  .l1tf_cache_bits = 46,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 16,
	  .prefetch = 8 },
	{ .ept = true,
	  .ad = true,
	  .exec_only = true,
	  .phys_bits = 39,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 2,
	  .prefetch = 4 },
	{ .ept = true,
	  .phys_bits = 46,
	  .l1tf_cache_bits = 46,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 0,
	  .prefetch = 8 },
	{ .ept = true,
	  .exec_only = true,
	  .phys_bits = 52,
	  .level = 5,
	  .huge_level_max = 2,
	  .root_cache = 16,
	  .prefetch = 8 },
	{ .phys_bits = 36, .level = 4, .huge_level_max = 1, .root_cache = 16, .prefetch = 8 },
};

struct stream {
	struct machine_vm m;
	uint64_t seed, random;
	unsigned long ops, nested;
	const char *op;
	vmmu_gfn_t hot;			/* what the operation at the top is about */
	bool busy[MACHINE_VCPUS];
	unsigned int depth;		/* of operations inside operations */
	unsigned int nest_words;	/* one in so many accesses to shared words lets another thread in; 0: none */
	struct machine_thread *others[3];
	unsigned int nest_yields, nest_left;	/* the same for yields; how often still in this operation */
	bool interfered;		/* something else ran since the operation began */
	bool starved;			/* allocations are made to fail */
	bool guests;			/* they have tables that are mirrored */
	uint64_t hot_addr;		/* the address the operation at the top is about */
	unsigned long injected, came_through;
};

static struct stream *stream_now;

static inline uint64_t stream_below(struct stream *s, uint64_t n)
{
	return machine_random_below(&s->random, n);
}

static inline bool stream_one_in(struct stream *s, uint64_t n)
{
	return !stream_below(s, n);
}

static inline void stream_bug(const char *what)
{
	struct stream *s = stream_now;

	fprintf(stderr, "machine: %s\n  seed %llu, operation %lu (%s), %s\n", what, (unsigned long long)s->seed, s->ops,
		s->op, machine_config_name(&s->m.config));
	abort();
}

#define STREAM_CHECK(condition) ((condition) ? (void)0 : machine_bug("%s does not hold", #condition))

/* --- The VM's memory ------------------------------------------------------------------------- */

static inline vmmu_gfn_t stream_top(const struct machine_vm *m)
{
	unsigned int bits = m->config.phys_bits - 12 < 36 ? m->config.phys_bits - 12u : 36;

	return 1ull << bits;
}

/* Slots with every kind of border: inside and at the edge of large pages, aligned with the host's and not. */
static inline void stream_slot_add(struct stream *s, int space, int id)
{
	static const struct {
		vmmu_gfn_t start;
		uint64_t frames, page;
		bool read_only;
	} slots[] = {
		{ 0x10, 0x90, 0x10, false },
		{ 0x303, 0x900, 0x1303, false },
		{ 0x3fe00, 0x40323, 0x3fe00, false },
		{ 0x100000, 0x600, 0x90001, false },
		{ 0, 0x400, 0xa0000, false },		/* ends where the tree does */
		{ 0x200000, 0x400, 0xa0400, true },
	};
	vmmu_gfn_t start = id == 4 ? stream_top(&s->m) - 0x400 : slots[id].start;

	if (machine_slot(&s->m, space, id))
		return;
	machine_slot_add(&s->m, space, id, start, slots[id].frames, slots[id].page, slots[id].read_only);
}

static inline struct vmmu_slot *stream_any_slot(struct stream *s)
{
	return machine_slot(&s->m, stream_one_in(s, 3) ? 1 : 0, (int)stream_below(s, 6));
}

/* Where two threads may meet: the frame another one works on, or one in the same tables. */
static inline vmmu_gfn_t stream_gfn_close(struct stream *s)
{
	return stream_one_in(s, 3) ? s->hot ^ stream_below(s, 0x800) : s->hot ^ stream_below(s, 2);
}

static inline vmmu_gfn_t stream_gfn_in(struct stream *s, const struct vmmu_slot *slot)
{
	uint64_t frames = slot->end - slot->start;

	switch (stream_below(s, 6)) {
	case 0:
		return slot->start + stream_below(s, 8);
	case 1:
		return slot->end - 1 - stream_below(s, 8);
	case 2:
		return slot->start + frames / 2 + stream_below(s, 64);
	case 3:
		return slot->start + (frames > 0x1000 ? 0x200 + stream_below(s, 0x800) : stream_below(s, frames));
	case 4:
		return stream_one_in(s, 8) ? slot->start - 1 - stream_below(s, 3)
					   : slot->start + 16 + stream_below(s, 32);
	default:
		return slot->start + stream_below(s, frames > 0x1000 ? 0x1000 : frames);
	}
}

/* A frame in or near a slot; some are met often. */
static inline vmmu_gfn_t stream_gfn_near(struct stream *s, const struct vmmu_slot *slot)
{
	vmmu_gfn_t gfn;

	if (s->depth && s->hot >= slot->start && s->hot < slot->end && !stream_one_in(s, 4))
		return stream_gfn_close(s);
	gfn = stream_gfn_in(s, slot);
	if (!s->depth)
		s->hot = gfn;
	return gfn;
}

static inline vmmu_gfn_t stream_gfn(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);

	if (s->depth && !stream_one_in(s, 4))
		return stream_gfn_close(s) & (stream_top(&s->m) - 1);
	if (!slot || stream_one_in(s, 32))
		return stream_below(s, stream_top(&s->m));
	return stream_gfn_near(s, slot) & (stream_top(&s->m) - 1);
}

/* --- Operations that other threads do in between --------------------------------------------- */

static inline struct machine_vcpu *stream_idle_vcpu(struct stream *s, unsigned int *i)
{
	*i = (unsigned int)stream_below(s, s->m.vcpus);
	return s->busy[*i] ? NULL : s->m.vcpu[*i];
}

static inline uint64_t stream_pf(struct stream *s)
{
	static const uint64_t pf[] = { 0, VMMU_PF_W, VMMU_PF_W, VMMU_PF_F };

	return pf[stream_below(s, 4)];
}

/* What an access must come to, by the memslots alone. */
static inline enum machine_access_result stream_expected(struct stream *s, struct machine_vcpu *c, vmmu_gfn_t gfn,
							 uint64_t pf)
{
	struct vmmu_slot *slot;
	enum machine_access_result expected = MACHINE_ACCESS_DONE;

	machine_slots_read_lock(&s->m);
	slot = machine_slot_at(&s->m, c->space, gfn);
	if (!slot || slot->invalid)
		expected = MACHINE_ACCESS_MMIO;
	else if ((pf & VMMU_PF_W) && (slot->read_only || machine_is_tracked(&s->m, gfn)))
		expected = MACHINE_ACCESS_EMULATED;
	machine_slots_read_unlock(&s->m);
	return expected;
}

static inline void stream_access(struct stream *s, unsigned int rounds)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);
	uint64_t pf = stream_pf(s);
	vmmu_gfn_t gfn = stream_gfn(s);
	enum machine_access_result expected, result;

	if (!c)
		return;
	s->busy[i] = true;
	expected = stream_expected(s, c, gfn, pf);
	for (unsigned int n = 1 + (unsigned int)stream_below(s, 3); n--;) {
		result = machine_access(c, gfn << VMMU_PAGE_SHIFT, pf, rounds);
		if (!s->depth && !s->interfered && result != expected &&
		    !(result == MACHINE_ACCESS_NO_MEMORY && s->starved))
			machine_bug("access %#llx to gfn %#llx came to %d, not %d", (unsigned long long)pf,
				    (unsigned long long)gfn, result, expected);
	}
	s->busy[i] = false;
}

static inline void stream_change(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);
	vmmu_gfn_t gfn;
	uint64_t page, count;

	if (!slot)
		return;
	gfn = stream_gfn_near(s, slot);
	if (gfn < slot->start || gfn >= slot->end)
		return;
	page = machine_slot_page(slot, gfn);
	count = stream_one_in(s, 16) ? stream_below(s, 0x600) + 1 : stream_below(s, 9) + 1;
	if (stream_one_in(s, 8))
		machine_replace(&s->m, page);
	else
		machine_change(&s->m, page, page + count,
			       stream_one_in(s, 12) ? MACHINE_MAKE_1G
			       : stream_below(s, 4) ? stream_below(s, 6)
						    : MACHINE_MAKE_2M,
			       stream_one_in(s, 2) ? VMMU_YIELD_ALLOWED : VMMU_YIELD_NEVER);
}

/* What needs the VM's lock shared at most. */
static inline void stream_shared_op(struct stream *s)
{
	struct vmmu_slot *slot;
	vmmu_gfn_t gfn;

	machine_slots_read_lock(&s->m);
	slot = stream_any_slot(s);
	if (slot && !slot->invalid) {
		gfn = stream_gfn_near(s, slot);
		switch (stream_below(s, 4)) {
		case 0:
			vmmu_nx_recover(&s->m.vm, 1 + stream_below(s, 3));
			break;
		case 1:
			if (gfn >= slot->start && gfn < slot->end)
				vmmu_split_range(&s->m.vm, slot, gfn, gfn + 1, (int)stream_below(s, 2) + 1);
			break;
		case 2:
			vmmu_collapse_slot(&s->m.vm, slot);
			break;
		default:
			machine_lock_shared(&s->m);
			vmmu_age_range(&s->m.vm, slot->space, slot->start, slot->end);
			machine_unlock_shared(&s->m);
		}
	}
	machine_slots_read_unlock(&s->m);
}

static inline bool stream_can(pthread_mutex_t *mutex)
{
	if (pthread_mutex_trylock(mutex))
		return false;
	pthread_mutex_unlock(mutex);
	return true;
}

#include "stream_guest.h"

/* What another vCPU, or a device, does in between. */
static inline void stream_guest_between(struct stream *s, bool shared_only)
{
	(void)shared_only;
	switch (stream_below(s, 5)) {
	case 0:
	case 1:
		stream_guest_write(s);
		break;
	case 2:
		stream_guest_flush(s);
		break;
	default:
		stream_guest_access(s);
	}
}

/* Another thread gets in. */
static inline void stream_interfere(struct stream *s, bool shared_only)
{
	struct machine_thread *other = s->others[s->depth], *self;
	const char *op = s->op;

	s->depth++;
	s->nested++;
	s->nest_left--;
	s->interfered = true;
	self = machine_thread_become(other);
	other->shared_only = shared_only;
	if (!shared_only && stream_one_in(s, 3) && stream_can(&s->m.change_lock))
		stream_change(s);
	else if (stream_one_in(s, 4))
		stream_shared_op(s);
	else if (s->guests)
		stream_guest_between(s, shared_only);
	else
		stream_access(s, 12);
	machine_thread_become(self);
	s->op = op;
	s->depth--;
}

static inline void stream_hook(enum machine_point point)
{
	struct stream *s = stream_now;
	enum machine_held held = machine_lock_held(&s->m.lock);

	if (s->depth >= 2 || s->starved || !s->nest_left)
		return;
	if (point == MACHINE_AT_WORD) {
		if (!s->nest_words || held == MACHINE_HELD_EXCL || machine_holds_from(MACHINE_LOCK_PAGE) ||
		    machine_holds_class(MACHINE_LOCK_WORDS) || machine_holds_class(MACHINE_LOCK_RAM) ||
		    !stream_one_in(s, s->nest_words))
			return;
		stream_interfere(s, true);
		return;
	}
	if (stream_one_in(s, point == MACHINE_AT_YIELD ? s->nest_yields : 4))
		stream_interfere(s, s->depth > 0 || held != MACHINE_NOT_HELD);
}

/* --- Operations at the top ------------------------------------------------------------------- */

static inline void stream_switch(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);

	s->busy[i] = true;
	switch (stream_below(s, 8)) {
	case 0:
		vmmu_roots_drop_cached(&c->v, &c->v.l1);
		break;
	case 1:
		vmmu_root_drop_cached_one(&c->v, &c->v.l1, (unsigned int)stream_below(s, 4));
		break;
	default:
		machine_vcpu_switch(c, (int)stream_below(s, 2), stream_one_in(s, 3),
				    s->m.config.level == 5 && stream_one_in(s, 3) ? 4 : s->m.config.level);
	}
	s->busy[i] = false;
}

static inline void stream_prefetch(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);
	vmmu_gfn_t gfn = stream_gfn(s);

	s->busy[i] = true;
	machine_prefetch(c, gfn);
	s->busy[i] = false;
}

static inline void stream_age(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);
	bool excl = stream_one_in(s, 2), young, aged, still;
	vmmu_gfn_t start, end;

	if (!slot)
		return;
	start = stream_gfn_near(s, slot);
	end = start + 1 + stream_below(s, 600);
	if (s->guests && (start < slot->start || start >= slot->end))
		return;
	end = s->guests && end > slot->end ? slot->end : end;
	machine_slots_read_lock(&s->m);
	excl ? machine_lock_excl(&s->m) : machine_lock_shared(&s->m);
	s->interfered = false;
	young = vmmu_test_young_range(&s->m.vm, slot->space, start, end);
	aged = vmmu_age_range(&s->m.vm, slot->space, start, end);
	STREAM_CHECK(s->interfered || young == aged);
	still = vmmu_test_young_range(&s->m.vm, slot->space, start, end);
	STREAM_CHECK(s->interfered || !still);
	excl ? machine_unlock_excl(&s->m) : machine_unlock_shared(&s->m);
	machine_slots_read_unlock(&s->m);
	/* Linux flushes after some rounds of aging, not after others. */
	if (stream_one_in(s, 2))
		machine_flush(&s->m, 0, ~0ull);
}

static inline void stream_no_leaf(struct stream *s, vmmu_gfn_t start, vmmu_gfn_t end)
{
	if (!s->interfered)
		STREAM_CHECK(!audit_leaves(&s->m, -1, start, end, VMMU_LEVEL_4K));
}

static inline void stream_zap_all_fast(struct stream *s)
{
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &s->m.slots_lock);
	vmmu_zap_all_fast(&s->m.vm);
	machine_mutex_unlock(&s->m.slots_lock);
}

static inline void stream_zap(struct stream *s)
{
	vmmu_gfn_t start = stream_gfn(s), end = stream_one_in(s, 8) ? ~0ull : start + stream_below(s, 0x800);
	unsigned long nested = s->nested;

	switch (stream_below(s, 8)) {
	case 0:
		stream_zap_all_fast(s);
		break;
	case 1:
		s->nested++;
		machine_hook = NULL;
		machine_mutex_lock(MACHINE_LOCK_SLOTS, &s->m.slots_lock);
		vmmu_zap_all(&s->m.vm);
		machine_mutex_unlock(&s->m.slots_lock);
		s->interfered = false;
		stream_no_leaf(s, 0, ~0ull);
		machine_hook = stream_hook;
		break;
	default:
		/* As for a change of memory types: faults under way are told to try again. */
		machine_slots_read_lock(&s->m);
		machine_lock_excl(&s->m);
		s->m.invalidating++;
		s->m.invalid_start = 0;
		s->m.invalid_end = ~0ull;
		vmmu_zap_range(&s->m.vm, start, end);
		s->m.seq++;
		s->m.invalidating--;
		if (nested == s->nested) {
			machine_unlock_excl(&s->m);
			machine_slots_read_unlock(&s->m);
			stream_no_leaf(s, start, end);
			return;
		}
		machine_unlock_excl(&s->m);
		machine_slots_read_unlock(&s->m);
	}
}

static inline void stream_slot(struct stream *s)
{
	int space = stream_one_in(s, 2) ? 1 : 0, id = (int)stream_below(s, 6);

	switch (stream_below(s, 4)) {
	case 0:
		machine_slot_delete(&s->m, space, id);
		break;
	case 1:
		if (id == 1)
			machine_slot_move(&s->m, space, 1,
					  0x303 + (stream_below(s, 3) << (stream_one_in(s, 2) ? 12 : 5)));
		break;
	default:
		stream_slot_add(s, space, id);
	}
}

static inline void stream_log(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);
	int space, id;
	vmmu_gfn_t lost;

	if (!slot || (slot->id == 2 && !stream_one_in(s, 6)))
		return;
	space = slot->space;
	id = slot->id;
	if (!slot->logs) {
		machine_log_start(&s->m, space, id,
				  slot->id == 2 ? MACHINE_LOG_PLAIN : (enum machine_log_way)stream_below(s, 3));
		return;
	}
	machine_log_harvest(&s->m, space, id, stream_one_in(s, 2) ? 0 : stream_below(s, slot->end - slot->start),
			    stream_one_in(s, 2));
	machine_hook = NULL;
	if (stream_one_in(s, 2) || s->interfered) {
		/* A log that was all set is harvested in full only once. */
		machine_log_harvest(&s->m, space, id, 0, false);
	}
	lost = machine_log_check(&s->m, space, id);
	if (lost != ~0ull)
		machine_bug("a write to gfn %#llx is not in the dirty log", (unsigned long long)lost);
	machine_hook = stream_hook;
	if (stream_one_in(s, 3))
		machine_log_stop(&s->m, space, id);
}

static inline void stream_track(struct stream *s)
{
	machine_track(&s->m, stream_gfn(s), stream_one_in(s, 2));
}

static inline void stream_huge(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);
	vmmu_gfn_t start, end;
	int level = (int)stream_below(s, 2) + 1;

	if (!slot)
		return;
	start = stream_gfn_near(s, slot);
	if (start < slot->start || start >= slot->end)
		return;
	end = start + 1 + stream_below(s, stream_one_in(s, 4) ? 0x400 : 8);
	end = end < slot->end ? end : slot->end;
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &s->m.slots_lock);
	if (stream_one_in(s, 3)) {
		vmmu_collapse_slot(&s->m.vm, slot);
	} else if (stream_one_in(s, 2)) {
		vmmu_split_range(&s->m.vm, slot, start, end, level);
	} else {
		machine_lock_excl(&s->m);
		vmmu_split_range_atomic(&s->m.vm, slot, start, end, level);
		machine_unlock_excl(&s->m);
	}
	machine_mutex_unlock(&s->m.slots_lock);
}

static inline void stream_split_check(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);
	vmmu_gfn_t start;
	int level = (int)stream_below(s, 2) + 1;

	if (!slot || slot->invalid)
		return;
	start = stream_gfn_near(s, slot);
	if (start < slot->start || start >= slot->end)
		return;
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &s->m.slots_lock);
	machine_hook = NULL;
	vmmu_split_range(&s->m.vm, slot, start, start + 1, level);
	machine_hook = stream_hook;
	machine_mutex_unlock(&s->m.slots_lock);
	if (!s->starved)
		STREAM_CHECK(!audit_leaves(&s->m, slot->space, start, start + 1, level + 1));
}

static inline void stream_nx(struct stream *s)
{
	uint64_t before, count = stream_below(s, 6);

	if (stream_one_in(s, 4)) {
		machine_set_nx(&s->m, !s->m.vm.nx_huge_pages);
		return;
	}
	before = vmmu_counter_read(&s->m.vm, VMMU_C_NX_SPLITS_NOW);
	machine_slots_read_lock(&s->m);
	s->interfered = false;
	vmmu_nx_recover(&s->m.vm, count);
	machine_slots_read_unlock(&s->m);
	/* A table takes those below along. */
	if (!s->interfered)
		STREAM_CHECK(vmmu_counter_read(&s->m.vm, VMMU_C_NX_SPLITS_NOW) <=
			     (before > count ? before - count : 0));
}

static inline void stream_vcpu(struct stream *s)
{
	if (s->m.vcpus > 1 && stream_one_in(s, 2))
		machine_vcpu_remove(&s->m);
	else if (s->m.vcpus < 4)
		machine_vcpu_add(&s->m);
}

static inline void stream_guest_slot(struct stream *s)
{
	/* Most guests keep their memory. */
	stream_slot(s);
	for (int id = 0; id < 3 && !stream_one_in(s, 8); id++)
		stream_slot_add(s, 0, id);
}

static inline void stream_guest_zap(struct stream *s)
{
	if (stream_one_in(s, 3))
		stream_zap(s);
}

static const struct stream_op {
	const char *name;
	unsigned int weight;
	void (*run)(struct stream *s);
} stream_guest_ops[] = {
	{ "guest map", 24, stream_guest_map },	   { "guest write", 18, stream_guest_write },
	{ "guest switch", 8, stream_guest_switch },  { "guest mode", 5, stream_guest_mode },
	{ "guest flush", 10, stream_guest_flush },   { "guest host", 4, stream_guest_host },
	{ "change", 3, stream_change },	   { "age", 1, stream_age },
	{ "slot", 1, stream_guest_slot },	   { "log", 1, stream_log },
	{ "huge", 1, stream_huge },	   { "nx", 1, stream_nx },
	{ "zap", 1, stream_guest_zap },	   { "track", 1, stream_track },
};

static inline void stream_guest_step(struct stream *s)
{
	unsigned int pick = (unsigned int)stream_below(s, 150);

	for (unsigned int i = 0; i < sizeof(stream_guest_ops) / sizeof(stream_guest_ops[0]); i++) {
		if (pick < stream_guest_ops[i].weight) {
			s->op = stream_guest_ops[i].name;
			stream_guest_ops[i].run(s);
			return;
		}
		pick -= stream_guest_ops[i].weight;
	}
	s->op = "guest access";
	stream_guest_access(s);
}

static inline void stream_step(struct stream *s)
{
	static const struct stream_op ops[] = {
		{ "switch", 6, stream_switch },	 { "prefetch", 4, stream_prefetch },
		{ "change", 12, stream_change }, { "age", 4, stream_age },
		{ "zap", 3, stream_zap },	 { "slot", 3, stream_slot },
		{ "log", 8, stream_log },	 { "track", 3, stream_track },
		{ "huge", 5, stream_huge },	 { "split", 2, stream_split_check },
		{ "nx", 3, stream_nx },		 { "vcpu", 1, stream_vcpu },
	};
	unsigned int pick = (unsigned int)stream_below(s, 110), i;

	s->ops++;
	s->interfered = false;
	s->nest_yields = stream_one_in(s, 2) ? 4 : stream_one_in(s, 2) ? 30 : 1000;
	s->nest_left = 8;
	s->m.yield = (enum machine_yield)stream_below(s, 3);
	if (s->guests) {
		stream_guest_step(s);
		return;
	}
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (pick < ops[i].weight)
			break;
		pick -= ops[i].weight;
	}
	if (i < sizeof(ops) / sizeof(ops[0])) {
		s->op = ops[i].name;
		ops[i].run(s);
	} else {
		s->op = "access";
		stream_access(s, s->nest_words ? 40 : 10);
	}
}

static inline void stream_begin(struct stream *s, const struct machine_config *config, uint64_t seed,
				unsigned int nest_words)
{
	struct machine_config c = *config;

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->random = seed * 0x9e3779b97f4a7c15ull | 1;
	s->nest_words = nest_words;
	s->guests = config >= stream_guest_configs && config < stream_guest_configs + STREAM_GUEST_CONFIGS;
	s->op = "start";
	stream_now = s;
	machine_on_bug = stream_bug;
	for (unsigned int i = 0; i < 3; i++)
		s->others[i] = machine_thread_new();
	c.seed = seed;
	c.generation = (VMMU_MMIO_GEN_MASK - 40) & ~1ull;
	c.seq = ~0ul - 200;
	c.guest_phys_bits = seed % 3 ? c.phys_bits : 40 < c.phys_bits ? 40 : c.phys_bits;
	c.guest_gb = c.huge_level_max == 3 || c.shadow;
	c.guest_amd = !c.ept;
	machine_vm_init(&s->m, &c);
	machine_hook = stream_hook;
	for (int id = 0; id < 6; id++) {
		stream_slot_add(s, 0, id);
		if (id < 3)
			stream_slot_add(s, 1, id);
	}
	for (int i = 0; i < 3; i++)
		machine_vcpu_add(&s->m);
	for (uint64_t page = 0x40; page < 0x44; page++)
		ram_set_flags(&s->m.ram, page, RAM_DEVICE);
	if (s->guests) {
		s->m.vm.shadow_quota = 1000;
		guest_start(s);
	}
}

static inline void stream_end(struct stream *s)
{
	s->op = "end";
	machine_hook = NULL;
	while (s->m.vcpus)
		machine_vcpu_remove(&s->m);
	machine_vm_destroy(&s->m);
	machine_on_bug = NULL;
}

/* @audit_every: how many operations between two looks at everything. */
static inline unsigned long stream_run(const struct machine_config *config, uint64_t seed, unsigned int nest_words,
				       unsigned long ops, unsigned int audit_every)
{
	static struct stream s;
	unsigned long all;

	stream_begin(&s, config, seed, nest_words);
	while (s.ops < ops) {
		stream_step(&s);
		/* What grows too large to be looked at goes. */
		if (!(s.ops % audit_every) && audit(&s.m).tables > 1500)
			stream_zap_all_fast(&s);
	}
	all = s.ops + s.nested;
	stream_end(&s);
	return all;
}

#endif
