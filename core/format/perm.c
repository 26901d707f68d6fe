/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The permission table, cell by cell from the rules of the Intel SDM vol. 3 "Determination of Access
 * Rights" and "Protection Keys". Built when a mode is, read on every check: clarity counts here.
 */
#include "format/perm.h"
#include "base/bits.h"

/* A kind of access, taken apart; @flag4 is "SMAP is off" or "user page", as the table in question needs it. */
struct perm_kind {
	bool write;
	bool user;
	bool flag4;
	bool fetch;
};

static struct perm_kind perm_kind(const struct vmmu_mode *mode, unsigned int index)
{
	return (struct perm_kind) {
		.write = (index << 1) & VMMU_PF_W,
		.user = ((index << 1) & VMMU_PF_U) || mode->user_always,
		.flag4 = (index << 1) & VMMU_PF_RSVD,
		.fetch = (index << 1) & VMMU_PF_F,
	};
}

/* Does an access of kind @k to a page with rights @acc fault? A write that is a fetch too has to pass both. */
static bool perm_faults(const struct vmmu_mode *mode, struct perm_kind k, unsigned int acc)
{
	const bool user_page = acc & VMMU_ACC_U;

	if (k.user && !user_page)
		return true;
	if (k.write && !(acc & VMMU_ACC_W) && (k.user || mode->wp))
		return true;
	if (k.fetch && !(acc & VMMU_ACC_X) && mode->nx)
		return true;
	if (k.user || !user_page)
		return false;
	/* The kernel at a user's page. */
	return k.fetch ? mode->smep : mode->smap && !k.flag4;
}

/* Which of AD (1) and WD (2) of a user page's key forbid a data access of kind @k. Fetches are exempt. */
static uint32_t perm_key_bits(const struct vmmu_mode *mode, struct perm_kind k)
{
	const bool user_page = k.flag4;

	if (!mode->pke || !user_page || k.fetch)
		return 0;
	return k.write && (k.user || mode->wp) ? 3 : 1;
}

void vmmu_perm_build(struct vmmu_mode *mode)
{
	unsigned int i, acc;

	mode->perm.pkru_mask = 0;
	for (i = 0; i < 16; i++) {
		const struct perm_kind k = perm_kind(mode, i);
		unsigned int faults = 0;

		for (acc = 0; acc < 8; acc++)
			if (perm_faults(mode, k, acc))
				faults |= 1u << acc;
		mode->perm.fault[i] = (uint8_t)faults;
		mode->perm.pkru_mask |= perm_key_bits(mode, k) << (2 * i);
	}
}
