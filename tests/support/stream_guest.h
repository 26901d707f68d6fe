/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Operations of guests whose tables are mirrored: they build tables, write to them in every way, load them, flush, change
 * modes, enter and leave nested guests; and what each access comes to is compared with what the oracle reads in the tables.
 * See stream.h.
 */
#ifndef TESTS_SUPPORT_STREAM_GUEST_H
#define TESTS_SUPPORT_STREAM_GUEST_H

#define GUEST_SETS	6		/* sets of tables; the root of set k is frame GUEST_TABLES + k */
#define GUEST_TABLES	0x10ull		/* frames for tables */
#define GUEST_POOL	40u

/* Ways in which a guest's tables can be read. */
enum guest_way {
	GUEST_NO_PAGING, GUEST_32BIT, GUEST_PAE, GUEST_4LEVEL, GUEST_5LEVEL,
	GUEST_NPT32, GUEST_NPT_PAE, GUEST_NPT64, GUEST_EPT,
	GUEST_WAYS
};

static inline bool guest_is_nested(enum guest_way way) { return way >= GUEST_NPT32; }

/* A way that this machine has. */
static inline enum guest_way guest_any_way(struct stream *s)
{
	const struct machine_config *config = &s->m.config;

	if (config->shadow)
		return stream_one_in(s, 8) ? GUEST_NO_PAGING :
		       (enum guest_way)(GUEST_32BIT + stream_below(s, config->level == 5 ? 4 : 3));
	if (config->ept)
		return GUEST_EPT;
	return (enum guest_way)(GUEST_NPT32 + stream_below(s, 3));
}

static inline int guest_levels(struct stream *s, enum guest_way way)
{
	switch (way) {
	case GUEST_32BIT:
	case GUEST_NPT32:
		return 2;
	case GUEST_PAE:
	case GUEST_NPT_PAE:
		return 3;
	case GUEST_5LEVEL:
		return 5;
	case GUEST_NPT64:
	case GUEST_EPT:
		return s->m.config.level == 5 && stream_one_in(s, 2) ? 5 : 4;
	default:
		return 4;
	}
}

/* Registers that make tables be read so; what has no part in it is left to chance. */
static inline struct machine_regs guest_regs(struct stream *s, enum guest_way way, int levels)
{
	struct machine_regs r = { .cr0 = 1ull << 31 };

	if (way == GUEST_NO_PAGING)
		r.cr0 = 0;
	if (!stream_one_in(s, 3))
		r.cr0 |= 1ull << 16;
	r.cr4 = (stream_one_in(s, 4) ? 1ull << 20 : 0) | (stream_one_in(s, 4) ? 1ull << 21 : 0);
	if (!stream_one_in(s, 4))
		r.cr4 |= 1ull << 4;
	if (way != GUEST_32BIT && way != GUEST_NPT32 && way != GUEST_NO_PAGING)
		r.cr4 |= 1ull << 5;
	if (!stream_one_in(s, 4))
		r.efer |= 1ull << 11;
	if (levels >= 4 && way != GUEST_NO_PAGING)
		r.efer |= 1ull << 10;
	if (levels == 5)
		r.cr4 |= 1ull << 12;
	return r;
}

static inline uint64_t guest_table_gfn(struct stream *s)
{
	return GUEST_TABLES + stream_below(s, GUEST_POOL);
}

static inline uint64_t guest_root(struct stream *s, enum guest_way way)
{
	uint64_t gfn = GUEST_TABLES + stream_below(s, GUEST_SETS);

	if (stream_one_in(s, 24))
		gfn = stream_one_in(s, 4) ? stream_gfn(s) & 0xfffff : guest_table_gfn(s);
	/* Two tags for each set of tables, as PCIDs are; PAE's root has 32 bytes. */
	return gfn << 12 | (way == GUEST_PAE || way == GUEST_NPT_PAE ? stream_below(s, 2) << 5 :
			    way == GUEST_EPT ? 0x1e : stream_below(s, 2));
}

/* Addresses that guests like: few enough to be met again. */
static inline uint64_t guest_addr(struct stream *s)
{
	uint64_t addr;

	switch (stream_below(s, 8)) {
	case 0:
	case 1:
	case 2:
		addr = (GUEST_TABLES + stream_below(s, 0x90)) << 12;
		break;
	case 3:
		addr = 0x400000 + (stream_below(s, 4) << 21) + (stream_below(s, 8) << 12);
		break;
	case 4:
		addr = 0xc0000000 + (stream_below(s, 24) << 12);
		break;
	case 5:
		addr = 0x40000000 + (stream_below(s, 3) << 21) + (stream_below(s, 4) << 12);
		break;
	case 6:
		addr = 0x4000000000 + (stream_below(s, 2) << 30) + (stream_below(s, 6) << 12);
		break;
	default:
		addr = 0xffff800000000000 + (stream_below(s, 2) << 21) + (stream_below(s, 4) << 12);
	}
	return addr | stream_below(s, 512) << 3;
}

/* Within what the tables translate, as the CPU makes sure: canonical, below 4 GiB, or as wide as an address can be. */
static inline uint64_t guest_fit(struct stream *s, const struct oracle_tables *t, uint64_t addr)
{
	unsigned int spare = t->levels == 5 ? 7 : 16, width = s->m.config.guest_phys_bits;

	if (t->nested_amd || t->kind == ORACLE_EPT)
		return addr & ((1ull << (t->levels == 5 || width < 48 ? width : 48)) - 1);
	return t->kind == ORACLE_LONG ? (uint64_t)((int64_t)(addr << spare) >> spare) : addr & 0xffffffff;
}

static inline uint64_t guest_addr_for(struct stream *s, const struct oracle_tables *t)
{
	return guest_fit(s, t, guest_addr(s));
}

/* --- Writing tables ------------------------------------------------------------------------------- */

/* Behind everybody's back, or by an emulator that says so. Return: false where no memory is. */
static inline bool guest_poke(struct stream *s, uint64_t gpa, uint64_t value, unsigned int bytes, bool told)
{
	struct vmmu_slot *slot;
	uint64_t page;

	machine_slots_read_lock(&s->m);
	slot = machine_slot_at(&s->m, 0, gpa >> 12);
	if (slot && !slot->invalid && (!slot->read_only || !told)) {
		page = machine_slot_page(slot, gpa >> 12);
		if (machine_ready_to_write(&s->m, page)) {
			machine_mutex_lock(MACHINE_LOCK_RAM, &s->m.ram_lock);
			if (told)
				__atomic_fetch_add(&s->m.ram.version[0][page], 1, __ATOMIC_RELAXED);
			machine_store(&s->m, page, (unsigned int)(gpa & 0xfff), value, bytes, told);
			machine_mutex_unlock(&s->m.ram_lock);
			if (told) {
				machine_mark_dirty(&s->m, slot, gpa >> 12);
				vmmu_guest_written(&s->m.vm, gpa, bytes);
			}
		}
	}
	machine_slots_read_unlock(&s->m);
	return slot;
}

static inline uint64_t guest_peek(struct stream *s, uint64_t gpa, unsigned int bytes)
{
	struct vmmu_slot *slot;
	uint64_t value = 0;

	machine_slots_read_lock(&s->m);
	slot = machine_slot_at(&s->m, 0, gpa >> 12);
	if (slot && !slot->invalid)
		memcpy(&value, (char *)machine_ram_content(&s->m.ram, machine_slot_page(slot, gpa >> 12)) +
			       (gpa & 0xfff), bytes);
	machine_slots_read_unlock(&s->m);
	return value;
}

static inline void guest_judge(struct stream *s, struct machine_vcpu *c, uint64_t addr, uint64_t pf,
			       const struct oracle_now *now, enum machine_access_result result);

/* An access of the vCPU's, judged if nothing else ran meanwhile. */
static inline enum machine_access_result guest_access(struct stream *s, struct machine_vcpu *c, uint64_t addr, uint64_t pf)
{
	struct oracle_now now;
	enum machine_access_result result;

	if (!c->v.current_context->shadow)
		return machine_access(c, addr & ((1ull << 36) - 1), pf, s->nest_words ? 40 : 16);
	addr = guest_fit(s, &c->g.tables, addr);
	machine_slots_read_lock(&s->m);
	now = machine_guest_now(c, addr, pf);
	machine_slots_read_unlock(&s->m);
	s->interfered = s->interfered && s->depth;
	result = machine_access(c, addr, pf, s->nest_words ? 40 : 16);
	if (!s->depth && !s->interfered)
		guest_judge(s, c, addr, pf, &now, result);
	return result;
}

/* A vCPU writes the table by its own CPU: at the address that is the frame's, if its tables say so, or as L1 does. */
static inline void guest_store_by_cpu(struct stream *s, uint64_t gpa, uint64_t value, unsigned int bytes)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);

	if (!c)
		return;
	s->busy[i] = true;
	c->g.store_value = value;
	c->g.store_bytes = bytes;
	guest_access(s, c, gpa, VMMU_PF_W | (c->m->config.shadow && stream_one_in(s, 3) ? VMMU_PF_U : 0));
	c->g.store_bytes = 0;
	s->busy[i] = false;
}

static inline void guest_write(struct stream *s, uint64_t gpa, uint64_t value, unsigned int bytes)
{
	unsigned int way = (unsigned int)stream_below(s, 16);

	if (way < 9)
		guest_store_by_cpu(s, gpa, value, bytes);
	else
		guest_poke(s, gpa, value, bytes, way < 15);
}

static inline uint64_t guest_target(struct stream *s)
{
	switch (stream_below(s, 16)) {
	case 0:
	case 1:
	case 2:
		return guest_table_gfn(s);
	case 3:
		return 0x200000 + stream_below(s, 0x400);
	case 4:
		return 0xff000 - stream_below(s, 4);	/* no memory */
	case 5:
	case 6:
	case 7:
		return 0x303 + stream_below(s, 0x900);
	case 8:
	case 9:
		return 0x40000 + stream_below(s, 0x1000);
	default:
		return 0x10 + stream_below(s, 0x90);
	}
}

/* What an entry may be beside the address in it. */
static inline uint64_t guest_entry(struct stream *s, const struct oracle_tables *t, int level, uint64_t gfn, bool leaf)
{
	static const uint8_t ept_rights[] = { 7, 7, 7, 7, 7, 7, 7, 5, 3, 1, 4, 0, 6 };
	uint64_t e = gfn << 12;

	if (leaf && level > 1) {
		e &= ~((1ull << (t->kind == ORACLE_32BIT ? 22 : 12 + 9 * (level - 1))) - 1);
		e |= 1ull << 7;
	}
	if (t->kind == ORACLE_EPT)
		e |= ept_rights[stream_below(s, leaf ? sizeof(ept_rights) : 8)] |
		     (leaf ? 6u << 3 : 0) | (stream_below(s, 4) << 8);
	else if (t->kind == ORACLE_PAE && level == 3)
		e |= 1;
	else
		e |= (stream_one_in(s, 24) ? 0 : 1) | (stream_one_in(s, 5) ? 0 : 2) | (stream_one_in(s, 4) ? 0 : 4) |
		     (stream_below(s, 4) << 5);
	if (t->nxe && (t->kind == ORACLE_LONG || (t->kind == ORACLE_PAE && level < 3)) && stream_one_in(s, 6))
		e |= 1ull << 63;
	if (stream_one_in(s, 40))
		e ^= 1ull << stream_below(s, 64);
	return t->kind == ORACLE_32BIT ? e & 0xffffffff : e;
}

/* Let the tables map @addr, as an operating system does: what is there already is used. */
static inline void guest_map(struct stream *s, const struct oracle_tables *t, uint64_t addr, uint64_t gfn, int leaf_level)
{
	unsigned int bits = t->kind == ORACLE_32BIT ? 10 : 9, bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t table = t->kind == ORACLE_PAE ? t->root & 0xffffffe0 : t->root & 0x000ffffffffff000;

	for (int level = t->levels; level; level--) {
		unsigned int entries = t->kind == ORACLE_PAE && level == 3 ? 4 : 1u << bits;
		uint64_t at = table + ((addr >> (12 + bits * (unsigned int)(level - 1))) % entries) * bytes;
		uint64_t e = guest_peek(s, at, bytes);
		bool large = level > 1 && (e & 0x80) && (e & 7);

		if (level <= leaf_level) {
			guest_write(s, at, guest_entry(s, t, level, gfn, true), bytes);
			return;
		}
		/* Now and then a table that another entry uses as well, at whichever level. */
		if (!(e & (t->kind == ORACLE_EPT ? 7 : 1)) || large || stream_one_in(s, 40)) {
			e = guest_entry(s, t, level, guest_table_gfn(s), false);
			guest_write(s, at, e, bytes);
		}
		table = e & (t->kind == ORACLE_32BIT ? 0xfffff000 : 0x000ffffffffff000);
	}
}

static inline void stream_guest_map(struct stream *s)
{
	struct machine_vcpu *c = s->m.vcpu[stream_below(s, s->m.vcpus)];
	struct oracle_tables t = c->g.tables;
	uint64_t addr, gfn;
	int level;

	if (t.kind == ORACLE_NO_PAGING || !c->v.current_context->shadow)
		return;
	addr = guest_addr_for(s, &t);
	gfn = stream_one_in(s, 3) ? addr >> 12 & 0xfffff : guest_target(s);
	level = stream_one_in(s, 4) ? 1 + (int)stream_below(s, 3) : 1;
	if (t.kind == ORACLE_PAE && level == 3)
		level = 2;
	for (unsigned int n = stream_one_in(s, 3) ? 1 + (unsigned int)stream_below(s, 6) : 1; n--; addr += 4096, gfn++)
		guest_map(s, &t, addr, gfn, level);
}

/* A write of any size and place to a frame that holds tables: a flag flipped, an entry in parts, rubbish. */
static inline void stream_guest_write(struct stream *s)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8, 8, 8, 4, 3 };
	uint64_t gpa = guest_table_gfn(s) << 12 | (stream_one_in(s, 2) ? 0x80 + stream_below(s, 0x90) * 8 : stream_below(s, 32) * 8);
	unsigned int bytes = 8;
	uint64_t value = guest_peek(s, gpa & ~7ull, 8);

	switch (stream_below(s, 5)) {
	case 0:
		value ^= 1ull << stream_below(s, 12);
		break;
	case 1:
		value &= ~0x360ull;
		break;
	case 2:
		value = 0;
		break;
	case 3:
		value ^= stream_below(s, 8) << 12;
		break;
	default:
		bytes = sizes[stream_below(s, 8)];
		gpa += stream_below(s, 8);
		value >>= 8 * (gpa & 7);
		value ^= stream_below(s, 2) << stream_below(s, 16);
		if ((gpa & 0xfff) + bytes > 4096)
			gpa -= 8;
	}
	guest_write(s, gpa, value, bytes);
}

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

static inline void stream_guest_flush(struct stream *s)
{
	unsigned int i;
	struct machine_vcpu *c = stream_idle_vcpu(s, &i);

	if (!c)
		return;
	s->busy[i] = true;
	if (stream_one_in(s, 4))
		machine_guest_flush_all(c);
	else if (stream_one_in(s, 3))
		machine_guest_flush(c);
	else
		machine_guest_invlpg(c, s->hot_addr && stream_one_in(s, 2) && c->g.tables.kind == ORACLE_LONG ?
					s->hot_addr : guest_addr_for(s, &c->g.tables));
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
		/* Not so few that roots alone exceed them. */
		s->m.vm.shadow_quota = stream_one_in(s, 3) ?
			(getenv("QUOTA") ? 8 : 40 + 8 * (s->m.config.root_cache + 2u)) + stream_below(s, 24) : 1000;
		break;
	default:
		if (s->depth)
			return;
		/* Memory runs out in the middle. */
		s->starved = true;
		machine_fail_at(1 + (long)stream_below(s, 40), stream_one_in(s, 2));
		stream_guest_access(s);
		machine_fail_at(0, false);
		s->starved = false;
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
