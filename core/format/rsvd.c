/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Reserved bits of guest entries, from the tables "Format of ..." of the Intel SDM vol. 3 chapters on paging
 * and on EPT, and the entry figures of AMD APM vol. 2 "Page Translation and Protection".
 *
 * A bit the CPU ignores is in no mask. Bits above a feature that is off (keys, NX) are ignored or reserved
 * as the manual says for the CPU with the feature off.
 */
#include "format/rsvd.h"
#include "format/guest_ept.h"
#include "format/guest_pae.h"
#include "format/guest_pt32.h"
#include "format/guest_pt64.h"

/* Address bits no entry may have set. */
static uint64_t rsvd_address_bits(uint64_t reserved_gpa_bits, unsigned int maxphyaddr)
{
	if (maxphyaddr)
		reserved_gpa_bits |= bits64_or_none(63, (int)maxphyaddr);
	return reserved_gpa_bits & BITS64(51, VMMU_PAGE_SHIFT);
}

/* The same mask whatever bit 7 is: there it is an address type bit, ignored, or itself in the mask. */
static void rsvd_set_both(struct vmmu_rsvd *rsvd, int level, uint64_t mask)
{
	rsvd->mask[0][level] = mask;
	rsvd->mask[1][level] = mask;
}

/*
 * Only a 4 MiB page has reserved bits: bit 21, and of the eight high address bits those the CPU has not.
 * Without PSE bit 7 is ignored, and so is the difference.
 */
static void rsvd_build_pt32(struct vmmu_mode *mode, uint64_t address, bool pse36)
{
	struct vmmu_rsvd *rsvd = &mode->rsvd;
	uint64_t high;

	rsvd_set_both(rsvd, VMMU_LEVEL_4K, address & GPT32_ADDRESS);
	rsvd_set_both(rsvd, VMMU_LEVEL_2M, address & GPT32_ADDRESS);
	if (!mode->pse)
		return;
	high = BITS64(GPT32_HIGH_LOW_BIT + GPT32_HIGH_BITS - 1, GPT32_HIGH_LOW_BIT);
	if (pse36)
		high &= address >> (GPT32_HIGH_SHIFT - GPT32_HIGH_LOW_BIT);
	rsvd->mask[1][VMMU_LEVEL_2M] |= BIT64(21) | high;
}

/* PAE entries have no ignored high bits; a PDPTE has neither rights nor NX. */
static void rsvd_build_pae(struct vmmu_mode *mode, uint64_t address)
{
	struct vmmu_rsvd *rsvd = &mode->rsvd;
	const uint64_t all = address | BITS64(62, 52) | (mode->nx ? 0 : GPAE_NX);

	rsvd_set_both(rsvd, VMMU_LEVEL_4K, all);
	rsvd_set_both(rsvd, VMMU_LEVEL_2M, all);
	rsvd->mask[1][VMMU_LEVEL_2M] |= BITS64(20, 13);
	rsvd_set_both(rsvd, VMMU_LEVEL_1G, address | BITS64(63, 52) | BITS64(8, 5) | BITS64(2, 1));
}

/* Bit 12 of a large page is its PAT bit, not reserved. AMD keeps the place of the global bit zero from PML4E up. */
static void rsvd_build_pt64(struct vmmu_mode *mode, uint64_t address, bool amd)
{
	struct vmmu_rsvd *rsvd = &mode->rsvd;
	const uint64_t all = address | (mode->nx ? 0 : GPT64_NX);
	const uint64_t top = all | GPTE_LEAF_BIT | (amd ? BIT64(8) : 0);

	rsvd_set_both(rsvd, VMMU_LEVEL_4K, all);
	rsvd_set_both(rsvd, VMMU_LEVEL_2M, all);
	rsvd->mask[1][VMMU_LEVEL_2M] |= BITS64(20, 13);
	rsvd_set_both(rsvd, VMMU_LEVEL_1G, all);
	rsvd->mask[1][VMMU_LEVEL_1G] |= BITS64(29, 13);
	if (!((mode->huge_levels >> VMMU_LEVEL_1G) & 1))
		rsvd->mask[1][VMMU_LEVEL_1G] |= GPTE_LEAF_BIT;
	rsvd_set_both(rsvd, VMMU_LEVEL_512G, top);
	rsvd_set_both(rsvd, VMMU_LEVEL_256T, top);
}

void vmmu_rsvd_build_legacy(struct vmmu_mode *mode, const struct vmmu_regs *regs)
{
	const uint64_t address = rsvd_address_bits(regs->reserved_gpa_bits, regs->maxphyaddr);

	switch (mode->format) {
	case VMMU_FORMAT_PT32:
	case VMMU_FORMAT_NPT32:
		rsvd_build_pt32(mode, address, regs->pse36);
		break;
	case VMMU_FORMAT_PAE:
	case VMMU_FORMAT_NPT_PAE:
		rsvd_build_pae(mode, address);
		break;
	case VMMU_FORMAT_PT64:
	case VMMU_FORMAT_NPT64:
		rsvd_build_pt64(mode, address, regs->amd);
		break;
	default:
		break;
	}
}

/*
 * Which values of bits 5:0 are a misconfiguration ("EPT Misconfigurations"): write without read, execute
 * only where that is not supported, a memory type that is none. An entry that is not present never is one.
 * In a table entry bits 5:3 are reserved by the masks; with them zero the type counts as uncacheable.
 */
static uint64_t rsvd_bad_ept(bool execonly)
{
	uint64_t bad = 0;
	unsigned int low;

	for (low = 0; low < 64; low++) {
		const unsigned int type = low >> GEPT_MEMTYPE_SHIFT;
		const bool r = low & GEPT_R, w = low & GEPT_W, x = low & GEPT_X;
		const bool bad_rights = !r && (w || (x && !execonly));
		const bool bad_type = type == 2 || type == 3 || type == 7;

		if ((r || w || x) && (bad_rights || bad_type))
			bad |= BIT64(low);
	}
	return bad;
}

void vmmu_rsvd_build_ept(struct vmmu_mode *mode, const struct vmmu_ept_config *config)
{
	const uint64_t address = rsvd_address_bits(config->reserved_gpa_bits, config->maxphyaddr);
	struct vmmu_rsvd *rsvd = &mode->rsvd;
	int level;

	rsvd_set_both(rsvd, VMMU_LEVEL_4K, address);
	for (level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_1G; level++) {
		const int page_shift = VMMU_PAGE_SHIFT + GEPT_INDEX_BITS * (level - 1);

		rsvd->mask[0][level] = address | BITS64(6, 3);
		rsvd->mask[1][level] = address | BITS64(page_shift - 1, VMMU_PAGE_SHIFT);
		if (!((mode->huge_levels >> level) & 1))
			rsvd->mask[1][level] |= GPTE_LEAF_BIT;
	}
	rsvd_set_both(rsvd, VMMU_LEVEL_512G, address | BITS64(7, 3));
	rsvd_set_both(rsvd, VMMU_LEVEL_256T, address | BITS64(7, 3));
	rsvd->bad_ept = rsvd_bad_ept(config->execonly);
}
