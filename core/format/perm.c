/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The permission table, cell by cell from the rules of the Intel SDM vol. 3 "Determination of Access
 * Rights" and "Protection Keys". Built when a mode is, read on every check.
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

/*
 * Sets of rights, as a cell of the table is one: bit a is set for each combination a of rights that has @right. Worked
 * out by the compiler.
 */
static unsigned int rights_with(unsigned int right)
{
	unsigned int a, set = 0;

	for (a = 0; a < 8; a++)
		if (a & right)
			set |= 1u << a;
	return set;
}

/* With which rights does an access of kind @k fault? A write that is a fetch too has to pass both. */
static unsigned int perm_faults(const struct vmmu_mode *mode, struct perm_kind k)
{
	const unsigned int user_pages = rights_with(VMMU_ACC_U);
	unsigned int faults = 0;

	if (k.user)
		faults |= ~user_pages;
	if (k.write && (k.user || mode->wp))
		faults |= ~rights_with(VMMU_ACC_W);
	if (k.fetch && mode->nx)
		faults |= ~rights_with(VMMU_ACC_X);
	/* The kernel at a user's page. */
	if (!k.user && (k.fetch ? mode->smep : mode->smap && !k.flag4))
		faults |= user_pages;
	return faults & 0xff;
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
	unsigned int i;

	mode->perm.pkru_mask = 0;
	for (i = 0; i < 16; i++) {
		const struct perm_kind k = perm_kind(mode, i);

		mode->perm.fault[i] = (uint8_t)perm_faults(mode, k);
		mode->perm.pkru_mask |= perm_key_bits(mode, k) << (2 * i);
	}
}
