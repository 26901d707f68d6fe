// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Nested tables changed at random under random accesses: leaves, tables above them, large pages in their place. What
 * takes something away is followed by a flush before the next access, what only gives is not.
 */
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "setting.h"

enum { PAGES = 16, TABLES = 2, FRAMES = 32 };

struct random {
	struct setting *s;
	u64 state;
	bool stale;			/* something was taken away since the last flush */
	u64 tables[TABLES];		/* entries that lead to the tables of small pages */
};

static u32 draw(struct random *r, u32 below)
{
	r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(r->state >> 33) % below;
}

/* The first address under a table; a large page can map the frames there to themselves. */
static u64 base_of(struct random *r, int table)
{
	return L2_TEST + setting_frames() + ((u64)table << nested_shift(&r->s->nested, 2));
}

static u64 draw_rights(struct random *r)
{
	static const u64 kinds[] = {
		ENTRY_ALL, ENTRY_ALL, ENTRY_ALL, ENTRY_USED, ENTRY_ALL | ENTRY_A, ENTRY_P | ENTRY_U, ENTRY_P | ENTRY_W,
		ENTRY_P | ENTRY_U | ENTRY_A, ENTRY_ALL | ENTRY_NX, ENTRY_P | ENTRY_U | ENTRY_NX, 0, ENTRY_W | ENTRY_U,
	};
	u64 rights = kinds[draw(r, ARRAY_SIZE(kinds))];

	return r->s->nested.format == NESTED_32 ? rights & 0xffffffff : rights;
}

/* Does an entry that changed leave anything in a TLB that it does not say any more? */
static bool takes(u64 before, u64 after)
{
	u64 kept = ENTRY_P | ENTRY_W | ENTRY_U | ENTRY_A | ENTRY_D;

	if (!(before & ENTRY_P))
		return false;
	return ((before ^ after) & ENTRY_ADDRESS) || (before & ~after & kept) || (~before & after & ENTRY_NX) ||
	       ((before ^ after) & ENTRY_LARGE);
}

static void change(struct random *r, u64 address, int level, u64 entry)
{
	r->stale |= takes(nested_get(&r->s->nested, address, level), entry);
	nested_set(&r->s->nested, address, level, entry);
}

static bool is_large(struct random *r, int table)
{
	return nested_get(&r->s->nested, base_of(r, table), 2) & ENTRY_LARGE;
}

static void change_leaf(struct random *r, int table, int page)
{
	u64 frame = setting_frames() + draw(r, FRAMES) * PAGE_BYTES;

	if (!is_large(r, table) && nested_get(&r->s->nested, base_of(r, table), 2) & ENTRY_ADDRESS)
		change(r, base_of(r, table) + page * PAGE_BYTES, 1, frame | draw_rights(r));
}

static void change_table(struct random *r, int table)
{
	u64 base = base_of(r, table);
	u64 entry = nested_get(&r->s->nested, base, 2);
	u64 large = base_of(r, 0) - L2_TEST;

	switch (draw(r, 4)) {
	case 0:
		change(r, base, 2, large | ENTRY_LARGE | draw_rights(r));
		break;
	case 1:
		if (!is_large(r, table))
			change(r, base, 2, (entry & ENTRY_ADDRESS) | (draw_rights(r) & ~(u64)ENTRY_D));
		break;
	default:
		change(r, base, 2, r->tables[table]);
	}
}

static void step(struct random *r, unsigned int number)
{
	int table = draw(r, TABLES), page = draw(r, PAGES);
	u64 gpa = base_of(r, table) + page * PAGE_BYTES;
	char what[40];

	switch (draw(r, 8)) {
	case 0:
	case 1:
		change_leaf(r, table, page);
		break;
	case 2:
		change_table(r, table);
		break;
	default:
		if (r->stale)
			setting_flush(r->s, draw(r, 5), gpa);
		r->stale = false;
		print_to(what, sizeof(what), "step %u", number);
		setting_check(r->s, draw(r, ACCESSES), gpa, what);
	}
}

void test_random(struct setting *s)
{
	struct random r = { .s = s, .state = option_number("seed", 1) };
	unsigned int steps = option_number("steps", 1000);
	char name[100];

	print_to(name, sizeof(name), "random, %s", s->name);
	for (int table = 0; table < TABLES; table++) {
		for (int page = 0; page < PAGES; page++)
			nested_map(&s->nested, base_of(&r, table) + page * PAGE_BYTES,
				   setting_frames() + page * PAGE_BYTES, 1, ENTRY_ALL);
		nested_set(&s->nested, base_of(&r, table), 2, nested_get(&s->nested, base_of(&r, table), 2) | ENTRY_A);
		r.tables[table] = nested_get(&s->nested, base_of(&r, table), 2);
	}
	setting_flush(s, 0, L2_TEST);
	report_begin(name);
	for (unsigned int i = 0; i < steps && report_wrongs() < 5; i++)
		step(&r, i);
	report_end();
}
