/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The values of our own entries, in every format: all kinds of leaves, MMIO entries over all widths, split parts,
 * aging. What the CPU makes of them is written here from the manuals, with numbers of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "format/spte.h"

enum kind { LEGACY, EPT_AD, EPT_AD_EXEC_ONLY, EPT, EPT_EXEC_ONLY, KINDS };
#define IS_EPT(kind) ((kind) != LEGACY)
#define HAS_AD(kind) ((kind) <= EPT_AD_EXEC_ONLY)
#define BIT(n) (1ull << (n))

static const char *const kind_names[] = { "legacy", "EPT", "EPT, execute-only", "EPT without A/D",
					  "EPT without A/D, execute-only" };

static struct vmmu_spte_format fmt;
static enum kind kind;
static unsigned int phys, l1tf;

static void set_format(enum kind k, unsigned int phys_bits, unsigned int l1tf_bits)
{
	kind = k;
	phys = phys_bits;
	l1tf = l1tf_bits;
	if (k == LEGACY)
		vmmu_spte_format_init_legacy(&fmt, phys_bits, l1tf_bits);
	else
		vmmu_spte_format_init_ept(&fmt, phys_bits, l1tf_bits, HAS_AD(k),
					  k == EPT_AD_EXEC_ONLY || k == EPT_EXEC_ONLY);
}

#define CHECK_SPTE(spte, condition) \
	((condition) ? (void)0 \
		     : (print_error("%s: entry %#llx, %s, %u bits, L1TF %u\n", #condition, (unsigned long long)(spte), \
				    kind_names[kind], phys, l1tf), \
			fail()))

/* --- What the CPU sees ------------------------------------------------------------------------- */

static bool hw_reads(uint64_t e) { return e & 1; }
static bool hw_writes(uint64_t e) { return e & 2; }
static bool hw_fetches(uint64_t e) { return IS_EPT(kind) ? e & 4 : (e & 1) && !(e >> 63); }

/* Would the CPU call the present entry misconfigured or its bits reserved? */
static bool hw_reserved(uint64_t e, int level, bool leaf)
{
	uint64_t beyond = phys < 52 ? (BIT(52) - 1) & ~(BIT(phys) - 1) : 0;
	unsigned int type = e >> 3 & 7;

	if (e & beyond)
		return true;
	if (leaf && level > 1 && (e & (BIT(12 + 9 * (level - 1)) - 1) & ~0x1fffull))
		return true;
	if (!IS_EPT(kind))
		return !leaf && (e & BIT(7));
	if ((e & 2) && !(e & 1))
		return true;
	if ((e & 4) && !(e & 1) && kind != EPT_EXEC_ONLY && kind != EPT_AD_EXEC_ONLY)
		return true;
	return leaf ? type == 2 || type == 3 || type == 7 : e & 0xf8;
}

static bool hw_present(uint64_t e) { return IS_EPT(kind) ? e & 7 : e & 1; }
static bool hw_accessed(uint64_t e) { return e & (IS_EPT(kind) ? BIT(8) : BIT(5)); }
static bool hw_dirty(uint64_t e) { return e & (IS_EPT(kind) ? BIT(9) : BIT(6)); }

/* --- Leaves ------------------------------------------------------------------------------------ */

/* The leaf number @n of all there are, or false for a combination nobody makes. */
static bool leaf_by_number(unsigned int n, struct vmmu_leaf *leaf)
{
	static const uint64_t frames[] = { 0, 0x40000, 0x80000 };

	*leaf = (struct vmmu_leaf){
		.access = (uint8_t)(n & 0xf),
		.host_writable = n >> 4 & 1, .write_now = n >> 5 & 1, .tracked = n >> 6 & 1, .accessed = n >> 7 & 1,
		.dirty = n >> 8 & 1, .ad_off = n >> 9 & 1, .wrprot_log = n >> 10 & 1, .plain_memory = n >> 11 & 1,
		.level = (uint8_t)(1 + (n >> 12) % 3),
	};
	leaf->memtype = IS_EPT(kind) ? 6 << 3 | BIT(6) : 0;
	/* The highest frame of this size that the width allows, and lower ones. */
	leaf->pfn = (n >> 12) / 3 < 3 ? frames[(n >> 12) / 3]
				      : (BIT(phys - 12) - 1) & ~(vmmu_level_frames(leaf->level) - 1);
	if (leaf->pfn >> (phys - 12))
		return false;
	/* Rights without R: execute-only, where the CPU has that; every other format always reads. */
	if (!(leaf->access & VMMU_ACC_R))
		return !(leaf->access & VMMU_ACC_W) && (leaf->access & VMMU_ACC_X) &&
		       (kind == EPT_EXEC_ONLY || kind == EPT_AD_EXEC_ONLY);
	return true;
}
#define LEAVES (4096u * 3 * 4)

static void check_rights(const struct vmmu_leaf *leaf, uint64_t e)
{
	bool may = leaf->host_writable && (leaf->access & VMMU_ACC_W) && !leaf->tracked;

	CHECK_SPTE(e, hw_writes(e) == (may && leaf->write_now));
	CHECK_SPTE(e, spte_is_writable(e) == hw_writes(e));
	CHECK_SPTE(e, spte_is_mmu_writable(&fmt, e) == may);
	CHECK_SPTE(e, !!(e & fmt.host_writable) == leaf->host_writable);
	CHECK_SPTE(e, hw_fetches(e) == !!(leaf->access & VMMU_ACC_X));
	CHECK_SPTE(e, hw_reads(e) == (!IS_EPT(kind) || (leaf->access & VMMU_ACC_R)));
	CHECK_SPTE(e, spte_allows(&fmt, e, 0) == hw_reads(e));
	CHECK_SPTE(e, spte_allows(&fmt, e, VMMU_PF_W) == hw_writes(e));
	CHECK_SPTE(e, spte_allows(&fmt, e, VMMU_PF_F) == hw_fetches(e));
}

static void check_ad(const struct vmmu_leaf *leaf, uint64_t e)
{
	bool keeps = HAS_AD(kind) && (!leaf->ad_off || !IS_EPT(kind));

	CHECK_SPTE(e, spte_has_accessed(&fmt, e) == keeps);
	CHECK_SPTE(e, spte_has_dirty(&fmt, e) == (keeps && !(IS_EPT(kind) && leaf->wrprot_log)));
	CHECK_SPTE(e, !keeps || hw_accessed(e) == leaf->accessed);
	CHECK_SPTE(e, !keeps || hw_dirty(e) == (leaf->dirty && hw_writes(e)));
	CHECK_SPTE(e, keeps || !IS_EPT(kind) || !(e & (BIT(8) | BIT(9))));
	CHECK_SPTE(e, !spte_is_access_tracked(&fmt, e));
	CHECK_SPTE(e, spte_is_accessed(&fmt, e) == (!keeps || leaf->accessed));
	CHECK_SPTE(e, spte_is_dirty(&fmt, e) == (keeps ? hw_dirty(e) : hw_writes(e)));
}

static void check_aging(const struct vmmu_leaf *leaf, uint64_t e)
{
	uint64_t old = vmmu_spte_without_accessed(&fmt, e), young = vmmu_spte_with_accessed(&fmt, old);

	CHECK_SPTE(old, spte_is_leaf(old, leaf->level) && !spte_is_frozen(old) && !spte_is_mmio(&fmt, old));
	CHECK_SPTE(old, !spte_is_accessed(&fmt, old));
	CHECK_SPTE(old, vmmu_spte_without_accessed(&fmt, old) == old);
	CHECK_SPTE(old, spte_address(&fmt, old) == spte_address(&fmt, e));
	CHECK_SPTE(old, !vmmu_spte_reserved(&fmt, old, leaf->level));
	CHECK_SPTE(old, spte_is_mmu_writable(&fmt, old) == spte_is_mmu_writable(&fmt, e));
	CHECK_SPTE(young, spte_is_accessed(&fmt, young));
	if (spte_has_accessed(&fmt, e)) {
		CHECK_SPTE(young, young == (e | fmt.accessed));
		CHECK_SPTE(old, hw_present(old) && !spte_is_access_tracked(&fmt, old));
	} else {
		CHECK_SPTE(young, young == (e & ~BIT(1)));
		CHECK_SPTE(old, !hw_present(old) && spte_is_access_tracked(&fmt, old));
	}
}

static void check_split(const struct vmmu_leaf *leaf, uint64_t e, unsigned int step)
{
	uint64_t size = vmmu_level_frames(leaf->level - 1);

	for (unsigned int i = 0; i < 512; i += step) {
		uint64_t part = vmmu_spte_split_part(e, leaf->level, i), rest = ~(fmt.address | SPTE_LARGE);

		CHECK_SPTE(part, spte_is_leaf(part, leaf->level - 1));
		CHECK_SPTE(part, spte_pfn(&fmt, part) == leaf->pfn + i * size);
		CHECK_SPTE(part, (part & rest) == (e & rest));
		CHECK_SPTE(part, !!(part & SPTE_LARGE) == (leaf->level > 2));
		CHECK_SPTE(part, !vmmu_spte_reserved(&fmt, part, leaf->level - 1) &&
					 !hw_reserved(part, leaf->level - 1, true));
	}
}

/* What is left after rights went is what a leaf made with the rest would be, but for D. */
static void check_narrowed(const struct vmmu_leaf *leaf, uint64_t e)
{
	for (unsigned int keep = 0; keep < 8; keep++) {
		struct vmmu_leaf rest = *leaf;
		uint64_t narrowed;

		rest.access &= (uint8_t)(keep | VMMU_ACC_R);
		narrowed = vmmu_spte_narrowed(&fmt, e, rest.access);
		CHECK_SPTE(narrowed, !((narrowed ^ vmmu_spte_make_leaf(&fmt, &rest)) & ~fmt.dirty));
	}
}

static void check_leaf(const struct vmmu_leaf *leaf, unsigned int n)
{
	uint64_t e = vmmu_spte_make_leaf(&fmt, leaf);

	CHECK_SPTE(e, spte_is_leaf(e, leaf->level) && !spte_is_table(e, leaf->level));
	CHECK_SPTE(e, !spte_is_frozen(e) && !spte_is_mmio(&fmt, e) && hw_present(e));
	CHECK_SPTE(e, !vmmu_spte_reserved(&fmt, e, leaf->level) && !hw_reserved(e, leaf->level, true));
	CHECK_SPTE(e, spte_pfn(&fmt, e) == leaf->pfn);
	CHECK_SPTE(e, (e & (VMMU_PAGE_SIZE - 1) & leaf->memtype) == leaf->memtype);
	/* The PAE form of a legacy entry reserves what lies between the address and NX. */
	CHECK_SPTE(e, IS_EPT(kind) || !(e & (BIT(63) - BIT(52))));
	check_rights(leaf, e);
	check_ad(leaf, e);
	check_aging(leaf, e);
	check_narrowed(leaf, e);
	if (leaf->level > 1)
		check_split(leaf, e, n % 61 ? 511 : 1);
	CHECK_SPTE(e, spte_without_write(e) == (e & ~BIT(1)));
	CHECK_SPTE(e, !spte_is_mmu_writable(&fmt, spte_without_write_for_good(&fmt, e)));
	CHECK_SPTE(e, !hw_writes(spte_without_write_for_good(&fmt, e)));
	CHECK_SPTE(e, !HAS_AD(kind) || !hw_dirty(spte_without_dirty(&fmt, e)));
}

static void test_leaves(void **state)
{
	static const unsigned int widths[] = { 32, 36, 39, 46, 48, 51, 52 };

	(void)state;
	for (enum kind k = 0; k < KINDS; k++)
		for (unsigned int w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
			set_format(k, widths[w], w % 2 ? widths[w] : 0);
			for (unsigned int n = 0; n < LEAVES; n++) {
				struct vmmu_leaf leaf;

				if (leaf_by_number(n, &leaf))
					check_leaf(&leaf, n);
			}
		}
}

static void test_tables(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++)
		for (unsigned int width = 32; width <= 52; width++) {
			set_format(k, width, 0);
			for (unsigned int bit = 12; bit < width; bit++)
				for (int level = 2; level <= 5; level++) {
					uint64_t e = vmmu_spte_make_table(&fmt, BIT(bit), level & 1);

					CHECK_SPTE(e, spte_is_table(e, level) && !spte_is_leaf(e, level) &&
							      !spte_is_mmio(&fmt, e));
					CHECK_SPTE(e, spte_address(&fmt, e) == BIT(bit));
					CHECK_SPTE(e, hw_reads(e) && hw_writes(e) && hw_fetches(e));
					CHECK_SPTE(e, !vmmu_spte_reserved(&fmt, e, level) &&
							      !hw_reserved(e, level, false));
				}
			/* No table is where leaves only can be, and the other way round. */
			for (int level = 4; level <= 5; level++)
				CHECK_SPTE(0, vmmu_spte_reserved(&fmt, SPTE_PRESENT | SPTE_LARGE, level));
		}
}

/* --- MMIO -------------------------------------------------------------------------------------- */

static void check_mmio(vmmu_gfn_t gfn, unsigned int access, uint64_t generation)
{
	uint64_t e = vmmu_spte_make_mmio(&fmt, gfn, access, generation);

	CHECK_SPTE(e, spte_is_mmio(&fmt, e) && !spte_is_present(e) && !spte_is_frozen(e) && e);
	CHECK_SPTE(e, vmmu_spte_mmio_gfn(&fmt, e) == gfn);
	CHECK_SPTE(e, vmmu_spte_mmio_access(&fmt, e) == (access & fmt.mmio_access));
	CHECK_SPTE(e, vmmu_spte_mmio_generation(e) == (generation & VMMU_MMIO_GEN_MASK));
	/* The CPU must fault, for certain: reserved bit in a present entry, or writable and not readable. */
	CHECK_SPTE(e, IS_EPT(kind) ? (e & 7) == 6 : (e & 1) && hw_reserved(e, 1, true));
	CHECK_SPTE(e, IS_EPT(kind) || !(e >> 63));
}

static void check_mmio_widths(void)
{
	for (unsigned int bit = 0; bit < phys - 12; bit++)
		for (unsigned int access = 0; access < 8; access++) {
			check_mmio(BIT(bit), access, 0);
			check_mmio(BIT(phys - 12) - 1 - BIT(bit), access, VMMU_MMIO_GEN_MASK);
		}
	for (unsigned int bit = 0; bit < 24; bit++)
		for (int d = -1; d <= 1; d++)
			check_mmio(BIT(phys - 12) - 1, VMMU_ACC_ALL, BIT(bit) + (uint64_t)d);
}

static void test_mmio(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++)
		for (unsigned int width = 32; width <= 52; width++)
			for (unsigned int cache = 0; cache <= 52; cache = cache ? cache + 1 : width) {
				set_format(k, width, cache);
				if (fmt.mmio_value)
					check_mmio_widths();
				else
					CHECK_SPTE(fmt.mmio_mask, k == LEGACY && width == 52);
				CHECK_SPTE(SPTE_FROZEN, !spte_is_mmio(&fmt, SPTE_FROZEN) && !hw_present(SPTE_FROZEN));
				CHECK_SPTE(0, !spte_is_mmio(&fmt, 0));
			}
}

/* Every generation, in one format of each kind. */
static void test_mmio_generations(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k += EPT_AD) {
		set_format(k, 46, 46);
		for (uint64_t generation = 0; generation <= VMMU_MMIO_GEN_MASK; generation++)
			check_mmio(generation * 0x4321 & (BIT(34) - 1), (unsigned int)generation & 7, generation);
	}
}

/* L1TF: an entry that is absent for the CPU names no memory that the cache could hold, once decoding is undone. */
static void test_l1tf(void **state)
{
	(void)state;
	for (unsigned int cache = 36; cache < 47; cache++) {
		set_format(LEGACY, cache, cache);
		CHECK_SPTE(fmt.l1tf_mask, fmt.l1tf_mask == (BIT(cache) - 1 - (BIT(cache - 5) - 1)));
		for (unsigned int bit = 0; bit < cache - 12; bit++) {
			uint64_t e = vmmu_spte_make_mmio(&fmt, BIT(bit), 0, 0);

			CHECK_SPTE(e, (e & fmt.l1tf_mask) == fmt.l1tf_mask);
		}
	}
	/* Too wide to move bits below the reserved one: no care possible. */
	set_format(LEGACY, 46, 47);
	CHECK_SPTE(fmt.l1tf_mask, !fmt.l1tf_mask);
}

/* --- What a host may ask for ------------------------------------------------------------------- */

static void test_custom_mmio(void **state)
{
	(void)state;
	set_format(LEGACY, 46, 46);
	assert_false(vmmu_spte_format_set_mmio(&fmt, BIT(51) | BIT(0), BIT(51), 0));	/* value outside mask */
	assert_int_equal(fmt.mmio_value, 0);
	assert_false(vmmu_spte_format_set_mmio(&fmt, SPTE_PRESENT, SPTE_PRESENT, 0));
	assert_false(vmmu_spte_format_set_mmio(&fmt, BIT(3), BIT(3), 0));		/* the generation's */
	assert_false(vmmu_spte_format_set_mmio(&fmt, BIT(62), BIT(62), 0));
	assert_false(vmmu_spte_format_set_mmio(&fmt, BIT(47), BIT(47), 0));		/* a moved address bit */
	assert_false(vmmu_spte_format_set_mmio(&fmt, 0, 7, 0));
	assert_false(vmmu_spte_format_set_mmio(&fmt, BIT(1), BIT(1), VMMU_ACC_W));	/* a right it is to hold */
	assert_true(vmmu_spte_format_set_mmio(&fmt, BIT(51) | BIT(0), BIT(51) | BIT(0), VMMU_ACC_W | VMMU_ACC_U));
}

static void test_encryption(void **state)
{
	struct vmmu_leaf leaf = { .level = 1, .access = VMMU_ACC_ALL, .pfn = 0x123 };
	uint64_t e;

	(void)state;
	set_format(LEGACY, 48, 0);
	assert_true(vmmu_spte_format_set_me(&fmt, BIT(47), BIT(47)));
	e = vmmu_spte_make_leaf(&fmt, &leaf);
	assert_true(!(e & BIT(47)) && spte_pfn(&fmt, e) == 0x123 && !vmmu_spte_reserved(&fmt, e, 1));
	leaf.plain_memory = true;
	e = vmmu_spte_make_leaf(&fmt, &leaf);
	assert_true((e & BIT(47)) && spte_pfn(&fmt, e) == 0x123 && !vmmu_spte_reserved(&fmt, e, 1));
	e = vmmu_spte_make_table(&fmt, 0x5000, false);
	assert_true((e & BIT(47)) && spte_address(&fmt, e) == 0x5000 && !vmmu_spte_reserved(&fmt, e, 2));
	/* A key that is not the host's. */
	assert_true(vmmu_spte_format_set_me(&fmt, BIT(46), BIT(46) | BIT(47)));
	assert_true(vmmu_spte_reserved(&fmt, e, 2) == BIT(47));
	assert_false(vmmu_spte_format_set_me(&fmt, BIT(46), BIT(47)));
	assert_true(!fmt.me_value && !fmt.me_mask && fmt.address == ((BIT(48) - 1) & ~0xfffull));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves),	   cmocka_unit_test(test_tables),
		cmocka_unit_test(test_mmio),	   cmocka_unit_test(test_mmio_generations),
		cmocka_unit_test(test_l1tf),	   cmocka_unit_test(test_custom_mmio),
		cmocka_unit_test(test_encryption),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
