/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The constructors of roles, one for each format. */
#include <vmmu/role.h>
#include "base/bits.h"

STATIC_CHECK(sizeof(union vmmu_role) == sizeof(uint32_t));

static union vmmu_role role_start(enum vmmu_format format, int level, int space)
{
	union vmmu_role role = { .word = 0 };

	role.format = (uint32_t)format & 0xf;
	role.level = (uint32_t)level & 7;
	role.access = VMMU_ACC_ALL;
	role.space = (uint32_t)space & 1;
	return role;
}

union vmmu_role vmmu_role_direct(int level, int space, bool guest_view)
{
	union vmmu_role role = role_start(VMMU_FORMAT_DIRECT, level, space);

	role.guest_view = guest_view;
	return role;
}

union vmmu_role vmmu_role_legacy(const struct vmmu_mode *mode, int level, int space, bool guest_view)
{
	union vmmu_role role = role_start(mode->format, level, space);

	role.guest_view = guest_view;
	role.nx = mode->nx;
	role.wp = mode->wp;
	role.smep_no_wp = mode->smep && !mode->wp;
	role.smap_no_wp = mode->smap && !mode->wp;
	role.pse = mode->pse;
	return role;
}

union vmmu_role vmmu_role_npt(const struct vmmu_mode *mode, int level, int space)
{
	union vmmu_role role = role_start(mode->format, level, space);

	role.guest_view = true;
	role.nx = mode->nx;
	role.pse = mode->pse;
	return role;
}

union vmmu_role vmmu_role_ept(const struct vmmu_mode *mode, int level, int space)
{
	union vmmu_role role = role_start(VMMU_FORMAT_EPT, level, space);

	role.guest_view = true;
	role.ad_off = !mode->accessed_dirty;
	role.exec_only = mode->execonly;
	return role;
}

union vmmu_role vmmu_role_child(union vmmu_role parent, unsigned int access, unsigned int quadrant)
{
	union vmmu_role role = parent;

	role.level = (parent.level - 1u) & 7;
	role.access = access & VMMU_ACC_ALL;
	role.quadrant = quadrant & 3;
	return role;
}

union vmmu_role vmmu_role_child_direct(union vmmu_role parent, unsigned int access)
{
	union vmmu_role role = vmmu_role_child(parent, access, 0);

	/* The control bits stay: with CR0.WP clear a leaf may hold rights that its mirrored entry does not give. */
	role.format = VMMU_FORMAT_DIRECT;
	role.pse = 0;
	return role;
}
