/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Entries of guest tables, as the manuals have them. For oracle.c. */
#ifndef MACHINE_ORACLE_RULES_H
#define MACHINE_ORACLE_RULES_H

#include "oracle.h"

static bool bit(uint64_t value, int n) { return (value >> n) & 1; }

/* Is any of bits @high to @low set? */
static bool any(uint64_t value, int high, int low)
{
	return high >= low && (value >> low) & ((2ull << (high - low)) - 1);
}

static int shift_of(const struct oracle_tables *t, int level)
{
	return 12 + (t->kind == ORACLE_32BIT ? 10 : 9) * (level - 1);
}

static bool is_leaf(const struct oracle_tables *t, int level, uint64_t e)
{
	if (level == 1)
		return true;
	if (!bit(e, 7))
		return false;
	switch (t->kind) {
	case ORACLE_32BIT:
		return t->pse;
	case ORACLE_PAE:
		return level == 2;
	default:
		return level <= 3;
	}
}

static bool is_present(const struct oracle_tables *t, uint64_t e)
{
	return t->kind == ORACLE_EPT ? any(e, 2, 0) : bit(e, 0);
}

static bool misconfigured(const struct oracle_tables *t, int level, uint64_t e)
{
	unsigned int type = (e >> 3) & 7;

	if ((bit(e, 1) && !bit(e, 0)) || (bit(e, 2) && !bit(e, 0) && !t->exec_only) || any(e, 51, t->width))
		return true;
	if (level > 3)
		return any(e, 7, 3);
	if (!is_leaf(t, level, e))
		return any(e, 6, 3);
	return level > t->ept_largest || type == 2 || type == 3 || type == 7 ||
	       (level > 1 && any(e, shift_of(t, level) - 1, 12));
}

static bool reserved_32bit(const struct oracle_tables *t, int level, uint64_t e)
{
	if (level == 1 || !is_leaf(t, level, e))
		return false;
	/* Bits 20:13 are address bits 39:32. */
	for (int n = 13; n <= 20; n++)
		if (bit(e, n) && 32 + n - 13 >= t->width)
			return true;
	return bit(e, 21);
}

static bool has_reserved(const struct oracle_tables *t, int level, uint64_t e)
{
	if (t->kind == ORACLE_EPT)
		return misconfigured(t, level, e);
	if (t->kind == ORACLE_32BIT)
		return reserved_32bit(t, level, e);
	if (any(e, 51, t->width) || (!t->nxe && bit(e, 63)))
		return true;
	if (t->kind == ORACLE_PAE && any(e, 62, 52))
		return true;
	if (t->kind == ORACLE_PAE && level == 3)
		return bit(e, 63) || any(e, 8, 5) || any(e, 2, 1);
	if (level >= 4)
		return bit(e, 7) || (t->amd && bit(e, 8));
	if (level == 3 && bit(e, 7) && !t->gb)
		return true;
	return level > 1 && is_leaf(t, level, e) && any(e, shift_of(t, level) - 1, 13);
}

/* Rights from the root down to an entry. */
struct rights {
	bool read, write, user, exec;
};

static void narrow(const struct oracle_tables *t, int level, uint64_t e, struct rights *r)
{
	if (t->kind == ORACLE_EPT) {
		r->read &= bit(e, 0);
		r->write &= bit(e, 1);
		r->exec &= bit(e, 2);
	} else if (!(t->kind == ORACLE_PAE && level == 3)) {
		r->write &= bit(e, 1);
		r->user &= bit(e, 2);
		if (t->kind != ORACLE_32BIT && t->nxe)
			r->exec &= !bit(e, 63);
	}
}

static bool permitted(const struct oracle_tables *t, const struct oracle_access *a, const struct rights *r)
{
	bool user = a->user || t->nested_amd;

	if (t->kind == ORACLE_EPT)
		return (!a->write || r->write) && (!a->fetch || r->exec) &&
		       (((a->write || a->fetch) && !a->also_read) || r->read);
	if (t->kind == ORACLE_NO_PAGING)
		return true;
	if ((user && !r->user) || (a->write && !r->write && (user || t->wp)) || (a->fetch && !r->exec))
		return false;
	if (!user && r->user && a->fetch && t->smep)
		return false;
	return user || !r->user || a->fetch || !t->smap || (a->ac && !a->implicit);
}

static uint64_t table_of(const struct oracle_tables *t, uint64_t e)
{
	return t->kind == ORACLE_32BIT ? e & 0xfffff000u : e & 0x000ffffffffff000ull;
}

static uint64_t root_of(const struct oracle_tables *t)
{
	return t->kind == ORACLE_32BIT ? t->root & 0xfffff000u :
	       t->kind == ORACLE_PAE ? t->root & 0xffffffe0u : t->root & 0x000ffffffffff000ull;
}

static unsigned int index_of(const struct oracle_tables *t, int level, uint64_t addr)
{
	unsigned int entries = t->kind == ORACLE_32BIT ? 1024 : t->kind == ORACLE_PAE && level == 3 ? 4 : 512;

	return (unsigned int)(addr >> shift_of(t, level)) % entries;
}

static uint64_t leaf_gfn(const struct oracle_tables *t, int level, uint64_t e, uint64_t addr)
{
	uint64_t inside = (1ull << shift_of(t, level)) - 1, base = table_of(t, e) & ~inside;

	if (t->kind == ORACLE_32BIT && level == 2)
		base |= ((e >> 13) & 0xff) << 32;
	return (base | (addr & inside)) >> 12;
}

/* Addresses beyond what a kind of table translates. */
static bool is_too_wide(const struct oracle_tables *t, uint64_t addr)
{
	return (t->kind == ORACLE_32BIT || t->kind == ORACLE_PAE) && addr >> 32;
}

#endif
