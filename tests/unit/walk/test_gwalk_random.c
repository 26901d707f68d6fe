/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/*
 * Random tables, random settings, random accesses: the walk and the reference walker agree on the result, on the
 * fault and its stage, on every step, and on every byte of memory afterwards. One and two stages, all formats.
 *
 * VMMU_SEED=n in the environment starts elsewhere; a failure prints the seed of its case, which replays it alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vmmu/host.h>
#include <vmmu/walk.h>
#include "refwalk.h"

#define INNER_PAGES 16u		/* tables under test; the outer stage has the pages above */
#define OUTER_ROOT 16u
#define WALKS_PER_MEMORY 60

static struct gmem mem;
static struct ref_memory ref_mem;
static uint8_t ref_bytes[sizeof(mem.bytes)];

static struct ref_tables inner, outer;
static uint64_t pdpte[4];
static struct vmmu_mode mode, outer_mode;
static uint64_t seed, case_seed;

/* What has been seen, so that a test which stops reaching its subject fails. */
enum seen {
	SEEN_OK, SEEN_LARGE, SEEN_ABSENT, SEEN_RESERVED, SEEN_DENIED, SEEN_KEY, SEEN_OUTER_TABLE, SEEN_OUTER_FINAL,
	SEEN_MISCONFIG, SEEN_FLAGS, SEEN_RACE, SEEN_CLEAN, SEEN_HIGH, SEEN_NR
};
static unsigned long seen[SEEN_NR];

static uint64_t rnd(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* True in @percent of a hundred cases. */
static bool often(unsigned int percent)
{
	return rnd() % 100 < percent;
}

static uint64_t bit_often(int bit, unsigned int percent)
{
	return often(percent) ? 1ull << bit : 0;
}

static uint64_t random_page(void)
{
	return often(97) ? rnd() % INNER_PAGES : 40 + rnd() % 8;
}

static uint64_t random_legacy(const struct ref_tables *t)
{
	uint64_t e = bit_often(0, 94) | bit_often(1, 85) | bit_often(2, 85) | bit_often(5, 50) | bit_often(6, 40) |
		     bit_often(7, 12) | (rnd() & 0xf18 & rnd());

	e |= random_page() << 12;
	if (t->kind == REF_32BIT) {
		if (ref_bit(e, 7) && often(80))
			e = (e & 0xfff) | (rnd() & 0xffc00000u) | (rnd() & rnd() & 0x001fe000u);
		return (uint32_t)(often(98) ? e : e ^ 1ull << rnd() % 32);
	}
	if (ref_bit(e, 7)) {
		/* Without its low address bits, so that a large page has no reserved bit; sometimes high ones. */
		e &= often(80) ? ~0x3fffe000ull : ~0ull;
		e |= often(30) ? rnd() & 0xfc0000000ull : 0;
	}
	if (t->nxe)
		e |= bit_often(63, 12);
	if (t->kind == REF_LONG)
		e |= rnd() & 0x7ff0000000000000ull;
	return often(98) ? e : e ^ 1ull << rnd() % 64;
}

static uint64_t random_ept(void)
{
	static const uint8_t rights[] = { 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 5, 5, 3, 3, 1, 4, 0, 2, 6 };
	uint64_t e = rights[rnd() % sizeof(rights)] | bit_often(7, 10) | bit_often(8, 50) | bit_often(9, 40) |
		     (rnd() & 0xfff0000000000c00ull & rnd()) | random_page() << 12;

	if (often(4))
		e |= (rnd() & 7) << 3;
	if (ref_bit(e, 7)) {
		e &= often(80) ? ~0x3ffff000ull : ~0ull;
		e |= often(30) ? rnd() & 0xfc0000000ull : 0;
	}
	return often(98) ? e : e ^ 1ull << rnd() % 64;
}

static void random_tables(void)
{
	const unsigned int bytes = inner.kind == REF_32BIT ? 4 : 8;
	uint64_t at;

	for (at = 0; at < INNER_PAGES * 4096; at += bytes)
		gmem_store(&mem, at, bytes, inner.kind == REF_EPT ? random_ept() : random_legacy(&inner));
	for (at = 0; at < 4; at++)
		pdpte[at] = often(90) ? random_page() << 12 | 1 | (rnd() & 0xe18) : random_legacy(&inner);
}

static void random_cpu(struct ref_tables *t, enum ref_kind kind)
{
	*t = (struct ref_tables) {
		.kind = kind,
		.levels = kind == REF_32BIT ? 2 : kind == REF_PAE ? 3 : often(50) ? 4 : 5,
		.root = (rnd() % INNER_PAGES) << 12 | (rnd() & 0xfff),
		.wp = often(50), .nxe = often(70), .smep = often(40), .smap = often(40), .pke = often(40),
		.pse = often(80), .gb = often(70), .amd = often(50), .x_only = often(50), .ept_ad = often(70),
		.ept_largest = often(70) ? 3 : 1 + (int)(rnd() % 2),
		.address_width = 36 + (int)(rnd() % 17),
	};
	if (kind == REF_PAE) {
		t->root &= ~0x1full;
		t->pdpte = often(70) ? pdpte : NULL;
	}
}

static void random_npt(struct ref_tables *t)
{
	t->nested_amd = true;
	t->wp = t->smep = t->smap = t->pke = false;
}

static void make_mode(struct vmmu_mode *m, const struct ref_tables *t)
{
	const struct vmmu_regs regs = {
		.cr0 = 1ull << 31 | (t->wp ? 1ull << 16 : 0),
		.cr4 = (t->pse ? 1ull << 4 : 0) | (t->kind != REF_32BIT ? 1ull << 5 : 0) | (t->levels == 5 ? 1ull << 12 : 0) |
		       (t->smep ? 1ull << 20 : 0) | (t->smap ? 1ull << 21 : 0) | (t->pke ? 1ull << 22 : 0),
		.efer = (t->kind == REF_LONG ? 1ull << 10 : 0) | (t->nxe ? 1ull << 11 : 0),
		.maxphyaddr = (uint8_t)t->address_width,
		.gbpages = t->gb,
		.pse36 = true,
		.amd = t->amd,
	};
	const struct vmmu_ept_config config = {
		.maxphyaddr = (uint8_t)t->address_width,
		.root_level = (uint8_t)t->levels,
		.huge_level = (uint8_t)t->ept_largest,
		.execonly = t->x_only,
		.accessed_dirty = t->ept_ad,
	};

	if (t->kind == REF_EPT)
		vmmu_mode_init_ept(m, &config);
	else if (t->nested_amd)
		vmmu_mode_init_npt(m, &regs);
	else
		vmmu_mode_init_legacy(m, &regs);
	m->nested = !t->outer ? VMMU_NESTED_NONE : t->outer_writes ? VMMU_NESTED_WRITE : VMMU_NESTED_READ;
}

/* An outer entry that mostly allows what comes. */
static uint64_t outer_entry(uint64_t page, bool table)
{
	const unsigned int good = table ? 100 : 94;
	uint64_t e = page << 12;

	if (outer.kind == REF_EPT)
		return e | bit_often(0, good) | bit_often(1, good - 5) | bit_often(2, good) | bit_often(8, 50);
	return e | bit_often(0, good) | bit_often(1, good) | bit_often(2, good) | bit_often(5, 50) | bit_often(6, 50);
}

/*
 * The outer stage: a chain of tables on pages of its own down to one last-level table that scatters L2's low
 * pages over the inner pages. Other L2 addresses end in a large page or nowhere.
 */
static void make_outer(void)
{
	const unsigned int bytes = outer.kind == REF_32BIT ? 4 : 8;
	uint64_t page = OUTER_ROOT;
	unsigned int i;
	int level;

	memset(mem.bytes + OUTER_ROOT * 4096, 0, (GMEM_PAGES - OUTER_ROOT) * 4096);
	outer.root = OUTER_ROOT << 12;
	outer.pdpte = NULL;
	for (level = outer.levels; level > 1; level--, page++) {
		uint64_t link = outer_entry(page + 1, true);

		if (outer.kind == REF_PAE && level == 3)
			link = (page + 1) << 12 | 1;
		gmem_store(&mem, page << 12, bytes, link);
		if (level == 2 && often(50))
			gmem_store(&mem, (page << 12) + bytes, bytes, outer_entry(0, false) | 1 << 7);
	}
	for (i = 0; i < 48; i++)
		gmem_store(&mem, (page << 12) + i * bytes, bytes, outer_entry(often(95) ? rnd() % INNER_PAGES : 40, false));
}

static vmmu_gpa_t translate_outer(struct gmem *g, vmmu_gpa_t gpa, uint64_t pf, struct vmmu_guest_fault *why)
{
	const struct vmmu_access access = {
		.pf = pf,
		.read_too = (pf & VMMU_PF_TABLE) && (pf & VMMU_PF_W),
	};

	(void)g;
	assert_true(pf & VMMU_PF_U);
	assert_true(!(pf & VMMU_PF_TABLE) != !(pf & VMMU_PF_FINAL));
	return vmmu_translate(NULL, &outer_mode, outer.root, NULL, gpa, &access, why);
}

static void compare_step(const struct vmmu_gwalk *w, const struct ref_result *r, int level)
{
	const struct vmmu_gwalk_step *s = &w->step[level];
	const struct ref_entry *e = &r->entry[level];

	assert_int_equal(s->index, e->index);
	assert_true(s->entry == e->value);
	assert_int_equal(s->at.host == NULL, e->in_register);
	if (!e->in_register) {
		assert_true(s->at.gpa == e->address);
		assert_true(s->table_gfn == e->address >> 12);
	}
	assert_int_equal(s->access, (e->x ? 1 : 0) | (e->w ? 2 : 0) | (e->u ? 4 : 0) | (e->r ? 8 : 0));
	assert_false(vmmu_gwalk_step_changed(&mode, w, level));
}

static void compare(const struct vmmu_gwalk *w, enum vmmu_gwalk_result result, const struct ref_result *r, uint64_t va)
{
	int level;

	assert_int_equal(result, r->ok ? VMMU_GWALK_OK : VMMU_GWALK_FAULT);
	assert_int_equal(w->level, r->level);
	assert_memory_equal(mem.bytes, ref_bytes, sizeof(ref_bytes));
	if (!r->ok) {
		assert_true(w->fault.error_code == r->error);
		assert_true(w->fault.address == r->where);
		assert_true(w->fault.linear == va);
		assert_int_equal(w->fault.stage, r->stage);
		assert_int_equal(w->fault.misconfig, r->misconfig);
		assert_int_equal(w->fault.ept_qual, r->qualification);
		assert_false(w->fault.race || w->fault.log_full);
		return;
	}
	assert_true(w->gfn == r->physical >> 12);
	assert_true(w->ngfn == r->before_outer >> 12);
	assert_int_equal(w->access, (r->x ? 1 : 0) | (r->w ? 2 : 0) | (r->u ? 4 : 0) | (r->r ? 8 : 0));
	assert_int_equal(w->pkey, r->key);
	assert_int_equal(w->clean, r->not_dirty);
	for (level = w->root_level; level >= w->level; level--)
		compare_step(w, r, level);
}

static void count(const struct vmmu_gwalk *w, const struct ref_result *r, bool wrote)
{
	seen[SEEN_RACE] += w->races != 0;
	seen[SEEN_FLAGS] += wrote;
	if (r->ok) {
		seen[SEEN_OK]++;
		seen[SEEN_LARGE] += r->level > 1;
		seen[SEEN_CLEAN] += w->clean;
		seen[SEEN_HIGH] += r->physical >> 32 != 0;
	} else if (r->stage != REF_OWN) {
		seen[r->stage == REF_OUTER_TABLE ? SEEN_OUTER_TABLE : SEEN_OUTER_FINAL]++;
	} else {
		seen[SEEN_MISCONFIG] += r->misconfig;
		seen[r->error & 8 ? SEEN_RESERVED : !(r->error & 1) ? SEEN_ABSENT : SEEN_DENIED]++;
		seen[SEEN_KEY] += ref_bit(r->error, 5);
	}
}

static void one_walk(void)
{
	const struct ref_access a = {
		.write = often(40), .user = often(60), .ac = often(30), .implicit = often(10), .pkru = (uint32_t)(rnd() & rnd()),
	};
	struct ref_access ra = a;
	struct vmmu_access access;
	struct vmmu_guest_fault fault;
	struct ref_result r;
	struct vmmu_gwalk w;
	enum vmmu_gwalk_result result;
	unsigned int before = mem.writes;
	uint64_t va = rnd() & (inner.levels < 4 ? 0xffffffffull : inner.levels == 4 ? (1ull << 48) - 1 : (1ull << 57) - 1);
	const uint64_t *registers = inner.kind == REF_PAE ? inner.pdpte : pdpte;
	vmmu_gpa_t gpa;

	ra.fetch = !a.write && often(30);
	ra.also_read = a.write && often(20);
	access = (struct vmmu_access) {
		.pf = (a.write ? 2 : 0) | (a.user ? 4 : 0) | (ra.fetch ? 16 : 0) | (a.implicit ? VMMU_PF_IMPLICIT : 0),
		.pkru = a.pkru, .ac = a.ac, .read_too = ra.also_read,
	};
	ref_walk(&ref_mem, &inner, va, &ra, &r);
	result = vmmu_gwalk(NULL, &mode, inner.root, registers, va, &access, &w);
	compare(&w, result, &r, va);
	count(&w, &r, mem.writes != before);

	/* Again, by the short form: same answer, and nothing left to write. */
	before = mem.writes;
	gpa = vmmu_translate(NULL, &mode, inner.root, registers, va, &access, &fault);
	if (r.ok) {
		assert_true(gpa == r.physical);
	} else {
		assert_true(gpa == VMMU_GPA_INVALID);
		assert_true(fault.error_code == r.error && fault.address == r.where);
	}
	assert_int_equal(mem.writes, before);
}

static void random_case(enum ref_kind kind, bool npt, int outer_kind)
{
	unsigned int i;

	gmem_reset(&mem);
	random_cpu(&inner, kind);
	if (npt)
		random_npt(&inner);
	random_tables();
	if (outer_kind >= 0) {
		random_cpu(&outer, (enum ref_kind)outer_kind);
		outer.ept_largest = 3;
		outer.pse = outer.gb = true;
		if (outer_kind != REF_EPT) {
			random_npt(&outer);
			inner.outer_writes = true;
		} else {
			inner.outer_writes = outer.ept_ad;
		}
		make_outer();
		inner.outer = &outer;
		make_mode(&outer_mode, &outer);
		mem.nested = translate_outer;
	}
	make_mode(&mode, &inner);
	ref_mem = (struct ref_memory) { .bytes = ref_bytes, .size = sizeof(ref_bytes) };
	for (i = 0; i < INNER_PAGES; i++) {
		mem.hole[i] = often(3);
		mem.read_only[i] = often(8);
		ref_mem.holes |= (uint32_t)mem.hole[i] << i;
		ref_mem.read_only |= (uint32_t)mem.read_only[i] << i;
	}
	/* The two memories stay equal from walk to walk. */
	memcpy(ref_bytes, mem.bytes, sizeof(ref_bytes));
	for (i = 0; i < WALKS_PER_MEMORY; i++)
		one_walk();
}

static void random_cases(enum ref_kind kind, bool npt, int outer_kind, unsigned int cases)
{
	const char *from = getenv("VMMU_SEED");
	unsigned int i;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < cases; i++) {
		case_seed = from ? strtoull(from, NULL, 0) : 1000003ull * (i + 1) + (unsigned int)kind * 17 + npt;
		seed = case_seed;
		random_case(kind, npt, outer_kind);
		if (from)
			return;
	}
	assert_true(seen[SEEN_OK] > cases && seen[SEEN_ABSENT] > cases / 10 && seen[SEEN_DENIED] > cases / 10);
	assert_true(seen[SEEN_FLAGS] > cases / 2);
	assert_true(seen[SEEN_LARGE] > (outer_kind < 0 ? cases / 10 : 0));
	assert_true(seen[SEEN_RESERVED] > cases / 20);
	assert_true(seen[SEEN_CLEAN] > cases / 10);
	if (outer_kind >= 0)
		assert_true(seen[SEEN_OUTER_TABLE] > cases / 10 && seen[SEEN_OUTER_FINAL] > cases / 10);
	else
		assert_true(seen[SEEN_HIGH] > cases / 50);
	assert_true(kind != REF_EPT || seen[SEEN_MISCONFIG] > cases / 20);
	assert_true(kind != REF_LONG || npt || seen[SEEN_KEY] > cases / 10);
}

/* cmocka leaves a test by longjmp; its teardown tells which case it was. */
static int say_seed(void **state)
{
	(void)state;
	print_message("last case: VMMU_SEED=%llu\n", (unsigned long long)case_seed);
	return 0;
}

#define CASES 150

static void test_pt32(void **state) { (void)state; random_cases(REF_32BIT, false, -1, CASES); }
static void test_pae(void **state) { (void)state; random_cases(REF_PAE, false, -1, CASES); }
static void test_pt64(void **state) { (void)state; random_cases(REF_LONG, false, -1, CASES); }
static void test_ept(void **state) { (void)state; random_cases(REF_EPT, false, -1, CASES); }
static void test_npt32(void **state) { (void)state; random_cases(REF_32BIT, true, -1, CASES); }
static void test_npt_pae(void **state) { (void)state; random_cases(REF_PAE, true, -1, CASES); }
static void test_npt64(void **state) { (void)state; random_cases(REF_LONG, true, -1, CASES); }
static void test_pt32_on_ept(void **state) { (void)state; random_cases(REF_32BIT, false, REF_EPT, CASES); }
static void test_pae_on_ept(void **state) { (void)state; random_cases(REF_PAE, false, REF_EPT, CASES); }
static void test_pt64_on_ept(void **state) { (void)state; random_cases(REF_LONG, false, REF_EPT, CASES); }
static void test_pt64_on_npt32(void **state) { (void)state; random_cases(REF_LONG, false, REF_32BIT, CASES); }
static void test_pt32_on_npt_pae(void **state) { (void)state; random_cases(REF_32BIT, false, REF_PAE, CASES); }
static void test_pae_on_npt64(void **state) { (void)state; random_cases(REF_PAE, false, REF_LONG, CASES); }
static void test_pt64_on_npt64(void **state) { (void)state; random_cases(REF_LONG, false, REF_LONG, CASES); }

#define RANDOM_TEST(f) cmocka_unit_test_teardown(f, say_seed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RANDOM_TEST(test_pt32), RANDOM_TEST(test_pae), RANDOM_TEST(test_pt64), RANDOM_TEST(test_ept),
		RANDOM_TEST(test_npt32), RANDOM_TEST(test_npt_pae), RANDOM_TEST(test_npt64),
		RANDOM_TEST(test_pt32_on_ept), RANDOM_TEST(test_pae_on_ept), RANDOM_TEST(test_pt64_on_ept),
		RANDOM_TEST(test_pt64_on_npt32), RANDOM_TEST(test_pt32_on_npt_pae), RANDOM_TEST(test_pae_on_npt64),
		RANDOM_TEST(test_pt64_on_npt64),
	};

	return cmocka_run_group_tests_name("walk/gwalk random", tests, NULL, NULL);
}
