/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/* Walks by hand: lost races, memory that is missing or read-only, logs, traces, and addresses worked out on paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vmmu/host.h>
#include <vmmu/walk.h>

static struct gmem mem;
static struct vmmu_gwalk w;

static const struct vmmu_access read_access = { .pf = VMMU_PF_U };
static const struct vmmu_access write_access = { .pf = VMMU_PF_U | VMMU_PF_W };
static const struct vmmu_access fetch_access = { .pf = VMMU_PF_U | VMMU_PF_F };

#define PRESENT_RWU 7ull
#define ACCESSED 0x20ull
#define DIRTY 0x40ull

static struct vmmu_mode legacy(uint64_t cr4, uint64_t efer)
{
	const struct vmmu_regs regs = {
		.cr0 = VMMU_CR0_PG | VMMU_CR0_WP, .cr4 = cr4, .efer = efer, .maxphyaddr = 46, .gbpages = true, .pse36 = true,
	};
	struct vmmu_mode m;

	vmmu_mode_init_legacy(&m, &regs);
	return m;
}

static struct vmmu_mode mode64(void)
{
	return legacy(VMMU_CR4_PAE, VMMU_EFER_LMA | VMMU_EFER_NXE);
}

static struct vmmu_mode mode_ept(bool accessed_dirty)
{
	const struct vmmu_ept_config config = {
		.root_level = 4, .huge_level = 3, .maxphyaddr = 46, .accessed_dirty = accessed_dirty,
	};
	struct vmmu_mode m;

	vmmu_mode_init_ept(&m, &config);
	return m;
}

/*
 * A chain of four tables on pages 1..4, all for address VA, that maps page 9. Indexes 1, 2, 3, 4 from the top.
 */
#define VA ((1ull << 39) | (2ull << 30) | (3ull << 21) | (4ull << 12) | 0x567)
#define AT(level) ((uint64_t)(5 - (level)) << 12 | (uint64_t)(5 - (level)) * 8)
#define ROOT 0x1000ull

static void chain(uint64_t flags)
{
	int level;

	gmem_reset(&mem);
	for (level = 4; level >= 1; level--)
		gmem_store(&mem, AT(level), 8, (level > 1 ? (uint64_t)(6 - level) << 12 : 9ull << 12) | flags);
}

static enum vmmu_gwalk_result walk(const struct vmmu_mode *m, const struct vmmu_access *access)
{
	return vmmu_gwalk(NULL, m, ROOT, NULL, VA, access, &w);
}

static void test_flags_by_hand(void **state)
{
	const struct vmmu_mode m = mode64();
	int level;

	(void)state;
	chain(PRESENT_RWU);
	/* PCID or other bits that are no address. */
	assert_int_equal(vmmu_gwalk(NULL, &m, ROOT | 0xfff | 1ull << 63, NULL, VA, &read_access, &w), VMMU_GWALK_OK);
	assert_true(w.gfn == 9 && w.level == 1 && w.clean);
	for (level = 1; level <= 4; level++)
		assert_int_equal(gmem_load(&mem, AT(level), 8) & 0xfff, PRESENT_RWU | ACCESSED);
	assert_int_equal(mem.writes, 4);

	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_OK);
	assert_false(w.clean);
	assert_int_equal(gmem_load(&mem, AT(1), 8) & 0xfff, PRESENT_RWU | ACCESSED | DIRTY);
	for (level = 2; level <= 4; level++)
		assert_int_equal(gmem_load(&mem, AT(level), 8) & 0xfff, PRESENT_RWU | ACCESSED);
	assert_int_equal(mem.writes, 5);
	assert_int_equal(walk(&m, &read_access), VMMU_GWALK_OK);
	assert_false(w.clean);
	assert_int_equal(mem.writes, 5);
}

/* An access that is not allowed leaves no flag anywhere. */
static void test_no_flags_on_fault(void **state)
{
	const struct vmmu_mode m = mode64();

	(void)state;
	chain(5);
	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_FAULT);
	assert_int_equal(w.fault.error_code, VMMU_PF_P | VMMU_PF_W | VMMU_PF_U);
	assert_int_equal(mem.writes, 0);
}

/* Asked ahead of the access: the walk succeeds only where there is no flag to be set, and sets none. */
static void test_flags_forbidden(void **state)
{
	const struct vmmu_mode m = mode64();
	const struct vmmu_access read_ahead = { .no_flags = true }, write_ahead = { .pf = VMMU_PF_W, .no_flags = true };

	(void)state;
	chain(PRESENT_RWU);
	assert_int_equal(walk(&m, &read_ahead), VMMU_GWALK_UNFLAGGED);
	assert_int_equal(mem.writes, 0);
	chain(PRESENT_RWU | ACCESSED);
	assert_int_equal(walk(&m, &read_ahead), VMMU_GWALK_OK);
	assert_true(w.gfn == 9 && w.clean);
	assert_int_equal(walk(&m, &write_ahead), VMMU_GWALK_UNFLAGGED);
	gmem_store(&mem, AT(1), 8, 9ull << 12 | PRESENT_RWU | ACCESSED | DIRTY);
	assert_int_equal(walk(&m, &write_ahead), VMMU_GWALK_OK);
	assert_false(w.clean);
	assert_int_equal(mem.writes, 0);
	chain(5);
	assert_int_equal(walk(&m, &write_ahead), VMMU_GWALK_FAULT);
}

/* Replace the entry of a level behind the walk's back, once or always. */
static struct {
	uint64_t gpa, value, toggle;
	unsigned int times;
} rival;

static void rival_hook(struct gmem *g, uint64_t gpa)
{
	if (gpa != rival.gpa || !rival.times)
		return;
	rival.times--;
	if (rival.toggle)
		rival.value = gmem_load(g, gpa, 8) ^ rival.toggle;
	gmem_store(g, gpa, 8, rival.value);
}

/* The entry changes between its read and the setting of A: the walk begins again and uses the new one. */
static void test_lost_race(void **state)
{
	const struct vmmu_mode modes[] = { mode64(), mode_ept(true) };
	unsigned int i;
	int level;

	(void)state;
	for (i = 0; i < 2; i++)
		for (level = 1; level <= 4; level++) {
			chain(PRESENT_RWU);
			/* A second chain below: a leaf to page 10, or the old table moved to page 12. */
			memcpy(mem.bytes + (12 << 12), mem.bytes + ((6 - level) << 12), 4096);
			rival.gpa = AT(level);
			rival.value = (level > 1 ? 12ull : 10ull) << 12 | PRESENT_RWU;
			rival.toggle = 0;
			rival.times = 1;
			mem.after_read = rival_hook;
			assert_int_equal(walk(&modes[i], &write_access), VMMU_GWALK_OK);
			assert_int_equal(w.races, 1);
			assert_int_equal(mem.lost, 1);
			assert_true(w.gfn == (level > 1 ? 9 : 10));
			if (level > 1)
				assert_true(w.step[level - 1].table_gfn == 12);
			assert_true(gmem_load(&mem, AT(level), 8) == w.step[level].entry);

			/* The entry goes away. */
			chain(PRESENT_RWU);
			rival.value = 0;
			rival.times = 1;
			mem.after_read = rival_hook;
			assert_int_equal(walk(&modes[i], &read_access), VMMU_GWALK_FAULT);
			assert_int_equal(w.races, 1);
			assert_false(w.fault.error_code & VMMU_PF_P);
			assert_int_equal(w.level, level);
			assert_int_equal(gmem_load(&mem, AT(level), 8), 0);
		}
}

/* A rival who never stops costs a bounded number of passes. */
static void test_race_bound(void **state)
{
	const struct vmmu_mode m = mode64();
	struct vmmu_guest_fault fault;

	(void)state;
	chain(PRESENT_RWU);
	rival.gpa = AT(1);
	rival.toggle = 1 << 9;
	rival.times = ~0u;
	mem.after_read = rival_hook;
	assert_int_equal(walk(&m, &read_access), VMMU_GWALK_RETRY);
	assert_int_equal(w.races, VMMU_GWALK_RACES_MAX);
	assert_int_equal(mem.lost, VMMU_GWALK_RACES_MAX + 1);
	assert_true(w.fault.race);
	assert_true(vmmu_translate(NULL, &m, ROOT, NULL, VA, &read_access, &fault) == VMMU_GPA_INVALID);
	assert_true(fault.race);

	/* One pass fewer than the bound is enough. */
	chain(PRESENT_RWU);
	rival.times = VMMU_GWALK_RACES_MAX;
	mem.after_read = rival_hook;
	assert_int_equal(walk(&m, &read_access), VMMU_GWALK_OK);
	assert_int_equal(w.races, VMMU_GWALK_RACES_MAX);
}

static void test_missing_memory(void **state)
{
	const struct vmmu_mode modes[] = { mode64(), mode_ept(true) };
	unsigned int i;
	int level;

	(void)state;
	for (i = 0; i < 2; i++)
		for (level = 1; level <= 4; level++) {
			chain(PRESENT_RWU);
			mem.hole[5 - level] = true;
			assert_int_equal(walk(&modes[i], &write_access), VMMU_GWALK_FAULT);
			assert_int_equal(w.fault.error_code, VMMU_PF_W | VMMU_PF_U);
			assert_int_equal(w.fault.ept_qual, i ? VMMU_EPT_QUAL_WRITE : 0);
			assert_int_equal(w.level, level);
			assert_int_equal(mem.writes, 0);

			/* Memory that is gone only when the flag is to be written. */
			chain(PRESENT_RWU);
			mem.unwritable[5 - level] = true;
			assert_int_equal(walk(&modes[i], &write_access), VMMU_GWALK_FAULT);
			assert_int_equal(w.fault.error_code, VMMU_PF_W | VMMU_PF_U);
			assert_int_equal(w.level, level);
		}
}

static void test_read_only_tables(void **state)
{
	const struct vmmu_mode modes[] = { mode64(), mode_ept(true) };
	unsigned int i;
	int level;

	(void)state;
	for (i = 0; i < 2; i++)
		for (level = 1; level <= 4; level++) {
			chain(PRESENT_RWU);
			mem.read_only[5 - level] = true;
			assert_int_equal(walk(&modes[i], &write_access), VMMU_GWALK_OK);
			assert_int_equal(mem.writes, 3);
			assert_int_equal(gmem_load(&mem, AT(level), 8) & 0xfff, PRESENT_RWU);
			assert_false(w.clean);
		}
}

/* Two levels of 1024 entries, worked out by hand: 0xc0123456 is entry 0x300, entry 0x123, byte 0x456. */
static void test_pt32_split(void **state)
{
	const struct vmmu_mode m = legacy(VMMU_CR4_PSE, 0);
	struct vmmu_guest_fault fault;

	(void)state;
	gmem_reset(&mem);
	gmem_store(&mem, 0x1c00, 4, 0x2000 | 7);
	gmem_store(&mem, 0x248c, 4, 0xabcde000 | 7);
	assert_true(vmmu_translate(NULL, &m, 0x1fff, NULL, 0xc0123456, &read_access, &fault) == 0xabcde456);
	assert_int_equal(mem.event[1].a, 0x2000 | 7);
	/* The neighbours were not touched. */
	assert_int_equal(gmem_load(&mem, 0x1c04, 4) | gmem_load(&mem, 0x2488, 4) | gmem_load(&mem, 0x2490, 4), 0);
}

/* PSE-36: bits 20:13 of a 4 MiB entry are address bits 39:32. */
static void test_pse36(void **state)
{
	struct vmmu_mode m = legacy(VMMU_CR4_PSE, 0);
	struct vmmu_guest_fault fault;

	(void)state;
	gmem_reset(&mem);
	gmem_store(&mem, 0x1c00, 4, 0x12400000u | 0xa5u << 13 | 0x87);
	assert_true(vmmu_translate(NULL, &m, 0x1000, NULL, 0xc0123456, &read_access, &fault) == 0xa512523456ull);

	/* Without PSE the same entry points at a table, at the same bits that gave the address. */
	m = legacy(0, 0);
	assert_int_equal(vmmu_gwalk(NULL, &m, 0x1000, NULL, 0xc0123456, &read_access, &w), VMMU_GWALK_FAULT);
	assert_int_equal(w.level, 1);
}

static void test_pae_registers(void **state)
{
	const struct vmmu_mode m = legacy(VMMU_CR4_PAE, VMMU_EFER_NXE);
	uint64_t pdptrs[4] = { 0, 0, 0, 0x2001 };
	struct vmmu_guest_fault fault;

	(void)state;
	gmem_reset(&mem);
	gmem_store(&mem, 0x1038, 8, 0xbad1);	/* PDPTE 3 in memory, at 0x1020: not what the register holds */
	gmem_store(&mem, 0x2000, 8, 0x3007);	/* 0xc0123456 is PDPTE 3, entry 0, entry 0x123 */
	gmem_store(&mem, 0x3918, 8, 0x9007);
	assert_true(vmmu_translate(NULL, &m, 0x1020, pdptrs, 0xc0123456, &read_access, &fault) == 0x9456);
	assert_true(gmem_load(&mem, 0x1038, 8) == 0xbad1);
	assert_true(pdptrs[3] == 0x2001);
	assert_int_equal(mem.writes, 2);

	pdptrs[3] = 0x2000;
	assert_true(vmmu_translate(NULL, &m, 0x1020, pdptrs, 0xc0123456, &fetch_access, &fault) == VMMU_GPA_INVALID);
	assert_int_equal(fault.error_code, VMMU_PF_U | VMMU_PF_F);
	/* Read from memory where there are no registers. */
	gmem_store(&mem, 0x1038, 8, 0x2001);
	assert_true(vmmu_translate(NULL, &m, 0x1020, NULL, 0xc0123456, &read_access, &fault) == 0x9456);
	assert_true(gmem_load(&mem, 0x1038, 8) == 0x2001);
}

static void test_trace(void **state)
{
	const struct vmmu_mode m = mode64();
	unsigned int i, n = 0;
	int level;

	(void)state;
	chain(PRESENT_RWU);
	gmem_store(&mem, AT(3), 8, gmem_load(&mem, AT(3), 8) | ACCESSED);
	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_OK);
	assert_int_equal(mem.event[n].event, VMMU_WALK_START);
	assert_true(mem.event[n].a == VA && mem.event[n].b == write_access.pf);
	for (n++, level = 4; level >= 1; level--, n++) {
		assert_int_equal(mem.event[n].event, VMMU_WALK_ELEMENT);
		assert_int_equal(mem.event[n].b, level);
	}
	for (level = 4; level >= 1; level--) {
		if (level == 3)
			continue;
		for (i = 0; i < (level == 1 ? 2u : 1u); i++, n++) {
			assert_int_equal(mem.event[n].event, i ? VMMU_WALK_SET_DIRTY : VMMU_WALK_SET_ACCESSED);
			assert_int_equal(mem.event[n].a, 5 - level);
			assert_int_equal(mem.event[n].b, 5 - level);
			assert_int_equal(mem.event[n].c, 8);
		}
	}
	assert_int_equal(mem.events, n);

	chain(0);
	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_FAULT);
	assert_int_equal(mem.events, 3);
	assert_int_equal(mem.event[2].event, VMMU_WALK_ERROR);
	assert_int_equal(mem.event[2].a, VMMU_PF_W | VMMU_PF_U);
}

static void test_event_names(void **state)
{
	int i, k;

	(void)state;
	for (i = 0; i < VMMU_WALK_EVENT_COUNT; i++)
		for (k = 0; k <= i; k++)
			assert_int_equal(strcmp(vmmu_walk_event_name(i), vmmu_walk_event_name(k)) == 0, i == k);
	assert_string_equal(vmmu_walk_event_name(VMMU_WALK_EVENT_COUNT), "?");
}

/* L1's log of L2's writes: filled before D is set, never otherwise. */
static void test_nested_write_log(void **state)
{
	const struct vmmu_mode m = mode_ept(true), off = mode_ept(false), other = mode64();

	(void)state;
	chain(7);
	assert_int_equal(walk(&m, &read_access), VMMU_GWALK_OK);
	assert_int_equal(mem.logged, 0);
	assert_int_equal(walk(&off, &write_access), VMMU_GWALK_OK);
	assert_int_equal(mem.logged, 0);

	mem.log_full = true;
	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_FAULT);
	assert_true(w.fault.log_full);
	assert_int_equal(gmem_load(&mem, AT(1), 8) & 0x300, 0x100);

	mem.log_full = false;
	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_OK);
	assert_int_equal(mem.logged, 1);
	assert_true(mem.logged_gpa == (VA & ~0xfffull));
	assert_int_equal(gmem_load(&mem, AT(1), 8) & 0x300, 0x300);
	assert_int_equal(walk(&m, &write_access), VMMU_GWALK_OK);
	assert_int_equal(mem.logged, 1);

	chain(PRESENT_RWU);
	mem.log_full = true;
	assert_int_equal(walk(&other, &write_access), VMMU_GWALK_OK);
}

/* Bits 5:3 of the qualification are the rights of all entries together, whichever level lacks one. */
static void test_ept_qualification(void **state)
{
	static const unsigned int legal[] = { 1, 3, 5, 7, 4 };
	struct vmmu_mode m;
	unsigned int kind, i;
	int level;
	const struct vmmu_ept_config config = { .root_level = 4, .huge_level = 3, .maxphyaddr = 46, .execonly = true };

	(void)state;
	vmmu_mode_init_ept(&m, &config);
	for (level = 1; level <= 4; level++)
		for (kind = 0; kind < 4; kind++)
			for (i = 0; i < 5; i++) {
				const unsigned int asks = kind == 0 ? 1 : kind == 1 ? 2 : kind == 2 ? 4 : 3;
				const struct vmmu_access access = {
					.pf = kind == 0 ? 0 : kind == 2 ? VMMU_PF_F : VMMU_PF_W, .read_too = kind == 3,
				};

				chain(7);
				gmem_store(&mem, AT(level), 8, (gmem_load(&mem, AT(level), 8) & ~7ull) | legal[i]);
				if (!(asks & ~legal[i])) {
					assert_int_equal(walk(&m, &access), VMMU_GWALK_OK);
					continue;
				}
				assert_int_equal(walk(&m, &access), VMMU_GWALK_FAULT);
				assert_int_equal(w.fault.ept_qual, asks | legal[i] << 3);
				assert_false(w.fault.misconfig);
				assert_int_equal(mem.writes, 0);
			}
}

/* What the nested stage is asked, in order. */
static void test_nested_requests(void **state)
{
	struct vmmu_mode m = mode64();
	int level;

	(void)state;
	m.nested = VMMU_NESTED_WRITE;
	chain(PRESENT_RWU);
	assert_int_equal(walk(&m, &fetch_access), VMMU_GWALK_OK);
	assert_int_equal(mem.nested_calls, 5);
	for (level = 4; level >= 1; level--) {
		assert_true(mem.nested_gpa[4 - level] == AT(level));
		assert_true(mem.nested_pf[4 - level] == (VMMU_PF_U | VMMU_PF_W | VMMU_PF_TABLE));
	}
	assert_true(mem.nested_gpa[4] == 0x9567);
	assert_true(mem.nested_pf[4] == (VMMU_PF_U | VMMU_PF_F | VMMU_PF_FINAL));

	/* Without A and D flags there: reads, and a write for each flag that has to be set. */
	m.nested = VMMU_NESTED_READ;
	chain(PRESENT_RWU);
	gmem_store(&mem, AT(2), 8, gmem_load(&mem, AT(2), 8) | ACCESSED);
	assert_int_equal(walk(&m, &read_access), VMMU_GWALK_OK);
	assert_int_equal(mem.nested_calls, 8);
	for (level = 4; level >= 1; level--)
		assert_true(mem.nested_pf[4 - level] == (VMMU_PF_U | VMMU_PF_TABLE));
	assert_true(mem.nested_pf[4] == (VMMU_PF_U | VMMU_PF_FINAL));
	assert_true(mem.nested_gpa[5] == AT(4) && mem.nested_gpa[6] == AT(3) && mem.nested_gpa[7] == AT(1));
	for (level = 5; level < 8; level++)
		assert_true(mem.nested_pf[level] == (VMMU_PF_U | VMMU_PF_W | VMMU_PF_TABLE));
}

static struct {
	unsigned int call;
} refuse;

static vmmu_gpa_t refuse_hook(struct gmem *g, vmmu_gpa_t gpa, uint64_t pf, struct vmmu_guest_fault *why)
{
	(void)pf;
	if (g->nested_calls != refuse.call + 1)
		return gpa;
	*why = (struct vmmu_guest_fault) {
		.error_code = VMMU_PF_P | VMMU_PF_U | VMMU_PF_FINAL | VMMU_PF_TABLE, .ept_qual = 0x2a, .misconfig = true,
	};
	return VMMU_GPA_INVALID;
}

/* Each request refused in turn: the stage, the address and the host's own words come through. */
static void test_nested_refusals(void **state)
{
	struct vmmu_mode m = mode64();

	(void)state;
	m.nested = VMMU_NESTED_READ;
	for (refuse.call = 0; refuse.call < 9; refuse.call++) {
		const bool final = refuse.call == 4;
		const int level = final ? 1 : 4 - (int)(refuse.call % 5);

		chain(PRESENT_RWU);
		mem.nested = refuse_hook;
		assert_int_equal(walk(&m, &write_access), VMMU_GWALK_FAULT);
		assert_int_equal(w.fault.stage, final ? VMMU_STAGE_NESTED_FINAL : VMMU_STAGE_NESTED_TABLE);
		assert_true(w.fault.error_code == (VMMU_PF_P | VMMU_PF_U | (final ? VMMU_PF_FINAL : VMMU_PF_TABLE)));
		assert_true(w.fault.address == (final ? 0x9567 : AT(level)));
		assert_true(w.fault.linear == VA);
		assert_int_equal(w.level, level);
		assert_int_equal(w.fault.ept_qual, 0x2a);
		assert_true(w.fault.misconfig);
		/* Flags that come before the refused one are set, no others. */
		assert_int_equal(mem.writes, refuse.call > 4 ? refuse.call - 5 : 0);
	}
}

/*
 * L2 physical addresses above 4 GiB under nested tables that end there: not present, and the tables are not read, where
 * the same lower bits lead to memory.
 */
static void test_nested_beyond(void **state)
{
	const struct vmmu_regs l1[] = {
		{ .cr0 = VMMU_CR0_PG, .cr4 = VMMU_CR4_PSE, .maxphyaddr = 46, .pse36 = true, .amd = true },
		{ .cr0 = VMMU_CR0_PG, .cr4 = VMMU_CR4_PAE, .efer = VMMU_EFER_NXE, .maxphyaddr = 46, .amd = true },
	};
	struct vmmu_guest_fault fault;
	struct vmmu_mode m;
	int form, bit;

	(void)state;
	for (form = 0; form < 2; form++) {
		const unsigned int bytes = form ? 8 : 4;

		vmmu_mode_init_npt(&m, &l1[form]);
		assert_int_equal(m.format, form ? VMMU_FORMAT_NPT_PAE : VMMU_FORMAT_NPT32);
		gmem_reset(&mem);
		gmem_store(&mem, ROOT, bytes, form ? 0x2001 : 0x2007);
		gmem_store(&mem, 0x2000, bytes, form ? 0x3007 : 0x9007);
		gmem_store(&mem, 0x3000, bytes, 0x9007);
		assert_true(vmmu_translate(NULL, &m, ROOT, NULL, 0x567, &read_access, &fault) == 0x9567);
		mem.reads = 0;
		for (bit = 32; bit < 52; bit++) {
			const vmmu_gpa_t gpa = 1ull << bit | 0x567;

			assert_true(vmmu_translate(NULL, &m, ROOT, NULL, gpa, &write_access, &fault) == VMMU_GPA_INVALID);
			assert_true(fault.error_code == (VMMU_PF_U | VMMU_PF_W));
			assert_true(fault.address == gpa && fault.linear == gpa);
			assert_int_equal(fault.stage, VMMU_STAGE_TABLES);
		}
		assert_int_equal(mem.reads, 0);
	}
}

static void test_unpaged(void **state)
{
	struct vmmu_mode m = { .format = VMMU_FORMAT_NONE };
	struct vmmu_guest_fault fault;

	(void)state;
	gmem_reset(&mem);
	assert_true(vmmu_translate(NULL, &m, ROOT, NULL, 0x12345678, &write_access, &fault) == 0x12345678);
	assert_int_equal(mem.reads + mem.writes + mem.nested_calls, 0);

	m.nested = VMMU_NESTED_WRITE;
	assert_int_equal(vmmu_gwalk(NULL, &m, ROOT, NULL, 0x5678, &write_access, &w), VMMU_GWALK_OK);
	assert_true(w.gfn == 5 && w.access == VMMU_ACC_ALL && w.level == VMMU_LEVEL_HUGE_MAX);
	assert_int_equal(mem.nested_calls, 1);
	assert_true(mem.nested_pf[0] == (VMMU_PF_U | VMMU_PF_W | VMMU_PF_FINAL));
	refuse.call = 1;
	mem.nested = refuse_hook;
	assert_int_equal(vmmu_gwalk(NULL, &m, ROOT, NULL, 0x5678, &write_access, &w), VMMU_GWALK_FAULT);
	assert_int_equal(w.fault.stage, VMMU_STAGE_NESTED_FINAL);
	assert_true(w.fault.address == 0x5678);
}

static void test_step_changed(void **state)
{
	const struct vmmu_mode m = mode64(), none = { .format = VMMU_FORMAT_NONE };
	int level, bit;

	(void)state;
	for (level = 1; level <= 4; level++)
		for (bit = 0; bit < 64; bit++) {
			uint64_t entry;

			chain(PRESENT_RWU);
			assert_int_equal(walk(&m, &read_access), VMMU_GWALK_OK);
			entry = gmem_load(&mem, AT(level), 8);
			assert_false(vmmu_gwalk_step_changed(&m, &w, level));
			gmem_store(&mem, AT(level), 8, entry ^ 1ull << bit);
			/* D newly set is no change, A cleared is one. */
			assert_int_equal(vmmu_gwalk_step_changed(&m, &w, level), bit != 6);
			assert_false(vmmu_gwalk_step_changed(&none, &w, level));
		}
	chain(PRESENT_RWU);
	assert_int_equal(walk(&m, &read_access), VMMU_GWALK_OK);
	mem.hole[4] = true;
	assert_true(vmmu_gwalk_step_changed(&m, &w, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags_by_hand),
		cmocka_unit_test(test_no_flags_on_fault),
		cmocka_unit_test(test_flags_forbidden),
		cmocka_unit_test(test_lost_race),
		cmocka_unit_test(test_race_bound),
		cmocka_unit_test(test_missing_memory),
		cmocka_unit_test(test_read_only_tables),
		cmocka_unit_test(test_pt32_split),
		cmocka_unit_test(test_pse36),
		cmocka_unit_test(test_pae_registers),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_event_names),
		cmocka_unit_test(test_nested_write_log),
		cmocka_unit_test(test_ept_qualification),
		cmocka_unit_test(test_nested_requests),
		cmocka_unit_test(test_nested_refusals),
		cmocka_unit_test(test_nested_beyond),
		cmocka_unit_test(test_unpaged),
		cmocka_unit_test(test_step_changed),
	};

	return cmocka_run_group_tests_name("walk/gwalk", tests, NULL, NULL);
}
