/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Operations of guests whose tables are mirrored: they build tables, write to them in every way, load them, flush, change
 * modes, enter and leave nested guests; and what each access comes to is compared with what the oracle reads in the tables.
 * See stream.h.
 */
#ifndef TESTS_SUPPORT_STREAM_GUEST_H
#define TESTS_SUPPORT_STREAM_GUEST_H

#include "stream_tables.h"

/* --- Accesses ------------------------------------------------------------------------------------- */

static inline bool guest_has_no_tables(struct stream *s, const struct oracle_tables *t)
{
	bool none = false;

	machine_slots_read_lock(&s->m);
	if (t->kind == ORACLE_PAE) {
		for (int i = 0; i < 4; i++) {
			uint64_t e = t->pdpte_in_memory ? 1 : t->pdpte[i];
			struct vmmu_slot *slot = machine_slot_at(&s->m, t->space, (e & 0x000ffffffffff000) >> 12);

			none |= t->pdpte_in_memory || ((e & 1) && (!slot || slot->invalid));
		}
	} else {
		none = !machine_slot_at(&s->m, t->space, (t->root & 0x000ffffffffff000) >> 12);
	}
	machine_slots_read_unlock(&s->m);
	return none;
}

static inline bool guest_fault_fits(const struct machine_vcpu *c, const struct oracle_now *now)
{
	const struct vmmu_guest_fault *f = &c->g.injected;

	if (c->g.tables.kind != ORACLE_EPT)
		return (f->error_code & 0xffffffff) == now->error;
	return f->misconfig == now->misconfig && (now->misconfig || f->ept_qual == now->qualification);
}

#define GUEST_CHECK(condition) \
	((condition) ? (void)0 : \
	 machine_bug("%s does not hold: access %#llx at %#llx, %s, came to %d; the tables say %s, gfn %#llx, error %#llx, %d %#x; the guest is told %#llx, %d %#x", \
		     #condition, (unsigned long long)pf, (unsigned long long)addr, \
		     vmmu_format_name((enum vmmu_format)c->v.current_context->mode.format), result, now->ok ? "yes" : "no", \
		     (unsigned long long)now->gfn, (unsigned long long)now->error, now->misconfig, now->qualification, \
		     (unsigned long long)c->g.injected.error_code, c->g.injected.misconfig, c->g.injected.ept_qual))

/* Complete: what the tables allow makes progress; what they do not is told, rightly, or was allowed not long ago. */
static inline void guest_judge(struct stream *s, struct machine_vcpu *c, uint64_t addr, uint64_t pf,
			       const struct oracle_now *now, enum machine_access_result result)
{
	struct vmmu_slot *slot;
	bool memory, read_only;

	if (result == MACHINE_ACCESS_NO_MEMORY) {
		GUEST_CHECK(s->starved);
		return;
	}
	if (result == MACHINE_ACCESS_NO_ROOT) {
		GUEST_CHECK(guest_has_no_tables(s, &c->g.tables));
		return;
	}
	GUEST_CHECK(result != MACHINE_ACCESS_GAVE_UP);
	if (!now->ok) {
		/* By the CPU, by what it held: it has been judged there. */
		GUEST_CHECK(result == MACHINE_ACCESS_INJECTED || result == MACHINE_ACCESS_DONE);
		GUEST_CHECK(result == MACHINE_ACCESS_DONE || guest_fault_fits(c, now));
		s->injected += result == MACHINE_ACCESS_INJECTED;
		return;
	}
	machine_slots_read_lock(&s->m);
	slot = machine_slot_at(&s->m, c->space, now->gfn);
	memory = slot && !slot->invalid;
	read_only = memory && slot->read_only;
	machine_slots_read_unlock(&s->m);
	GUEST_CHECK(result != MACHINE_ACCESS_INJECTED);
	GUEST_CHECK(result != MACHINE_ACCESS_MMIO || !memory);
	/* Without a write by an MMIO entry that was right not long ago. */
	GUEST_CHECK(result != MACHINE_ACCESS_EMULATED || (pf & VMMU_PF_W) || !machine_guest_is_settled(c, addr));
	GUEST_CHECK(!read_only || !(pf & VMMU_PF_W) || result != MACHINE_ACCESS_DONE || !machine_guest_is_settled(c, addr));
	s->came_through++;
}

static inline uint64_t guest_pf(struct stream *s, const struct machine_vcpu *c)
{
	uint64_t pf = stream_pf(s);

	if (c->m->config.shadow && stream_one_in(s, 2))
		pf |= VMMU_PF_U;
	/* Of an EPT: the CPU updates an entry of L2's own tables. */
	if (c->m->config.ept && (pf & VMMU_PF_W) && stream_one_in(s, 4))
		pf |= VMMU_PF_U;
	return pf;
}

static inline void stream_guest_access(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);
	uint64_t addr, pf;

	if (!c)
		return;
	s->busy[i] = true;
	c->ac = stream_one_in(s, 3);
	addr = guest_addr_for(s, &c->g.tables);
	pf = guest_pf(s, c);
	if (s->depth && (s->hot_addr ^ addr) & ~0xfffull && stream_one_in(s, 2))
		addr = c->g.tables.kind == ORACLE_LONG ? s->hot_addr : s->hot_addr & 0xffffffff;
	if (!s->depth)
		s->hot_addr = addr;
	for (unsigned int n = 1 + (unsigned int)stream_below(s, 3); n--;)
		guest_access(s, c, addr, pf);
	s->busy[i] = false;
}

/* --- Registers ------------------------------------------------------------------------------------ */

static inline void guest_enter(struct stream *s, struct machine_vcpu *c)
{
	enum guest_way way = guest_any_way(s);
	int levels = guest_levels(s, way);
	struct machine_regs l1 = guest_regs(s, way, levels);
	struct machine_nested n = {
		.ept = way == GUEST_EPT,
		.root = guest_root(s, way),
		.level = (uint8_t)levels,
		/* What L1's CPU is said to take: the same on all of them. */
		.largest = (uint8_t)(s->seed % 4 ? 3 : 1 + s->seed / 4 % 3),
		.exec_only = s->m.config.exec_only && stream_one_in(s, 2),
		.ad = s->m.config.ad && !stream_one_in(s, 3),
		.logs = stream_one_in(s, 3),
	};

	if (n.largest > s->m.config.huge_level_max)
		n.largest = s->m.config.huge_level_max;
	machine_guest_enter(c, &n, &l1, stream_one_in(s, 2));
}

/* Another mode, or the same with other bits; always a flush. */
static inline void stream_guest_mode(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);
	enum guest_way way = guest_any_way(s);
	struct machine_regs r;

	if (!c)
		return;
	s->busy[i] = true;
	if (!s->m.config.shadow) {
		if (c->g.in_l2 && stream_one_in(s, 4))
			machine_guest_leave(c);
		else
			guest_enter(s, c);
	} else {
		r = guest_regs(s, way, guest_levels(s, way));
		r.cr3 = guest_root(s, way);
		if (stream_one_in(s, 2)) {
			/* A single bit. */
			r = c->g.regs;
			switch (stream_below(s, 5)) {
			case 0:
				r.cr0 ^= 1ull << 16;
				break;
			case 1:
				r.cr4 ^= 1ull << 20;
				break;
			case 2:
				r.cr4 ^= 1ull << 21;
				break;
			case 3:
				r.efer ^= 1ull << 11;
				break;
			default:
				r.cr4 ^= 1ull << 4;
			}
		}
		machine_guest_set_regs(c, &r, stream_one_in(s, 12) ? 1 : 0);
	}
	s->busy[i] = false;
}

static inline void stream_guest_switch(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);

	if (!c)
		return;
	s->busy[i] = true;
	if (!s->m.config.shadow)
		guest_enter(s, c);
	else if (c->g.tables.kind != ORACLE_NO_PAGING)
		machine_guest_load_cr3(c, guest_root(s, c->g.tables.kind == ORACLE_PAE ? GUEST_PAE : GUEST_4LEVEL),
				       stream_one_in(s, 2));
	s->busy[i] = false;
}

/* As an operating system changes a mapping: the entry, INVLPG, the next access. */
static inline void guest_remap(struct stream *s, struct machine_vcpu *c)
{
	unsigned int bytes = c->g.tables.kind == ORACLE_32BIT ? 4 : 8;
	uint64_t addr = guest_addr_for(s, &c->g.tables), at, value;

	if (!c->v.current_context->shadow || c->g.tables.kind == ORACLE_NO_PAGING)
		return;
	guest_access(s, c, addr, stream_one_in(s, 2) ? VMMU_PF_W : 0);
	at = guest_entry_of(s, &c->g.tables, addr, 1);
	value = guest_peek(s, at, bytes);
	value ^= stream_one_in(s, 2) ? 1ull << (12 + stream_below(s, 4)) : 1ull << stream_below(s, 8);
	guest_write(s, at, value, bytes);
	machine_guest_invlpg(c, addr);
	guest_access(s, c, addr, stream_one_in(s, 2) ? VMMU_PF_W : 0);
}

static inline void stream_guest_flush(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);

	if (!c)
		return;
	s->busy[i] = true;
	if (stream_one_in(s, 3))
		guest_remap(s, c);
	else if (stream_one_in(s, 4))
		machine_guest_flush_all(c);
	else if (stream_one_in(s, 3))
		machine_guest_flush(c);
	else
		machine_guest_invlpg(c, s->hot_addr && stream_one_in(s, 2) && c->g.tables.kind == ORACLE_LONG ?
					s->hot_addr : guest_addr_for(s, &c->g.tables));
	s->busy[i] = false;
}

/* The host drops roots, or maps ahead of the guest. */
static inline void stream_guest_roots(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);

	if (!c)
		return;
	s->busy[i] = true;
	machine_slots_read_lock(&s->m);
	switch (stream_below(s, 4)) {
	case 0:
		vmmu_roots_drop_cached(&c->v, c->v.current_context);
		break;
	case 1:
		vmmu_root_drop_cached_one(&c->v, c->v.current_context, (unsigned int)stream_below(s, 4));
		break;
	case 2:
		vmmu_root_drop_current(&c->v, c->v.current_context);
		machine_vcpu_load_root(c);
		break;
	default:
		machine_slots_read_unlock(&s->m);
		machine_prefetch(c, guest_addr_for(s, &c->g.tables) >> 12);
		machine_slots_read_lock(&s->m);
	}
	machine_slots_read_unlock(&s->m);
	s->busy[i] = false;
}

/* What a host does with shadow pages. */
static inline void stream_guest_host(struct stream *s)
{
	switch (stream_below(s, 6)) {
	case 0:
		machine_slots_read_lock(&s->m);
		machine_lock_shared(&s->m);
		vmmu_shrink(&s->m.vm, stream_below(s, 12));
		machine_unlock_shared(&s->m);
		machine_slots_read_unlock(&s->m);
		break;
	case 1:
	case 2:
		machine_slots_read_lock(&s->m);
		vmmu_unprotect(&s->m.vm, guest_table_gfn(s));
		machine_slots_read_unlock(&s->m);
		break;
	case 3:
		__atomic_store_n(&s->m.vm.shadow_quota, stream_one_in(s, 2) ? 1 + stream_below(s, 64) : 1000,
				 __ATOMIC_RELAXED);
		break;
	default:
		if (s->depth)
			return;
		stream_starved(s, stream_one_in(s, 3) ? stream_guest_map : stream_guest_access);
	}
}

/* Something for every vCPU to run on. */
static inline void guest_start(struct stream *s)
{
	machine_oracle_on(&s->m);
	for (unsigned int i = 0; i < s->m.vcpus; i++) {
		stream_guest_switch(s);
		stream_guest_mode(s);
	}
	for (int n = 0; n < 30; n++)
		stream_guest_map(s);
}

#endif
