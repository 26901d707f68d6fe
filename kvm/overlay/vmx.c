// SPDX-License-Identifier: GPL-2.0-only
/* KVM's vmx.c with what this MMU cannot do yet switched off: see vendor.h. */

#include "vendor.h"
#include "vmx/vmx.c"

static bool vmmu_clear_nested(void)
{
	bool was_on = nested;

	nested = false;
	return was_on;
}

static bool vmmu_has_nested_paging(void)
{
	return enable_ept;
}
