/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A second walker, slow and literal, written from the manuals alone: Intel SDM vol. 3 "Paging", "The Extended
 * Page Table Mechanism (EPT)" and AMD APM vol. 2 "Page Translation and Protection", "Nested Paging". It shares
 * no header with the core, not even the names of bits, and works on a plain byte array of its own.
 */
#ifndef REFWALK_H
#define REFWALK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum ref_kind { REF_32BIT, REF_PAE, REF_LONG, REF_EPT };
enum ref_stage { REF_OWN, REF_OUTER_TABLE, REF_OUTER_FINAL };

struct ref_memory {
	uint8_t *bytes;
	uint64_t size;
	uint32_t holes;		/* bit n: page n is not there */
	uint32_t read_only;	/* bit n: page n cannot be written */
};

/* A set of tables and the CPU that walks them. */
struct ref_tables {
	enum ref_kind kind;
	int levels;
	uint64_t root;
	const uint64_t *pdpte;		/* PAE: registers, or NULL: in memory */
	bool nested_amd;		/* an NPT */
	bool wp, nxe, smep, smap, pke, pse, gb, amd;
	bool x_only, ept_ad;
	int ept_largest;
	int address_width;
	struct ref_tables *outer;	/* tables that translate the addresses in these ones */
	bool outer_writes;		/* the outer stage takes reading an entry for a write */
};

struct ref_access {
	bool write, fetch, user, ac, implicit, also_read;
	uint32_t pkru;
};

struct ref_entry {
	uint64_t address, value;
	unsigned int index, bytes;
	bool in_register;
	bool r, w, x, u;	/* rights from the root to here */
};

struct ref_result {
	bool ok;
	uint64_t physical, before_outer;
	int level;
	bool r, w, x, u;
	unsigned int key;
	bool not_dirty;
	struct ref_entry entry[6];
	/* failure */
	uint64_t error, where;
	enum ref_stage stage;
	bool misconfig;
	unsigned int qualification;
};

static inline bool ref_bit(uint64_t value, int bit)
{
	return (value >> bit) & 1;
}

/* Is any of bits hi..lo set? */
static inline bool ref_any(uint64_t value, int hi, int lo)
{
	int bit;

	for (bit = lo; bit <= hi; bit++)
		if (ref_bit(value, bit))
			return true;
	return false;
}

static inline bool ref_there(const struct ref_memory *m, uint64_t address)
{
	return address < m->size && !ref_bit(m->holes, (int)(address / 4096));
}

static inline bool ref_leaf(const struct ref_tables *t, int level, uint64_t e)
{
	if (level == 1)
		return true;
	if (!ref_bit(e, 7))
		return false;
	switch (t->kind) {
	case REF_32BIT: return t->pse;
	case REF_PAE: return level == 2;
	default: return level == 2 || level == 3;
	}
}

static inline int ref_shift(const struct ref_tables *t, int level)
{
	return 12 + (t->kind == REF_32BIT ? 10 : 9) * (level - 1);
}

static inline bool ref_ept_misconfigured(const struct ref_tables *t, int level, uint64_t e)
{
	const bool r = ref_bit(e, 0), w = ref_bit(e, 1), x = ref_bit(e, 2);
	const unsigned int type = (e >> 3) & 7;

	if (!r && w)
		return true;
	if (!r && !w && x && !t->x_only)
		return true;
	if (ref_any(e, 51, t->address_width))
		return true;
	if (level >= 4)
		return ref_any(e, 7, 3);
	if (!ref_leaf(t, level, e))
		return ref_any(e, 6, 3);
	if (level > t->ept_largest)
		return true;
	if (type == 2 || type == 3 || type == 7)
		return true;
	return level > 1 && ref_any(e, ref_shift(t, level) - 1, 12);
}

static inline bool ref_reserved(const struct ref_tables *t, int level, uint64_t e)
{
	int bit;

	if (t->kind == REF_EPT)
		return ref_ept_misconfigured(t, level, e);
	if (t->kind == REF_32BIT) {
		if (level == 1 || !ref_leaf(t, level, e))
			return false;
		for (bit = 13; bit <= 20; bit++)
			if (ref_bit(e, bit) && 32 + bit - 13 >= t->address_width)
				return true;
		return ref_bit(e, 21);
	}
	if (ref_any(e, 51, t->address_width))
		return true;
	if (t->kind == REF_PAE) {
		if (ref_any(e, 62, 52))
			return true;
		if (level == 3)
			return ref_bit(e, 63) || ref_any(e, 8, 5) || ref_any(e, 2, 1);
	}
	if (!t->nxe && ref_bit(e, 63))
		return true;
	if (level >= 4)
		return ref_bit(e, 7) || (t->amd && ref_bit(e, 8));
	if (level == 3 && ref_bit(e, 7) && !t->gb)
		return true;
	return level > 1 && ref_leaf(t, level, e) && ref_any(e, ref_shift(t, level) - 1, 13);
}

static inline uint64_t ref_error(const struct ref_tables *t, const struct ref_access *a, bool present, bool reserved)
{
	const bool tells_fetch = t->kind == REF_EPT || t->smep || (t->kind != REF_32BIT && t->nxe);
	const bool user = a->user || t->nested_amd;

	return (present ? 1 : 0) | (a->write ? 2 : 0) | (user ? 4 : 0) | (reserved ? 8 : 0) |
	       (a->fetch && tells_fetch ? 16 : 0);
}

static inline bool ref_fail(const struct ref_tables *t, const struct ref_access *a, struct ref_result *out, uint64_t va,
			    int level, bool present, bool reserved)
{
	out->ok = false;
	out->level = level;
	out->stage = REF_OWN;
	out->where = va;
	out->error = ref_error(t, a, present, reserved);
	out->misconfig = t->kind == REF_EPT && reserved;
	out->qualification = 0;
	if (t->kind == REF_EPT) {
		if ((!a->write && !a->fetch) || a->also_read)
			out->qualification |= 1;
		if (a->write)
			out->qualification |= 2;
		if (a->fetch)
			out->qualification |= 4;
		if (present && !reserved)
			out->qualification |= (out->r ? 8u : 0) | (out->w ? 16u : 0) | (out->x ? 32u : 0);
	}
	return false;
}

/* Rights; sets bit 5 of @error where the key forbids a data access. */
static inline bool ref_permitted(const struct ref_tables *t, const struct ref_access *a, const struct ref_result *out,
				 bool *by_key)
{
	const bool user = a->user || t->nested_amd;
	const bool nx = t->nxe && t->kind != REF_32BIT;
	bool ok = true;

	*by_key = false;
	if (t->kind == REF_EPT) {
		if (a->write && !out->w)
			ok = false;
		if (a->fetch && !out->x)
			ok = false;
		if (((!a->write && !a->fetch) || a->also_read) && !out->r)
			ok = false;
		return ok;
	}
	if (user && !out->u)
		ok = false;
	if (a->write && !out->w && (user || t->wp))
		ok = false;
	if (a->fetch && nx && !out->x)
		ok = false;
	if (!user && out->u) {
		if (a->fetch && t->smep)
			ok = false;
		if (!a->fetch && t->smap && (a->implicit || !a->ac))
			ok = false;
	}
	if (t->pke && t->kind == REF_LONG && out->u && !a->fetch) {
		const bool ad = ref_bit(a->pkru, (int)out->key * 2), wd = ref_bit(a->pkru, (int)out->key * 2 + 1);

		if (ad || (wd && a->write && (user || t->wp)))
			*by_key = true;
	}
	return ok && !*by_key;
}

static bool ref_walk(struct ref_memory *m, struct ref_tables *t, uint64_t va, const struct ref_access *a,
		     struct ref_result *out);

/* Translate @address by the outer tables, if there are any. */
static inline bool ref_outer(struct ref_memory *m, struct ref_tables *t, uint64_t va, int level, uint64_t address,
			     bool table, bool write, bool fetch, uint64_t *physical, struct ref_result *out)
{
	const struct ref_access a = { .write = write, .fetch = fetch, .user = true, .also_read = table && write };
	struct ref_result r;

	(void)va;
	*physical = address;
	if (!t->outer)
		return true;
	if (ref_walk(m, t->outer, address, &a, &r)) {
		*physical = r.physical;
		return true;
	}
	out->ok = false;
	out->level = level;
	out->stage = table ? REF_OUTER_TABLE : REF_OUTER_FINAL;
	out->where = address;
	out->error = r.error | (table ? 1ull << 33 : 1ull << 32);
	out->misconfig = r.misconfig;
	out->qualification = r.qualification;
	return false;
}

/* Fetch the entry of @level in the table at @table; false: the walk has failed. */
static inline bool ref_fetch(struct ref_memory *m, struct ref_tables *t, uint64_t va, const struct ref_access *a,
			     int level, uint64_t table, struct ref_result *out)
{
	struct ref_entry *en = &out->entry[level];
	const unsigned int slots = t->kind == REF_32BIT ? 1024 : t->kind == REF_PAE && level == 3 ? 4 : 512;
	uint64_t address;

	en->bytes = t->kind == REF_32BIT ? 4 : 8;
	en->index = (unsigned int)((va >> ref_shift(t, level)) % slots);
	if (t->kind == REF_PAE && level == 3 && t->pdpte) {
		en->in_register = true;
		en->value = t->pdpte[en->index];
		return true;
	}
	if (!ref_outer(m, t, va, level, table + (uint64_t)en->index * en->bytes, true, t->outer_writes, false, &address, out))
		return false;
	en->address = address;
	if (!ref_there(m, address)) {
		ref_fail(t, a, out, va, level, false, false);
		return false;
	}
	memcpy(&en->value, m->bytes + address, en->bytes);
	return true;
}

static inline void ref_rights(const struct ref_tables *t, int level, uint64_t e, struct ref_result *out)
{
	struct ref_entry *en = &out->entry[level];

	if (t->kind == REF_EPT) {
		out->r = out->r && ref_bit(e, 0);
		out->w = out->w && ref_bit(e, 1);
		out->x = out->x && ref_bit(e, 2);
	} else if (!(t->kind == REF_PAE && level == 3)) {
		out->w = out->w && ref_bit(e, 1);
		out->u = out->u && ref_bit(e, 2);
		if (t->kind != REF_32BIT && t->nxe)
			out->x = out->x && !ref_bit(e, 63);
	}
	en->r = out->r;
	en->w = out->w;
	en->x = out->x;
	en->u = out->u;
}

/* Set the flags of a walk that succeeds; false: the outer stage does not let the tables be written. */
static inline bool ref_flags(struct ref_memory *m, struct ref_tables *t, uint64_t va, const struct ref_access *a,
			     struct ref_result *out)
{
	const int a_bit = t->kind == REF_EPT ? 8 : 5, d_bit = t->kind == REF_EPT ? 9 : 6;
	int level;

	if (t->kind == REF_EPT && !t->ept_ad)
		return true;
	for (level = t->levels; level >= out->level; level--) {
		struct ref_entry *en = &out->entry[level];
		uint64_t want = en->value, table;

		if (t->kind == REF_PAE && level == 3)
			continue;
		want |= 1ull << a_bit;
		if (level == out->level && a->write)
			want |= 1ull << d_bit;
		if (want == en->value || ref_bit(m->read_only, (int)(en->address / 4096)))
			continue;
		if (t->outer && !t->outer_writes) {
			/* The address of the entry in the terms of these tables. */
			table = level == t->levels ? t->root : out->entry[level + 1].value;
			table = (t->kind == REF_32BIT ? table & 0xfffff000u : table & 0x000ffffffffff000ull) +
				(uint64_t)en->index * en->bytes;
			if (!ref_outer(m, t, va, level, table, true, true, false, &table, out))
				return false;
		}
		/* Through the other stage's flags the bytes may have moved on; only these bits are ours. */
		memcpy(&en->value, m->bytes + en->address, en->bytes);
		en->value |= want;
		memcpy(m->bytes + en->address, &en->value, en->bytes);
	}
	out->not_dirty = !a->write && !ref_bit(out->entry[out->level].value, d_bit);
	return true;
}

static bool ref_walk(struct ref_memory *m, struct ref_tables *t, uint64_t va, const struct ref_access *a,
		     struct ref_result *out)
{
	uint64_t table = t->kind == REF_32BIT ? t->root & 0xfffff000u : t->kind == REF_PAE ? t->root & 0xffffffe0u :
			 t->root & 0x000ffffffffff000ull;
	uint64_t e, size;
	bool by_key;
	int level;

	memset(out, 0, sizeof(*out));
	out->ok = out->r = out->w = out->x = out->u = true;
	/* Nested tables of a hypervisor that is not in long mode have no entries for physical addresses of more bits. */
	if (t->nested_amd && t->kind != REF_LONG && va >> 32)
		return ref_fail(t, a, out, va, t->levels, false, false);
	for (level = t->levels; ; level--) {
		if (!ref_fetch(m, t, va, a, level, table, out))
			return false;
		e = out->entry[level].value;
		if (t->kind == REF_EPT ? !ref_any(e, 2, 0) : !ref_bit(e, 0))
			return ref_fail(t, a, out, va, level, false, false);
		if (ref_reserved(t, level, e))
			return ref_fail(t, a, out, va, level, true, true);
		ref_rights(t, level, e, out);
		if (ref_leaf(t, level, e))
			break;
		table = t->kind == REF_32BIT ? e & 0xfffff000u : e & 0x000ffffffffff000ull;
	}
	out->level = level;
	if (t->kind == REF_LONG && t->pke && !t->nested_amd)
		out->key = (e >> 59) & 15;
	if (!ref_permitted(t, a, out, &by_key)) {
		ref_fail(t, a, out, va, level, true, false);
		out->error |= by_key ? 32 : 0;
		return false;
	}

	size = 1ull << ref_shift(t, level);
	out->before_outer = t->kind == REF_32BIT ? e & 0xfffff000u : e & 0x000ffffffffff000ull;
	if (level > 1)
		out->before_outer &= ~(size - 1);
	if (t->kind == REF_32BIT && level == 2)
		out->before_outer |= ((e >> 13) & 0xff) << 32;
	out->before_outer |= va & (size - 1);
	if (!ref_outer(m, t, va, level, out->before_outer, false, a->write, a->fetch, &out->physical, out))
		return false;
	if (t->kind == REF_EPT && !t->ept_ad)
		return true;
	return ref_flags(m, t, va, a, out);
}

#endif
