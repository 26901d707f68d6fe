/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Values of our own entries: how one is made, read and changed. See spte.h for the ledger of bits. */
#include "format/spte.h"

/* L1TF: this many high address bits are set in entries that are absent for the CPU. */
#define L1TF_BITS 5

static void format_init_reserved(struct vmmu_spte_format *fmt)
{
	uint64_t beyond = bits64_or_none(51, fmt->phys_bits);

	for (int level = 0; level <= VMMU_LEVEL_MAX; level++) {
		fmt->reserved_table[level] = beyond;
		fmt->reserved_leaf[level] = ~0ull;
	}
	fmt->reserved_table[VMMU_LEVEL_NONE] = ~0ull;
	fmt->reserved_table[VMMU_LEVEL_4K] = ~0ull;
	for (int level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_MAX; level++)
		fmt->reserved_table[level] |= SPTE_LARGE | (fmt->ept ? SPTE_EPT_MEMTYPE : 0);
	fmt->reserved_leaf[VMMU_LEVEL_4K] = beyond | SPTE_LARGE;
	fmt->reserved_leaf[VMMU_LEVEL_2M] = beyond | BITS64(20, 12);
	fmt->reserved_leaf[VMMU_LEVEL_1G] = beyond | BITS64(29, 12);
}

static void format_init_address(struct vmmu_spte_format *fmt, unsigned int phys_bits, unsigned int l1tf_cache_bits)
{
	fmt->phys_bits = phys_bits < 52 ? phys_bits : 52;
	fmt->address = BITS64(fmt->phys_bits - 1, VMMU_PAGE_SHIFT);
	/* The moved address bits of an MMIO entry have to stay below its reserved bit 51. */
	if (l1tf_cache_bits > VMMU_PAGE_SHIFT + L1TF_BITS && l1tf_cache_bits < 52 - L1TF_BITS)
		fmt->l1tf_mask = BITS64(l1tf_cache_bits - 1, l1tf_cache_bits - L1TF_BITS);
}

void vmmu_spte_format_init_legacy(struct vmmu_spte_format *fmt, unsigned int phys_bits, unsigned int l1tf_cache_bits)
{
	*fmt = (struct vmmu_spte_format){
		.present = SPTE_LEGACY_P,
		.writable = SPTE_W,
		.user = SPTE_LEGACY_U,
		.nx = SPTE_LEGACY_NX,
		.accessed = SPTE_LEGACY_A,
		.dirty = SPTE_LEGACY_D,
		.host_writable = SPTE_LEGACY_HOST_W,
		.mmu_writable = SPTE_LEGACY_MMU_W,
	};
	format_init_address(fmt, phys_bits, l1tf_cache_bits);
	format_init_reserved(fmt);
	/* Without a reserved address bit no entry faults for certain: no MMIO entries then. */
	if (fmt->phys_bits < 52)
		vmmu_spte_format_set_mmio(fmt, BIT64(51) | SPTE_LEGACY_P, BIT64(51) | SPTE_LEGACY_P,
					  VMMU_ACC_W | VMMU_ACC_U);
}

void vmmu_spte_format_init_ept(struct vmmu_spte_format *fmt, unsigned int phys_bits, unsigned int l1tf_cache_bits,
			       bool ad, bool exec_only)
{
	*fmt = (struct vmmu_spte_format){
		.ept = true,
		.present = exec_only ? 0 : SPTE_EPT_R,
		.readable = SPTE_EPT_R,
		.writable = SPTE_W,
		.exec = SPTE_EPT_X,
		.accessed = ad ? SPTE_EPT_A : 0,
		.dirty = ad ? SPTE_EPT_D : 0,
		.host_writable = SPTE_EPT_HOST_W,
		.mmu_writable = SPTE_EPT_MMU_W,
	};
	format_init_address(fmt, phys_bits, l1tf_cache_bits);
	format_init_reserved(fmt);
	/* Writable but not readable is a misconfiguration whatever the rest says: SDM "EPT Misconfigurations". */
	vmmu_spte_format_set_mmio(fmt, SPTE_W | SPTE_EPT_X, BITS64(2, 0), 0);
}

bool vmmu_spte_format_set_me(struct vmmu_spte_format *fmt, uint64_t value, uint64_t mask)
{
	bool sane = !(value & ~mask);

	fmt->me_value = sane ? value : 0;
	fmt->me_mask = sane ? mask : 0;
	fmt->address = BITS64(fmt->phys_bits - 1, VMMU_PAGE_SHIFT) & ~fmt->me_mask;
	format_init_reserved(fmt);
	/* A key the host does not use must not appear in an entry; the one it uses may. */
	for (int level = VMMU_LEVEL_4K; level <= VMMU_LEVEL_MAX; level++) {
		uint64_t unused = fmt->me_mask & ~fmt->me_value;

		fmt->reserved_table[level] = (fmt->reserved_table[level] | unused) & ~fmt->me_value;
		fmt->reserved_leaf[level] = (fmt->reserved_leaf[level] | unused) & ~fmt->me_value;
	}
	return sane;
}

bool vmmu_spte_format_set_mmio(struct vmmu_spte_format *fmt, uint64_t value, uint64_t mask, uint64_t access)
{
	uint64_t ours = SPTE_PRESENT | SPTE_MMIO_GEN_LOW | SPTE_MMIO_GEN_HIGH | access;
	bool usable = value && !(value & ~mask) && !(mask & ours) && !(mask & (fmt->l1tf_mask << L1TF_BITS)) &&
		      (SPTE_FROZEN & mask) != value;

	fmt->mmio_value = usable ? value : 0;
	fmt->mmio_mask = usable ? mask : 0;
	fmt->mmio_access = usable ? access : 0;
	return usable;
}

/* How A and D of a new leaf are kept. */
static uint64_t leaf_ad_tag(const struct vmmu_spte_format *fmt, const struct vmmu_leaf *leaf)
{
	if (!fmt->ept)
		return SPTE_AD_CPU;
	if (!fmt->accessed || leaf->ad_off)
		return SPTE_AD_OFF;
	return leaf->wrprot_log ? SPTE_AD_WRPROT : SPTE_AD_CPU;
}

/* W, the two bits that say who may set it, and D. */
static uint64_t leaf_write_bits(const struct vmmu_spte_format *fmt, const struct vmmu_leaf *leaf, uint64_t tag)
{
	uint64_t bits = leaf->host_writable ? fmt->host_writable : 0;

	if (!leaf->host_writable || !(leaf->access & VMMU_ACC_W) || leaf->tracked)
		return bits;
	bits |= fmt->mmu_writable;
	if (leaf->write_now) {
		bits |= fmt->writable;
		if (leaf->dirty && tag != SPTE_AD_OFF)
			bits |= fmt->dirty;
	}
	return bits;
}

uint64_t vmmu_spte_make_leaf(const struct vmmu_spte_format *fmt, const struct vmmu_leaf *leaf)
{
	uint64_t tag = leaf_ad_tag(fmt, leaf);
	uint64_t spte = SPTE_PRESENT | fmt->present | tag | leaf->memtype | (leaf->pfn << VMMU_PAGE_SHIFT);

	if (leaf->access & VMMU_ACC_R)
		spte |= fmt->readable;
	if (leaf->access & VMMU_ACC_U)
		spte |= fmt->user;
	spte |= leaf->access & VMMU_ACC_X ? fmt->exec : fmt->nx;
	spte |= leaf_write_bits(fmt, leaf, tag);
	if (leaf->accessed && tag != SPTE_AD_OFF)
		spte |= fmt->accessed;
	if (leaf->level > VMMU_LEVEL_4K)
		spte |= SPTE_LARGE;
	if (leaf->plain_memory)
		spte |= fmt->me_value;
	return spte;
}

uint64_t vmmu_spte_make_table(const struct vmmu_spte_format *fmt, vmmu_hpa_t table, bool ad_off)
{
	uint64_t spte = SPTE_PRESENT | fmt->present | fmt->readable | fmt->writable | fmt->user | fmt->exec |
			fmt->me_value | table;

	return ad_off || !fmt->accessed ? spte | (fmt->ept ? SPTE_AD_OFF : 0) : spte | fmt->accessed;
}

uint64_t vmmu_spte_make_pdpte(const struct vmmu_spte_format *fmt, vmmu_hpa_t table)
{
	return SPTE_PRESENT | SPTE_LEGACY_P | fmt->me_value | table;
}

uint64_t vmmu_spte_make_mmio(const struct vmmu_spte_format *fmt, vmmu_gfn_t gfn, unsigned int access,
			     uint64_t generation)
{
	vmmu_gpa_t gpa = gfn << VMMU_PAGE_SHIFT;
	uint64_t low = generation & (BIT64(SPTE_MMIO_GEN_LOW_BITS) - 1);
	uint64_t high = (generation & VMMU_MMIO_GEN_MASK) >> SPTE_MMIO_GEN_LOW_BITS;

	return fmt->mmio_value | (access & fmt->mmio_access) | (low << 3) | (high << 52) |
	       (gpa & ~fmt->l1tf_mask) | ((gpa & fmt->l1tf_mask) << L1TF_BITS) | fmt->l1tf_mask;
}

vmmu_gfn_t vmmu_spte_mmio_gfn(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	uint64_t moved = fmt->l1tf_mask << L1TF_BITS;
	vmmu_gpa_t gpa = spte & BITS64(51, 12) & ~(moved | fmt->l1tf_mask | fmt->mmio_mask);

	return (gpa | ((spte & moved) >> L1TF_BITS)) >> VMMU_PAGE_SHIFT;
}

unsigned int vmmu_spte_mmio_access(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	return (unsigned int)(spte & fmt->mmio_access);
}

uint64_t vmmu_spte_mmio_generation(uint64_t spte)
{
	return ((spte & SPTE_MMIO_GEN_LOW) >> 3) | ((spte & SPTE_MMIO_GEN_HIGH) >> 52 << SPTE_MMIO_GEN_LOW_BITS);
}

uint64_t vmmu_spte_split_part(uint64_t spte, int level, unsigned int index)
{
	uint64_t part = spte + ((uint64_t)index << (VMMU_PAGE_SHIFT + vmmu_level_frames_lg2(level - 1)));

	return level - 1 == VMMU_LEVEL_4K ? part & ~SPTE_LARGE : part;
}

uint64_t vmmu_spte_narrowed(const struct vmmu_spte_format *fmt, uint64_t spte, unsigned int access)
{
	if (!(access & VMMU_ACC_W))
		spte = spte_without_write_for_good(fmt, spte);
	if (!(access & VMMU_ACC_X))
		spte = (spte & ~fmt->exec) | fmt->nx;
	if (!(access & VMMU_ACC_U))
		spte &= ~fmt->user;
	return spte;
}

uint64_t vmmu_spte_without_accessed(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	if (spte_has_accessed(fmt, spte))
		return spte & ~fmt->accessed;
	if (spte_is_access_tracked(fmt, spte))
		return spte;
	return (spte & ~(SPTE_EPT_SAVED | BITS64(2, 0))) | ((spte & (SPTE_EPT_R | SPTE_EPT_X)) << SPTE_EPT_SAVED_LG2);
}

uint64_t vmmu_spte_with_exec(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	if (spte_is_access_tracked(fmt, spte))
		return spte | (SPTE_EPT_X << SPTE_EPT_SAVED_LG2);
	return (spte | fmt->exec) & ~fmt->nx;
}

uint64_t vmmu_spte_with_accessed(const struct vmmu_spte_format *fmt, uint64_t spte)
{
	if (spte_has_accessed(fmt, spte))
		return spte | fmt->accessed;
	return (spte & ~SPTE_EPT_SAVED) | ((spte & SPTE_EPT_SAVED) >> SPTE_EPT_SAVED_LG2);
}

uint64_t vmmu_spte_reserved(const struct vmmu_spte_format *fmt, uint64_t spte, int level)
{
	return spte & (spte_is_leaf(spte, level) ? fmt->reserved_leaf[level] : fmt->reserved_table[level]);
}
