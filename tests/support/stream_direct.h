/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Operations of vCPUs on direct tables. See stream.h. */
#ifndef TESTS_SUPPORT_STREAM_DIRECT_H
#define TESTS_SUPPORT_STREAM_DIRECT_H

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

/* Memory runs out in the middle. */
static inline void stream_starved(struct stream *s, void (*run)(struct stream *s))
{
	s->starved = true;
	machine_fail_at(1 + (long)stream_below(s, 40), stream_one_in(s, 2));
	run(s);
	machine_fail_at(0, false);
	s->starved = false;
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

#endif
