/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Operations of L2 with tables of its own on L1's nested ones: it builds them, its CPU walks them, each step an access through
 * the tables that are mirrored; and what the host's emulator finds at an address is compared with the oracle's two-dimensional
 * walk. Of guests that are not nested: the emulator alone, which makes accesses that no CPU reports. See stream.h.
 */
#ifndef TESTS_SUPPORT_STREAM_L2_H
#define TESTS_SUPPORT_STREAM_L2_H

#define L2_TABLES	0x70ull		/* L2's frames for tables; roots first */
#define L2_POOL		0x18u

static inline uint64_t l2_table(struct stream *s) { return (L2_TABLES + stream_below(s, L2_POOL)) << 12; }

static inline void l2_mode(struct stream *s, struct machine_vcpu *c)
{
	enum guest_way way = (enum guest_way)stream_below(s, s->m.config.level == 5 ? GUEST_5LEVEL + 1 : GUEST_5LEVEL);
	struct machine_regs r = guest_regs(s, way, guest_levels(s, way));

	r.cr3 = (L2_TABLES + stream_below(s, 3)) << 12;
	machine_guest_l2_regs(c, &r);
}

/* L1 gives L2 the page of a table, as a rule. */
static inline void l2_give_page(struct stream *s, struct machine_vcpu *c, uint64_t at)
{
	const struct oracle_access write = { .write = true, .user = true, .also_read = true };
	struct oracle_now now;

	machine_slots_read_lock(&s->m);
	now = oracle_walk(s->m.oracle, &c->g.tables, at, &write);
	machine_slots_read_unlock(&s->m);
	if (!now.ok && !stream_one_in(s, 8))
		guest_map(s, &c->g.tables, at, at >> 12, 1);
}

/* What is at @at, an L2 physical address, by the CPU. @pf: VMMU_PF_W to set a flag. Return: false if it got nowhere. */
static inline bool l2_read(struct stream *s, struct machine_vcpu *c, uint64_t at, unsigned int bytes, uint64_t *value)
{
	/* An entry is read as an EPT with A and D flags and an NPT have it: by a write. */
	uint64_t pf = !c->g.l2_tables.outer_writes ? 0 : c->m->config.ept ? VMMU_PF_W | VMMU_PF_U : VMMU_PF_W;

	if (guest_access(s, c, guest_fit(s, &c->g.tables, at), pf) != MACHINE_ACCESS_DONE)
		return false;
	*value = 0;
	memcpy(value, (char *)machine_ram_content(&s->m.ram, c->reached) + (at & 0xfff), bytes);
	return true;
}

/*
 * A walk of L2's CPU, from its root down. Return: false if it ends in a fault, or nowhere; else *@gpa is where it leads, and
 * with @make entries that are not there are written on the way.
 */
static inline bool l2_walk(struct stream *s, struct machine_vcpu *c, uint64_t addr, uint64_t *gpa, bool make)
{
	const struct oracle_tables *t = &c->g.l2_tables;
	unsigned int bits = t->kind == ORACLE_32BIT ? 10 : 9, bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t table = t->kind == ORACLE_PAE ? t->root & 0xffffffe0 : t->root & 0x000ffffffffff000, e;

	for (int level = t->levels; level; level--) {
		unsigned int shift = 12 + bits * (unsigned int)(level - 1);
		unsigned int entries = t->kind == ORACLE_PAE && level == 3 ? 4 : 1u << bits;
		uint64_t at = table + ((addr >> shift) % entries) * bytes;

		if (make)
			l2_give_page(s, c, guest_fit(s, &c->g.tables, at));
		if (!l2_read(s, c, at, bytes, &e))
			return false;
		if (make && (level == 1 || !(e & 1) || stream_one_in(s, 24))) {
			e = guest_entry(s, t, level, level > 1 ? l2_table(s) >> 12 : guest_target(s), level == 1);
			c->g.store_value = e;
			c->g.store_bytes = bytes;
			guest_access(s, c, guest_fit(s, &c->g.tables, at), VMMU_PF_W);
			c->g.store_bytes = 0;
		}
		if (!(e & 1))
			return false;
		if (level == 1 || (e & 0x80 && level <= 3 && !(t->kind == ORACLE_PAE && level == 3))) {
			*gpa = (e & 0x000ffffffffff000 & ~((1ull << shift) - 1)) | (addr & ((1ull << shift) - 1));
			return true;
		}
		table = e & (t->kind == ORACLE_32BIT ? 0xfffff000 : 0x000ffffffffff000);
	}
	return false;
}

static inline uint64_t l2_addr(struct stream *s, const struct machine_vcpu *c)
{
	struct oracle_tables own = c->g.l2_tables;

	own.nested_amd = false;
	if (own.kind == ORACLE_NO_PAGING)
		return guest_fit(s, &c->g.tables, guest_addr(s));
	return guest_fit(s, &own, guest_addr(s));
}

#define EMULATED_ROUNDS 64
#define EMULATED_CHECK(condition) \
	((condition) ? (void)0 : \
	 machine_bug("%s does not hold: the emulator's access %#llx at %#llx; the tables say %s, stage %d, gfn %#llx, error %#llx, %#x; the core says %#llx, stage %d, error %#llx, %#x", \
		     #condition, (unsigned long long)pf, (unsigned long long)addr, now.ok ? "yes" : "no", now.stage, \
		     (unsigned long long)now.gfn, (unsigned long long)now.error, now.qualification, (unsigned long long)gpa, \
		     fault.stage, (unsigned long long)fault.error_code, fault.ept_qual))

/* Is this what the tables say? */
static inline bool emulated_fits(const struct machine_vcpu *c, const struct oracle_now *now, uint64_t addr, vmmu_gpa_t gpa,
				 const struct vmmu_guest_fault *fault)
{
	if (now->ok || gpa != VMMU_GPA_INVALID)
		return now->ok && gpa == (now->gfn << 12 | (addr & 0xfff));
	if ((int)fault->stage != (int)now->stage)
		return false;
	if (now->stage == ORACLE_OWN || !c->g.nested.ept)
		return (fault->error_code & 0xffffffff) == now->error;
	return fault->misconfig == now->misconfig && (now->misconfig || fault->ept_qual == now->qualification);
}

static inline bool same_answer(const struct oracle_now *a, const struct oracle_now *b)
{
	return a->ok == b->ok && a->stage == b->stage && a->gfn == b->gfn && a->error == b->error &&
	       a->misconfig == b->misconfig && a->qualification == b->qualification;
}

/* What the host's emulator finds, and what it has to find. Nothing else runs meanwhile. */
static inline void emulated(struct stream *s, struct machine_vcpu *c, uint64_t addr, uint64_t pf, bool implicit)
{
	const struct oracle_tables *t = c->g.in_l2 ? &c->g.l2_tables : &c->g.tables;
	const struct oracle_access a = {
		.write = pf & VMMU_PF_W, .fetch = pf & VMMU_PF_F, .user = pf & VMMU_PF_U, .ac = c->ac, .implicit = implicit,
	};
	struct vmmu_guest_fault fault;
	void (*hook)(enum machine_point point) = machine_hook;
	struct oracle_now now, after;
	unsigned int rounds = 0;
	vmmu_gpa_t gpa;
	bool fits;

	machine_hook = NULL;
	pf |= implicit ? VMMU_PF_IMPLICIT : 0;
	/*
	 * A table can be one of the other stage, too, and the flags that the walk sets in it as it goes make it say something
	 * else to the rest of the walk. Then it is made again: what is set stays set, so that comes to an end.
	 */
	do {
		fault = (struct vmmu_guest_fault){ .stage = VMMU_STAGE_TABLES };
		machine_slots_read_lock(&s->m);
		now = oracle_walk(s->m.oracle, t, addr, &a);
		gpa = c->g.in_l2 ? machine_guest_l2_translate(c, addr, pf, &fault) :
				   vmmu_translate(&c->v, &c->v.l1.mode, c->v.l1.pgd, c->g.regs.pdpte, addr,
						  &(struct vmmu_access){ .pf = pf, .ac = c->ac }, &fault);
		after = oracle_walk(s->m.oracle, t, addr, &a);
		machine_slots_read_unlock(&s->m);
		fits = emulated_fits(c, &now, addr, gpa, &fault);
	} while (!fits && !(gpa == VMMU_GPA_INVALID && (fault.race || fault.log_full)) && !same_answer(&now, &after) &&
		 ++rounds < EMULATED_ROUNDS);
	machine_hook = hook;
	/* Flags cannot be set while memory is on the move: the instruction is tried again. */
	if (gpa == VMMU_GPA_INVALID && fault.race)
		return;
	if (gpa == VMMU_GPA_INVALID && fault.log_full) {
		EMULATED_CHECK(c->g.in_l2 && c->g.l1_logged == GUEST_L1_LOG);
		c->g.l1_logged = 0;
		return;
	}
	EMULATED_CHECK(fits);
	s->came_through += now.ok;
}

static inline void stream_guest_emulated(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);
	uint64_t pf = stream_pf(s);
	bool implicit = stream_one_in(s, 3);

	if (!c || !c->v.current_context->shadow)
		return;
	s->busy[i] = true;
	c->ac = stream_one_in(s, 2);
	pf |= !implicit && stream_one_in(s, 2) ? VMMU_PF_U : 0;
	emulated(s, c, c->g.in_l2 ? l2_addr(s, c) : guest_addr_for(s, &c->g.tables), pf, implicit);
	s->busy[i] = false;
}

/* L2 uses its tables: builds them, walks them, and gets to the page. */
static inline void stream_guest_l2(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);
	uint64_t addr, gpa;

	if (!c || !c->g.in_l2)
		return;
	s->busy[i] = true;
	if (stream_one_in(s, 6))
		l2_mode(s, c);
	addr = l2_addr(s, c);
	if (c->g.l2_tables.kind != ORACLE_NO_PAGING) {
		if (stream_one_in(s, 2))
			l2_walk(s, c, addr, &gpa, true);
		if (l2_walk(s, c, addr, &gpa, false))
			guest_access(s, c, guest_fit(s, &c->g.tables, gpa), stream_pf(s));
		if (!s->depth)
			emulated(s, c, addr, stream_pf(s) | (stream_one_in(s, 2) ? VMMU_PF_U : 0), false);
	}
	s->busy[i] = false;
}

#endif
