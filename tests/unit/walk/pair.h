/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A walk and the reference walker side by side: they agree on the result, on the fault and its stage, on every step, and on
 * every byte of memory afterwards. Who includes it has cmocka's assert_true() and kin, or its own.
 */
#ifndef TESTS_WALK_PAIR_H
#define TESTS_WALK_PAIR_H

#include <string.h>
#include <vmmu/host.h>
#include <vmmu/walk.h>
#include "refwalk.h"

#define INNER_PAGES 16u		/* tables under test; the outer stage has the pages above */
#define OUTER_ROOT 16u

static struct gmem mem;
static struct ref_memory ref_mem;
static uint8_t ref_bytes[sizeof(mem.bytes)];

static struct ref_tables inner, outer;
static uint64_t pdpte[4];
static struct vmmu_mode mode, outer_mode;
static uint64_t seed;		/* of rnd() */

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
	t->wp = t->smap = t->pke = false;
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

/* A CPU of @kind whose tables are under test, and those they stand on if @outer_kind is not negative. Memory is empty. */
static void pair_begin(enum ref_kind kind, bool npt, int outer_kind)
{
	gmem_reset(&mem);
	random_cpu(&inner, kind);
	if (npt)
		random_npt(&inner);
	if (outer_kind < 0)
		return;
	random_cpu(&outer, (enum ref_kind)outer_kind);
	outer.ept_largest = 3;
	outer.pse = outer.gb = true;
	if (outer_kind != REF_EPT) {
		random_npt(&outer);
		inner.outer_writes = true;
	} else {
		inner.outer_writes = outer.ept_ad;
	}
	inner.outer = &outer;
	mem.nested = translate_outer;
}

/* The tables under test are written: now the rest of the memory, and the reference's, which stays equal from walk to walk. */
static void pair_ready(void)
{
	if (inner.outer) {
		make_outer();
		make_mode(&outer_mode, &outer);
	}
	make_mode(&mode, &inner);
	ref_mem = (struct ref_memory) { .bytes = ref_bytes, .size = sizeof(ref_bytes) };
	for (unsigned int i = 0; i < INNER_PAGES; i++) {
		mem.hole[i] = often(3);
		mem.read_only[i] = often(8);
		ref_mem.holes |= (uint32_t)mem.hole[i] << i;
		ref_mem.read_only |= (uint32_t)mem.read_only[i] << i;
	}
	memcpy(ref_bytes, mem.bytes, sizeof(ref_bytes));
}

/* For who counts what has been seen; may be NULL. */
static void (*pair_seen)(const struct vmmu_gwalk *w, const struct ref_result *r, bool wrote);

static void pair_walked(const struct vmmu_gwalk *w, const struct ref_result *r, bool wrote)
{
	if (pair_seen)
		pair_seen(w, r, wrote);
}

/* One access to @va, by both. Return: the reference's result. */
static struct ref_result pair_walk(uint64_t va)
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
	pair_walked(&w, &r, mem.writes != before);

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
	return r;
}

#endif
