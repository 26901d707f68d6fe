/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See oracle.h. */
#include "oracle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "oracle_rules.h"

#define VALUES_MAX	64	/* of one word; older ones are forgotten, and what needs them is not judged */
#define STEPS_MAX	4096	/* of one walk through the past */

struct value {
	uint64_t time, value;
	uint8_t told;		/* of each half: did the MMU hear of it, or of a later one? */
	bool by_mmu;		/* flags that a walk set */
};

struct word {
	struct value *value;	/* oldest first */
	uint16_t count, room;
	bool lost;		/* there were older ones */
};

struct page {
	struct word word[512];
	struct page *next;	/* all there are */
};

struct oracle {
	struct machine_vm *m;
	struct page **page;	/* by page of the host's; NULL: never written */
	struct page *pages;
	uint64_t time, oldest;
	struct oracle_count count;
};

struct oracle *oracle_new(struct machine_vm *m)
{
	struct oracle *o = calloc(1, sizeof(*o));

	if (!o)
		abort();
	o->m = m;
	o->page = calloc(RAM_PAGES, sizeof(*o->page));
	if (!o->page)
		abort();
	return o;
}

void oracle_free(struct oracle *o)
{
	for (struct page *page = o->pages, *next; page; page = next) {
		next = page->next;
		for (unsigned int i = 0; i < 512; i++)
			free(page->word[i].value);
		free(page);
	}
	free(o->page);
	free(o);
}

uint64_t oracle_tick(struct oracle *o) { return ++o->time; }
void oracle_forget_before(struct oracle *o, uint64_t time) { o->oldest = time; }
struct oracle_count oracle_counts(const struct oracle *o) { return o->count; }

/* --- The past of memory ------------------------------------------------------------------------ */

#define BOTH_HALVES 3u

/* The halves that are an entry's at @at. */
static unsigned int halves_of(const struct oracle_tables *t, uint64_t at)
{
	return t->kind != ORACLE_32BIT ? BOTH_HALVES : at & 4 ? 2 : 1;
}

/* First value that counts for who looks back to @since. */
static unsigned int first_since(const struct word *w, uint64_t since, unsigned int halves)
{
	unsigned int i = w->count - 1u;

	while (i && w->value[i].time > since)
		i--;
	while (i && (w->value[i].told & halves) != halves)
		i--;
	return i;
}

static void word_trim(struct word *w, uint64_t oldest)
{
	unsigned int first = first_since(w, oldest, BOTH_HALVES);

	if (!first && w->count == VALUES_MAX) {
		w->lost = true;
		first = 1;
	}
	w->count = (uint16_t)(w->count - first);
	memmove(w->value, w->value + first, w->count * sizeof(*w->value));
}

static void word_add(struct oracle *o, struct word *w, uint64_t value, unsigned int told, bool by_mmu)
{
	if (w->count == w->room && w->count)
		word_trim(w, o->oldest);
	if (w->count == w->room) {
		w->room = w->room ? (uint16_t)(2 * w->room) : 4;
		w->value = realloc(w->value, w->room * sizeof(*w->value));
		if (!w->value)
			abort();
	}
	w->value[w->count++] = (struct value){
		.time = oracle_tick(o), .value = value, .told = (uint8_t)told, .by_mmu = by_mmu,
	};
	if (w->count > o->count.most_values)
		o->count.most_values = w->count;
}

static void store(char *at, uint64_t value, unsigned int bytes)
{
	if (bytes == 8 && !((uintptr_t)at & 7))
		__atomic_store_n((uint64_t *)at, value, __ATOMIC_SEQ_CST);
	else if (bytes == 4 && !((uintptr_t)at & 3))
		__atomic_store_n((uint32_t *)at, (uint32_t)value, __ATOMIC_SEQ_CST);
	else
		for (unsigned int i = 0; i < bytes; i++)
			__atomic_store_n(at + i, (char)(value >> (8 * i)), __ATOMIC_SEQ_CST);
}

static uint64_t load(const void *at)
{
	return __atomic_load_n((const uint64_t *)at, __ATOMIC_SEQ_CST);
}

void oracle_start_page(struct oracle *o, uint64_t page)
{
	if (o->page[page])
		return;
	o->page[page] = calloc(1, sizeof(**o->page));
	if (!o->page[page])
		abort();
	o->page[page]->next = o->pages;
	o->pages = o->page[page];
}

void oracle_store(struct oracle *o, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes, bool told)
{
	char *content = machine_ram_content(&o->m->ram, page);
	unsigned int first = offset / 8, last = (offset + bytes - 1) / 8;

	o->count.stores++;
	oracle_start_page(o, page);
	for (unsigned int i = first; i <= last; i++)
		if (!o->page[page]->word[i].count)
			word_add(o, &o->page[page]->word[i], load(content + 8 * i), BOTH_HALVES, false);
	store(content + offset, value, bytes);
	for (unsigned int i = first; i <= last; i++) {
		struct word *w = &o->page[page]->word[i];
		unsigned int halves = w->value[w->count - 1].told;

		/* Of what is written in part the rest still is what a device made of it. */
		for (unsigned int half = 0; half < 2; half++) {
			unsigned int start = 8 * i + 4 * half;

			if (!told && offset < start + 4 && offset + bytes > start)
				halves &= ~(1u << half);
			else if (told && offset <= start && offset + bytes >= start + 4)
				halves |= 1u << half;
		}
		word_add(o, w, load(content + 8 * i), halves, false);
	}
}

void oracle_told(struct oracle *o, uint64_t page, unsigned int offset, unsigned int bytes, uint64_t began)
{
	for (unsigned int i = offset / 8; i <= (offset + bytes - 1) / 8; i++) {
		struct word *w = &o->page[page]->word[i];
		const struct value *last = &w->value[w->count - 1];
		unsigned int halves = last->told;

		if (last->time > began)
			continue;
		for (unsigned int half = 0; half < 2; half++)
			if (offset < 8 * i + 4 * half + 4 && offset + bytes > 8 * i + 4 * half)
				halves |= 1u << half;
		/*
		 * The same value again, from now on: whoever flushed before this moment may still have the one before.
		 */
		word_add(o, w, last->value, halves, false);
	}
}

void oracle_flags_set(struct oracle *o, uint64_t page, unsigned int offset)
{
	struct word *w = o->page[page] ? &o->page[page]->word[offset / 8] : NULL;

	if (w && w->count)
		word_add(o, w, load((char *)machine_ram_content(&o->m->ram, page) + (offset & ~7u)),
			 w->value[w->count - 1].told, true);
}

/* The page of the host's behind @gfn. Return: false where no memory is. */
static bool page_behind(struct oracle *o, int space, uint64_t gfn, uint64_t *page)
{
	struct vmmu_slot *slot = machine_slot_at(o->m, space, gfn);

	if (!slot || slot->invalid)
		return false;
	*page = machine_slot_page(slot, gfn);
	return true;
}

/* --- Now ---------------------------------------------------------------------------------------- */

static struct oracle_now refuse(const struct oracle_tables *t, const struct oracle_access *a, const struct rights *r,
				bool present, bool reserved)
{
	struct oracle_now now = { .ok = false };
	bool tells_fetch = t->kind == ORACLE_EPT || t->smep || (t->kind != ORACLE_32BIT && t->nxe);

	now.error = (present ? 1u : 0) | (a->write ? 2u : 0) | (a->user || t->nested_amd ? 4u : 0) |
		    (reserved ? 8u : 0) | (a->fetch && tells_fetch ? 16u : 0);
	if (t->kind != ORACLE_EPT)
		return now;
	now.misconfig = reserved;
	now.qualification = (uint8_t)(((!a->write && !a->fetch) || a->also_read ? 1 : 0) | (a->write ? 2 : 0) |
				      (a->fetch ? 4 : 0));
	if (present && !reserved)
		now.qualification |= (uint8_t)((r->read ? 8 : 0) | (r->write ? 16 : 0) | (r->exec ? 32 : 0));
	return now;
}

/* The slot behind @at, which the outer tables let be read. */
static struct vmmu_slot *slot_behind(struct oracle *o, const struct oracle_tables *t, uint64_t at)
{
	const struct oracle_access read = { .user = true };
	struct oracle_now now = oracle_walk(o, t->outer, at, &read);

	return now.ok ? machine_slot_at(o->m, t->space, now.gfn) : NULL;
}

/* @at through the outer tables, if there are any. Return: false with *@now if they refuse. */
static bool through_outer(struct oracle *o, const struct oracle_tables *t, uint64_t *at, const struct oracle_access *a,
			  enum oracle_stage stage, struct oracle_now *now)
{
	struct oracle_access outer = { .write = a->write, .fetch = a->fetch, .user = true };

	if (!t->outer)
		return true;
	if (stage == ORACLE_OUTER_TABLE)
		outer = (struct oracle_access){ .write = t->outer_writes, .also_read = t->outer_writes, .user = true };
	*now = oracle_walk(o, t->outer, *at, &outer);
	now->stage = stage;
	if (now->ok)
		*at = now->gfn << 12 | (*at & 0xfff);
	return now->ok;
}

/* One entry as it is. Return: false where no memory is, or with *@now if the outer tables refuse. */
static bool entry_now(struct oracle *o, const struct oracle_tables *t, int level, uint64_t table, uint64_t addr,
		      uint64_t *e, struct oracle_now *now)
{
	unsigned int i = index_of(t, level, addr), bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t at = table + (uint64_t)i * bytes, page;
	const struct oracle_access read = { .write = false };

	if (t->kind == ORACLE_PAE && level == 3 && !t->pdpte_in_memory) {
		*e = t->pdpte[i];
		return true;
	}
	if (!through_outer(o, t, &at, &read, ORACLE_OUTER_TABLE, now) || !page_behind(o, t->space, at >> 12, &page))
		return false;
	*e = load((char *)machine_ram_content(&o->m->ram, page) + (at & 0xff8));
	if (bytes == 4)
		*e = at & 4 ? *e >> 32 : *e & 0xffffffffu;
	return true;
}

/* The frame that the tables give, through the outer ones. */
static struct oracle_now finish(struct oracle *o, const struct oracle_tables *t, uint64_t gfn,
				const struct oracle_access *a, const struct rights *r)
{
	uint64_t at = gfn << 12;
	struct oracle_now now;

	if (!through_outer(o, t, &at, a, ORACLE_OUTER_FINAL, &now))
		return now;
	return (struct oracle_now){
		.ok = true, .gfn = at >> 12, .read = r->read, .write = r->write, .user = r->user, .exec = r->exec,
	};
}

/*
 * Reading the entries was no write to the outer tables: setting their flags is. All of them can be read, down to level
 * @last. *@now becomes what the outer tables say if they refuse.
 */
static void flags_are_refused(struct oracle *o, const struct oracle_tables *t, uint64_t addr,
			      const struct oracle_access *a, int last, struct oracle_now *now)
{
	/* The CPU reads the entry and writes it back in one access. */
	const struct oracle_access write = { .write = true, .also_read = true, .user = true };
	uint64_t table = root_of(t), e;
	struct oracle_now outer;

	for (int level = t->levels; level >= last; level--, table = table_of(t, e)) {
		uint64_t at = table + (uint64_t)index_of(t, level, addr) * (t->kind == ORACLE_32BIT ? 4 : 8);
		struct vmmu_slot *slot;

		if (!entry_now(o, t, level, table, addr, &e, &outer))
			return;
		if ((t->kind == ORACLE_PAE && level == 3) || (bit(e, 5) && (level > last || !a->write || bit(e, 6))))
			continue;
		outer = oracle_walk(o, t->outer, at, &write);
		slot = outer.ok ? NULL : slot_behind(o, t, at);
		if (!outer.ok && slot && !slot->read_only) {
			*now = outer;
			now->stage = ORACLE_OUTER_TABLE;
			return;
		}
	}
}

struct oracle_now oracle_walk(struct oracle *o, const struct oracle_tables *t, uint64_t addr,
			      const struct oracle_access *a)
{
	struct rights r = { true, true, true, true };
	uint64_t table = root_of(t), e;
	struct oracle_now now;
	int level = t->levels;

	if (t->kind == ORACLE_NO_PAGING)
		return finish(o, t, addr >> 12, a, &r);
	if (is_too_wide(t, addr))
		return refuse(t, a, &r, false, false);
	for (;; level--, table = table_of(t, e)) {
		struct oracle_now outer = { .ok = true };

		if (!entry_now(o, t, level, table, addr, &e, &outer))
			return outer.ok ? refuse(t, a, &r, false, false) : outer;
		if (!is_present(t, e))
			return refuse(t, a, &r, false, false);
		if (has_reserved(t, level, e))
			return refuse(t, a, &r, true, true);
		narrow(t, level, e, &r);
		if (is_leaf(t, level, e))
			break;
	}
	if (!permitted(t, a, &r))
		return refuse(t, a, &r, true, false);
	now = finish(o, t, leaf_gfn(t, level, e, addr), a, &r);
	if (now.ok && t->outer && !t->outer_writes)
		flags_are_refused(o, t, addr, a, level, &now);
	return now;
}

/* --- The past ----------------------------------------------------------------------------------- */

struct search {
	struct oracle *o;
	const struct oracle_tables *t;
	const struct oracle_access *a;	/* NULL: whatever access */
	uint64_t addr, since;
	uint64_t page;			/* wanted: a page of the host's, or with by_gfn a frame of the guest's */
	bool by_gfn;
	unsigned int steps;
	bool lost;			/* what would be needed is forgotten */
};

static bool search_leaf(struct search *s, int level, uint64_t e, const struct rights *r)
{
	uint64_t gfn = leaf_gfn(s->t, level, e, s->addr), page;

	if (s->a && !permitted(s->t, s->a, r))
		return false;
	if (s->by_gfn)
		return gfn == s->page;
	return page_behind(s->o, s->t->space, gfn, &page) && page == s->page;
}

static bool search_below(struct search *s, int level, uint64_t table, struct rights r);

static bool search_entry(struct search *s, int level, uint64_t e, struct rights r)
{
	if (++s->steps > STEPS_MAX) {
		s->lost = true;
		return true;
	}
	if (!is_present(s->t, e) || has_reserved(s->t, level, e))
		return false;
	narrow(s->t, level, e, &r);
	if (is_leaf(s->t, level, e))
		return search_leaf(s, level, e, &r);
	return search_below(s, level - 1, table_of(s->t, e), r);
}

/* A and D flags make no difference here, and are set by the MMU as well. */
static uint64_t without_flags(const struct oracle_tables *t, uint64_t e)
{
	return e & ~(t->kind == ORACLE_EPT ? 0x300ull : 0x60ull);
}

static uint64_t part_of(const struct oracle_tables *t, uint64_t at, uint64_t word)
{
	if (t->kind != ORACLE_32BIT)
		return word;
	return at & 4 ? word >> 32 : word & 0xffffffffu;
}

static bool search_below(struct search *s, int level, uint64_t table, struct rights r)
{
	unsigned int i = index_of(s->t, level, s->addr), bytes = s->t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t at = table + (uint64_t)i * bytes, page, before = 0;
	const struct word *w;
	unsigned int first;

	if (s->t->kind == ORACLE_PAE && level == 3 && !s->t->pdpte_in_memory)
		return search_entry(s, level, s->t->pdpte[i], r);
	if (!page_behind(s->o, s->t->space, at >> 12, &page))
		return false;
	w = s->o->page[page] ? &s->o->page[page]->word[(at & 0xfff) / 8] : NULL;
	if (!w || !w->count)
		return search_entry(s, level, part_of(s->t, at, load((char *)machine_ram_content(&s->o->m->ram, page) +
								     (at & 0xff8))), r);
	first = first_since(w, s->since, halves_of(s->t, at));
	if (w->lost && !first && w->value[0].time > s->since) {
		s->lost = true;
		return true;
	}
	for (unsigned int n = first; n < w->count; n++) {
		uint64_t e = without_flags(s->t, part_of(s->t, at, w->value[n].value));

		if (n != first && e == before)
			continue;
		before = e;
		if (search_entry(s, level, e, r))
			return true;
	}
	return false;
}

static bool search(struct search *s)
{
	struct rights all = { true, true, true, true };
	bool found;

	s->o->count.checks++;
	if (s->t->kind == ORACLE_NO_PAGING)
		return s->by_gfn ? s->addr >> 12 == s->page :
				   page_behind(s->o, s->t->space, s->addr >> 12, &s->since) && s->since == s->page;
	if (is_too_wide(s->t, s->addr))
		return false;
	found = search_below(s, s->t->levels, root_of(s->t), all);
	s->o->count.given_up += s->lost;
	return found;
}

bool oracle_allows(struct oracle *o, const struct oracle_tables *t, uint64_t addr, const struct oracle_access *a,
		   uint64_t page, uint64_t since)
{
	return search(&(struct search){ .o = o, .t = t, .a = a, .addr = addr, .since = since, .page = page });
}

bool oracle_allows_gfn(struct oracle *o, const struct oracle_tables *t, uint64_t addr, uint64_t gfn, uint64_t since)
{
	return search(&(struct search){ .o = o, .t = t, .addr = addr, .since = since, .page = gfn, .by_gfn = true });
}

/* Has nobody but walks, which set flags, written the word at @at? */
static bool is_settled(struct oracle *o, const struct oracle_tables *t, uint64_t page, uint64_t at, uint64_t since)
{
	const struct word *w = o->page[page] ? &o->page[page]->word[(at & 0xfff) / 8] : NULL;
	unsigned int first;

	if (!w || !w->count)
		return true;
	first = first_since(w, since, halves_of(t, at));
	/* To another kind of table's walks other bits are flags. */
	for (unsigned int n = first + 1; n < w->count; n++)
		if (!w->value[n].by_mmu || without_flags(t, part_of(t, at, w->value[n].value)) !=
						   without_flags(t, part_of(t, at, w->value[first].value)))
			return false;
	return (w->value[first].told & halves_of(t, at)) == halves_of(t, at) &&
	       !(w->lost && !first && w->value[0].time > since);
}

bool oracle_flags_are_set(struct oracle *o, const struct oracle_tables *t, uint64_t addr,
			  const struct oracle_access *a, uint64_t since)
{
	int accessed = t->kind == ORACLE_EPT ? 8 : 5, dirty = t->kind == ORACLE_EPT ? 9 : 6, level = t->levels;
	unsigned int bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t table = root_of(t), e;
	bool all_set = true;

	if (t->kind == ORACLE_NO_PAGING || (t->kind == ORACLE_EPT && !t->ept_ad))
		return true;
	for (;; level--, table = table_of(t, e)) {
		uint64_t at = table + (uint64_t)index_of(t, level, addr) * bytes, page;
		bool in_register = t->kind == ORACLE_PAE && level == 3 && !t->pdpte_in_memory;
		struct vmmu_slot *slot;

		if (!entry_now(o, t, level, table, addr, &e, NULL) || !is_present(t, e) || has_reserved(t, level, e))
			return true;
		if (in_register)
			continue;
		if (!page_behind(o, t->space, at >> 12, &page) || !is_settled(o, t, page, at, since))
			return true;
		slot = machine_slot_at(o->m, t->space, at >> 12);
		/* PAE's uppermost entries have no flags; memory that the guest can only read keeps them as they are. */
		if (!(t->kind == ORACLE_PAE && level == 3) && !slot->read_only)
			all_set &= bit(e, accessed) && (!a->write || !is_leaf(t, level, e) || bit(e, dirty));
		if (is_leaf(t, level, e))
			break;
	}
	o->count.flags++;
	return all_set;
}

bool oracle_is_settled(struct oracle *o, const struct oracle_tables *t, uint64_t addr, uint64_t since)
{
	unsigned int bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t table = root_of(t), e;

	if (t->kind == ORACLE_NO_PAGING)
		return true;
	for (int level = t->levels;; level--, table = table_of(t, e)) {
		uint64_t at = table + (uint64_t)index_of(t, level, addr) * bytes, page;
		bool in_register = t->kind == ORACLE_PAE && level == 3 && !t->pdpte_in_memory;

		if (!in_register && (!page_behind(o, t->space, at >> 12, &page) || !is_settled(o, t, page, at, since)))
			return false;
		if (!entry_now(o, t, level, table, addr, &e, NULL) || !is_present(t, e) || has_reserved(t, level, e))
			return false;
		if (is_leaf(t, level, e))
			return true;
	}
}

static void explain_word(const struct oracle *o, uint64_t page, uint64_t at)
{
	const struct word *w = o->page[page] ? &o->page[page]->word[(at & 0xfff) / 8] : NULL;

	for (unsigned int n = 0; w && n < w->count; n++)
		fprintf(stderr, "    since %llu%s %#llx\n", (unsigned long long)w->value[n].time,
			w->value[n].by_mmu ? " (flags)" : w->value[n].told == BOTH_HALVES ? "" : " (untold)",
			(unsigned long long)w->value[n].value);
}

void oracle_explain(struct oracle *o, const struct oracle_tables *t, uint64_t addr, uint64_t since)
{
	unsigned int bytes = t->kind == ORACLE_32BIT ? 4 : 8;
	uint64_t table = root_of(t), e, page;

	fprintf(stderr, "  address %#llx, flushed last at %llu, now %llu\n", (unsigned long long)addr,
		(unsigned long long)since, (unsigned long long)o->time);
	for (int level = t->levels; level && t->kind != ORACLE_NO_PAGING; level--, table = table_of(t, e)) {
		uint64_t at = table + (uint64_t)index_of(t, level, addr) * bytes;

		if (!entry_now(o, t, level, table, addr, &e, NULL))
			return;
		fprintf(stderr, "  level %d, entry at %#llx: %#llx\n", level, (unsigned long long)at,
			(unsigned long long)e);
		if (page_behind(o, t->space, at >> 12, &page))
			explain_word(o, page, at);
		if (!is_present(t, e) || is_leaf(t, level, e))
			return;
	}
}
