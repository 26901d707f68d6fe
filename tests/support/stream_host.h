/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the host does to the memory of a VM. See stream.h. */
#ifndef TESTS_SUPPORT_STREAM_HOST_H
#define TESTS_SUPPORT_STREAM_HOST_H

static inline void stream_hook(enum machine_point point);

/* A page of the host's that a CPU holds a translation of. */
static inline uint64_t stream_page_in_use(struct stream *s, uint64_t otherwise)
{
	struct machine_vcpu *c = s->m.vcpu[stream_below(s, s->m.vcpus)];
	const struct cpu_translation *t = &c->tlb[stream_below(s, CPU_TLB)];
	bool current;

	return t->root && t->pfn ? machine_ram_page_of(&s->m.ram, t->pfn, &current) : otherwise;
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
	if (s->guests && !stream_one_in(s, 3))
		page = stream_page_in_use(s, page);
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
		__atomic_fetch_add(&s->m.invalidating, 1, __ATOMIC_SEQ_CST);
		s->m.invalid_start = 0;
		s->m.invalid_end = ~0ull;
		vmmu_zap_range(&s->m.vm, start, end);
		__atomic_fetch_sub(&s->m.invalidating, 1, __ATOMIC_SEQ_CST);
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

/* Somewhere else, aligned with the host's pages as before or not, and back. */
static inline void stream_slot_move_any(struct stream *s, int space, int id)
{
	switch (id) {
	case 0:
		machine_slot_move(&s->m, space, 0, 0x10 + stream_below(s, 3) * 0xa0);
		break;
	case 1:
		machine_slot_move(&s->m, space, 1, 0x303 + (stream_below(s, 3) << (stream_one_in(s, 2) ? 12 : 5)));
		break;
	case 3:
		machine_slot_move(&s->m, space, 3, 0x100000 + stream_below(s, 3) * 0x801);
		break;
	case 5:
		machine_slot_move(&s->m, space, 5, 0x200000 + stream_below(s, 2) * 0x400);
		break;
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
		stream_slot_move_any(s, space, id);
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

static inline void stream_few_accesses(struct stream *s) { stream_access(s, 12); }

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
	uint64_t before, after, count = stream_below(s, 6);

	if (stream_one_in(s, 4)) {
		machine_set_nx(&s->m, !s->m.vm.nx_huge_pages);
		return;
	}
	s->interfered = false;
	before = vmmu_counter_read(&s->m.vm, VMMU_C_NX_SPLITS_NOW);
	machine_slots_read_lock(&s->m);
	vmmu_nx_recover(&s->m.vm, count);
	machine_slots_read_unlock(&s->m);
	/* Others get in while it is read, too. */
	after = vmmu_counter_read(&s->m.vm, VMMU_C_NX_SPLITS_NOW);
	/* A table takes those below along. */
	if (!s->interfered)
		STREAM_CHECK(after <= (before > count ? before - count : 0));
}

static inline void stream_starve(struct stream *s)
{
	static void (*const run[])(struct stream *s) = { stream_few_accesses, stream_huge, stream_split_check, stream_nx };

	stream_starved(s, run[stream_below(s, 4)]);
}

static inline void stream_vcpu(struct stream *s)
{
	if (s->m.vcpus > 1 && stream_one_in(s, 2))
		machine_vcpu_remove(&s->m);
	else if (s->m.vcpus < 4)
		machine_vcpu_add(&s->m);
}

#endif
