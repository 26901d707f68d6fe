/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* How guests write tables that are mirrored: every way, every size, every place. See stream.h. */
#ifndef TESTS_SUPPORT_STREAM_TABLES_H
#define TESTS_SUPPORT_STREAM_TABLES_H

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

/* Mostly one that was used not long ago: translations of it may be anywhere. */
static inline uint64_t guest_addr_for(struct stream *s, const struct oracle_tables *t)
{
	uint64_t *recent = &s->recent[stream_below(s, STREAM_RECENT)];

	if (!*recent || stream_one_in(s, 6))
		*recent = guest_addr(s);
	if (stream_one_in(s, 8))
		*recent ^= 1ull << (3 + stream_below(s, 16));
	return guest_fit(s, t, *recent);
}

/* --- Writing tables ------------------------------------------------------------------------------- */

/* By an emulator that says so, or behind everybody's back. Return: false where no memory is. */
static inline bool guest_poke(struct stream *s, uint64_t gpa, uint64_t value, unsigned int bytes, bool told)
{
	struct vmmu_slot *slot;
	uint64_t page;

	machine_slots_read_lock(&s->m);
	slot = machine_slot_at(&s->m, 0, gpa >> 12);
	if (slot && !slot->invalid && told && !slot->read_only) {
		machine_write_for_guest(&s->m, slot, gpa, value, bytes);
	} else if (slot && !slot->invalid && !told) {
		page = machine_slot_page(slot, gpa >> 12);
		if (machine_ready_to_write(&s->m, page)) {
			machine_mutex_lock(MACHINE_LOCK_RAM, &s->m.ram_lock);
			machine_store(&s->m, page, (unsigned int)(gpa & 0xfff), value, bytes, false);
			machine_mutex_unlock(&s->m.ram_lock);
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
	/* A run of pages; or one frame at many addresses. */
	if (stream_one_in(s, 3))
		for (unsigned int n = 1 + (unsigned int)stream_below(s, 6); n--; addr += 4096, gfn++)
			guest_map(s, &t, addr, gfn, level);
	else if (stream_one_in(s, 16))
		for (unsigned int n = 1 + (unsigned int)stream_below(s, 40); n--; addr += 4096)
			guest_map(s, &t, addr, gfn, level);
	else
		guest_map(s, &t, addr, gfn, level);
}

/* Where tables keep the entry on the way to @addr at level @stop, or the last one there is. */
static inline uint64_t guest_entry_of(struct stream *s, const struct oracle_tables *t, uint64_t addr, int stop)
{
	unsigned int bits = t->kind == ORACLE_32BIT ? 10 : 9, bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t table = t->kind == ORACLE_PAE ? t->root & 0xffffffe0 : t->root & 0x000ffffffffff000;

	for (int level = t->levels;; level--) {
		unsigned int entries = t->kind == ORACLE_PAE && level == 3 ? 4 : 1u << bits;
		uint64_t at = table + ((addr >> (12 + bits * (unsigned int)(level - 1))) % entries) * bytes;
		uint64_t e = guest_peek(s, at, bytes);

		if (level <= stop || (e & 0x80) || !(e & 7))
			return at;
		table = e & (t->kind == ORACLE_32BIT ? 0xfffff000 : 0x000ffffffffff000);
	}
}

/* A write of any size and place to a frame that holds tables: a flag flipped, an entry in parts, rubbish. */
static inline void stream_guest_write(struct stream *s)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8, 8, 8, 4, 3 };
	uint64_t gpa = guest_table_gfn(s) << 12 | (stream_one_in(s, 2) ? 0x80 + stream_below(s, 0x90) * 8 : stream_below(s, 32) * 8);
	struct machine_vcpu *c = s->m.vcpu[stream_below(s, s->m.vcpus)];
	unsigned int bytes = 8;
	uint64_t value;

	if (c->v.current_context->shadow && c->g.tables.kind != ORACLE_NO_PAGING && !stream_one_in(s, 3)) {
		gpa = guest_entry_of(s, &c->g.tables, guest_addr_for(s, &c->g.tables),
				     stream_one_in(s, 3) ? 1 + (int)stream_below(s, (uint64_t)c->g.tables.levels) : 1);
		bytes = c->g.tables.kind == ORACLE_32BIT ? 4 : 8;
	}
	value = guest_peek(s, gpa, bytes);
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
		gpa -= (gpa & 0xfff) + bytes > 4096 ? 8 : 0;
		value = guest_peek(s, gpa, bytes);
		value ^= stream_below(s, 2) << stream_below(s, 16);
	}
	guest_write(s, gpa, value, bytes);
}

#endif
