/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest walk over EPT. */
#include "format/guest_ept.h"
#include "walk/gwalk.h"

enum vmmu_gwalk_result vmmu_gwalk_ept(const struct gwalk_in *in, struct vmmu_gwalk *w)
{
	return gwalk(&vmmu_gfmt_ept, in, w);
}

bool vmmu_gwalk_step_changed_ept(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level)
{
	return gwalk_step_changed(&vmmu_gfmt_ept, m, w, level);
}
