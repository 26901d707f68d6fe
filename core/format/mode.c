/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Registers to paging mode. Knows nothing of vCPUs: arguments in, value out, always from zero.
 */
#include "format/perm.h"
#include "format/rsvd.h"
#include "base/bits.h"

const char *vmmu_format_name(enum vmmu_format format)
{
	static const char *const names[] = {
		[VMMU_FORMAT_NONE] = "direct",
		[VMMU_FORMAT_PT32] = "pt32",
		[VMMU_FORMAT_PAE] = "pae",
		[VMMU_FORMAT_PT64] = "pt64",
		[VMMU_FORMAT_EPT] = "ept",
		[VMMU_FORMAT_NPT32] = "npt32",
		[VMMU_FORMAT_NPT_PAE] = "npt-pae",
		[VMMU_FORMAT_NPT64] = "npt64",
	};

	STATIC_CHECK(sizeof(names) / sizeof(names[0]) == VMMU_FORMAT_COUNT);
	STATIC_CHECK(VMMU_FORMAT_COUNT <= 16);
	return (unsigned int)format < VMMU_FORMAT_COUNT ? names[format] : "?";
}

/* Shape of the tables of a CPU with paging on ("Paging-Mode Enabling"). */
static void mode_set_shape(struct vmmu_mode *mode, const struct vmmu_regs *regs, bool npt)
{
	if (regs->efer & VMMU_EFER_LMA) {
		mode->format = npt ? VMMU_FORMAT_NPT64 : VMMU_FORMAT_PT64;
		mode->root_level = regs->cr4 & VMMU_CR4_LA57 ? 5 : 4;
		mode->huge_levels = 1u << VMMU_LEVEL_2M;
		if (regs->gbpages)
			mode->huge_levels |= 1u << VMMU_LEVEL_1G;
	} else if (regs->cr4 & VMMU_CR4_PAE) {
		mode->format = npt ? VMMU_FORMAT_NPT_PAE : VMMU_FORMAT_PAE;
		mode->root_level = 3;
		mode->huge_levels = 1u << VMMU_LEVEL_2M;
	} else {
		mode->format = npt ? VMMU_FORMAT_NPT32 : VMMU_FORMAT_PT32;
		mode->root_level = 2;
		mode->pse = regs->cr4 & VMMU_CR4_PSE;
		mode->huge_levels = mode->pse ? 1u << VMMU_LEVEL_2M : 0;
	}
	mode->accessed_dirty = true;
	/* 4-byte entries have no room for the bit, whatever EFER says. */
	mode->nx = mode->root_level > 2 && (regs->efer & VMMU_EFER_NXE);
}

void vmmu_mode_init_legacy(struct vmmu_mode *mode, const struct vmmu_regs *regs)
{
	*mode = (struct vmmu_mode) { .format = VMMU_FORMAT_NONE };
	if (!(regs->cr0 & VMMU_CR0_PG))
		return;

	mode_set_shape(mode, regs, false);
	mode->wp = regs->cr0 & VMMU_CR0_WP;
	mode->smep = regs->cr4 & VMMU_CR4_SMEP;
	mode->smap = regs->cr4 & VMMU_CR4_SMAP;
	mode->pke = mode->root_level > 3 && (regs->cr4 & VMMU_CR4_PKE);
	vmmu_rsvd_build_legacy(mode, regs);
	vmmu_perm_build(mode);
}

void vmmu_mode_init_npt(struct vmmu_mode *mode, const struct vmmu_regs *l1)
{
	*mode = (struct vmmu_mode) { .user_always = true };
	mode_set_shape(mode, l1, true);
	/* No page is a supervisor's access to a user's here, but with SMEP on a fault says that it was a fetch. */
	mode->smep = l1->cr4 & VMMU_CR4_SMEP;
	vmmu_rsvd_build_legacy(mode, l1);
	vmmu_perm_build(mode);
}

void vmmu_mode_init_ept(struct vmmu_mode *mode, const struct vmmu_ept_config *config)
{
	int level;

	*mode = (struct vmmu_mode) {
		.format = VMMU_FORMAT_EPT,
		.root_level = config->root_level,
		.accessed_dirty = config->accessed_dirty,
		.execonly = config->execonly,
	};
	for (level = VMMU_LEVEL_2M; level <= VMMU_LEVEL_1G && level <= config->huge_level; level++)
		mode->huge_levels |= 1u << level;
	vmmu_rsvd_build_ept(mode, config);
}

void vmmu_mode_set_wp(struct vmmu_mode *mode, bool wp)
{
	if (mode->format == VMMU_FORMAT_NONE || vmmu_format_is_nested_tdp(mode->format) || mode->wp == wp)
		return;
	mode->wp = wp;
	vmmu_perm_build(mode);
}

/* Are they the same to a constructor, but for CR0.WP? Bits that no constructor looks at may differ. */
static bool regs_equal(const struct vmmu_regs *a, const struct vmmu_regs *b)
{
	const uint64_t cr4 = VMMU_CR4_PSE | VMMU_CR4_PAE | VMMU_CR4_LA57 | VMMU_CR4_SMEP | VMMU_CR4_SMAP | VMMU_CR4_PKE;
	const uint64_t efer = VMMU_EFER_LMA | VMMU_EFER_NXE;

	return !((a->cr0 ^ b->cr0) & VMMU_CR0_PG) && !((a->cr4 ^ b->cr4) & cr4) && !((a->efer ^ b->efer) & efer) &&
	       a->reserved_gpa_bits == b->reserved_gpa_bits && a->maxphyaddr == b->maxphyaddr &&
	       a->gbpages == b->gbpages && a->pse36 == b->pse36 && a->amd == b->amd;
}

void vmmu_mode_update_legacy(struct vmmu_mode *mode, struct vmmu_regs *last, const struct vmmu_regs *regs)
{
	if (mode->format == VMMU_FORMAT_NONE || !regs_equal(last, regs))
		vmmu_mode_init_legacy(mode, regs);
	else
		vmmu_mode_set_wp(mode, regs->cr0 & VMMU_CR0_WP);
	*last = *regs;
}

void vmmu_mode_update_npt(struct vmmu_mode *mode, struct vmmu_regs *last, const struct vmmu_regs *l1)
{
	if (mode->format == VMMU_FORMAT_NONE || !regs_equal(last, l1))
		vmmu_mode_init_npt(mode, l1);
	*last = *l1;
}

void vmmu_mode_update_ept(struct vmmu_mode *mode, struct vmmu_ept_config *last, const struct vmmu_ept_config *config)
{
	if (mode->format == VMMU_FORMAT_NONE || last->reserved_gpa_bits != config->reserved_gpa_bits ||
	    last->maxphyaddr != config->maxphyaddr || last->root_level != config->root_level ||
	    last->huge_level != config->huge_level || last->execonly != config->execonly ||
	    last->accessed_dirty != config->accessed_dirty)
		vmmu_mode_init_ept(mode, config);
	*last = *config;
}
