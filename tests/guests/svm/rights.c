// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Nested tables, entry by entry: each bit at each level under each access. Rights go with a flush, in every way there
 * is to flush, and come back without one.
 */
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "setting.h"

enum where { ANYWHERE, LEAF, LARGE_LEAF };

struct change {
	const char *name;
	u64 set, clear;
	enum where where;
};

static const struct change changes[] = {
	{ "as it was", 0, 0, LEAF },
	{ "absent", 0, ENTRY_P, ANYWHERE },
	{ "absent, all else set", ~(ENTRY_ADDRESS | ENTRY_LARGE), ENTRY_P, ANYWHERE },
	{ "read-only", 0, ENTRY_W, ANYWHERE },
	{ "supervisor's", 0, ENTRY_U, ANYWHERE },
	{ "nothing but present", 0, ENTRY_W | ENTRY_U, ANYWHERE },
	{ "no-execute", ENTRY_NX, 0, ANYWHERE },
	{ "no-execute, read-only", ENTRY_NX, ENTRY_W, ANYWHERE },
	{ "accessed", ENTRY_A, 0, ANYWHERE },
	{ "dirty", ENTRY_A | ENTRY_D, 0, LEAF },
	{ "not accessed", 0, ENTRY_A | ENTRY_D, ANYWHERE },
	{ "not dirty", 0, ENTRY_D, LEAF },
	{ "available bits", 7u << 9, 0, ANYWHERE },
	{ "ignored bits", 0x7full << 52, 0, ANYWHERE },
	{ "cache", 3u << 3, 0, ANYWHERE },
	{ "bit 51", BIT(51), 0, ANYWHERE },
	{ "lowest bit of no address", 0, 0, ANYWHERE },		/* filled in: the CPU says which */
	{ "bit 13", BIT(13), 0, LARGE_LEAF },
	{ "bit 20", BIT(20), 0, LARGE_LEAF },
	{ "bit 21", BIT(21), 0, LARGE_LEAF },
	{ "large", ENTRY_LARGE, 0, ANYWHERE },
};

static u64 bits_set(const struct change *c)
{
	return c->set || c->clear || c->where == LEAF ? c->set : BIT(cpu_address_bits());
}

/* Does a change mean anything at this level of this format? */
static bool applies(const struct setting *s, const struct change *c, int level, int leaf)
{
	const u64 harmless = 7ull << 9 | 3u << 3 | ENTRY_A | 0x7full << 52;
	u64 set = bits_set(c);

	/* The guest's code and tables are below the same entries: they would fault first. */
	if (level > 3 && ((c->clear & ~(u64)(ENTRY_A | ENTRY_D)) || (set & ~harmless)))
		return false;
	if ((c->where != ANYWHERE && level != leaf) || (c->where == LARGE_LEAF && level == 1))
		return false;
	/* The bit of large pages is PAT in small ones, and there in large ones. */
	if (c->set == ENTRY_LARGE && (level == leaf || s->nested.format == NESTED_32))
		return false;
	/* Part of the address. */
	if ((c->set == BIT(21)) != (s->nested.format == NESTED_32) && c->where == LARGE_LEAF)
		return false;
	if (s->nested.format == NESTED_32 && set && !(set & 0xffffffff))
		return false;
	/* Its highest table has entries of another kind. */
	return s->nested.format != NESTED_PAE || level < 3 || c->clear == ENTRY_P;
}

/* Entries from the top to a leaf, with every right, never used. */
static void restore(struct setting *s, u64 gpa, int leaf)
{
	for (int level = s->nested.levels; level > leaf; level--) {
		u64 entry = nested_get(&s->nested, gpa, level);

		if (entry && (s->nested.format != NESTED_PAE || level < 3))
			nested_set(&s->nested, gpa, level, entry & ~(u64)(ENTRY_A | ENTRY_D));
	}
	nested_map(&s->nested, gpa, (gpa - L2_TEST) & ~(BIT(nested_shift(&s->nested, leaf)) - 1), leaf, ENTRY_ALL);
}

/* No walk that touches one page may mark another. */
static void check_neighbours(struct setting *s, u64 gpa, const char *what)
{
	for (int i = 1; i < 8; i++) {
		u64 entry = nested_get(&s->nested, gpa + i * PAGE_BYTES, 1);

		if (entry & (ENTRY_A | ENTRY_D))
			report_wrong("%s: the page %d further on is marked, %lx", what, i, entry);
	}
}

static void run_change(struct setting *s, const struct change *c, int level, int leaf, enum access access, u64 gpa)
{
	static unsigned int how;
	char what[100];
	u64 good, bad;

	print_to(what, sizeof(what), "%s at level %d", c->name, level);
	restore(s, gpa, leaf);
	for (int i = 1; i < 8 && leaf == 1; i++)
		nested_map(&s->nested, gpa + i * PAGE_BYTES, gpa - L2_TEST + i * PAGE_BYTES, 1, ENTRY_ALL);
	setting_flush(s, how++, gpa);
	setting_check(s, access, gpa, "before");

	good = nested_get(&s->nested, gpa, level);
	/* By chance the table is where a large page may be. */
	if (c->set == ENTRY_LARGE && level == 2 && !(good & 0x1fe000))
		return;
	bad = (good | bits_set(c)) & ~c->clear;
	if (s->nested.format == NESTED_32)
		bad &= 0xffffffff;
	nested_set(&s->nested, gpa, level, bad);
	setting_flush(s, how++, gpa);
	setting_check(s, access, gpa, what);

	nested_set(&s->nested, gpa, level, good);
	setting_check(s, access, gpa, "restored");
	if (leaf == 1)
		check_neighbours(s, gpa, what);
}

static void run_leaf(struct setting *s, int leaf)
{
	uptr frames = setting_frames();
	u64 gpa = L2_TEST + frames;

	for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++)
		for (int level = s->nested.levels; level >= leaf; level--)
			for (enum access a = 0; applies(s, &changes[i], level, leaf) && a < ACCESSES; a++)
				run_change(s, &changes[i], level, leaf, a, gpa);
	nested_set(&s->nested, gpa, leaf, 0);
	setting_flush(s, 0, gpa);
}

void test_rights(struct setting *s)
{
	static const char *const sizes[] = { "", "small", "large", "huge" };
	int largest = s->nested.format >= NESTED_4 && cpu_has_1g() ? 3 : 2;
	char name[80];

	if (option("short") && (s->nested.format != NESTED_4 || s->l2.own.root))
		largest = 1;
	/* A large one last: it drops the tables below it. */
	for (int leaf = 1; leaf <= largest; leaf++) {
		print_to(name, sizeof(name), "rights, %s, %s pages", s->name, sizes[leaf]);
		report_begin(name);
		run_leaf(s, leaf);
		report_end();
	}
}
