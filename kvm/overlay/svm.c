// SPDX-License-Identifier: GPL-2.0-only
/* KVM's svm.c with what this MMU cannot do yet switched off: see vendor.h. */

#define pr_fmt(fmt) "SVM: " fmt /* the same as in svm.c, which is no longer the first to include printk.h */

#include "vendor.h"
#include "svm/svm.c"

static bool vmmu_clear_nested(void)
{
	bool was_on = nested;

	nested = false;
	return was_on;
}

static bool vmmu_has_nested_paging(void)
{
	return npt_enabled;
}
