/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest walk over 4- and 5-level tables, also as an NPT. */
#include "format/guest_pt64.h"
#include "walk/gwalk.h"

enum vmmu_gwalk_result vmmu_gwalk_pt64(const struct gwalk_in *in, struct vmmu_gwalk *w)
{
	return gwalk(&vmmu_gfmt_pt64, in, w);
}

bool vmmu_gwalk_step_changed_pt64(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level)
{
	return gwalk_step_changed(&vmmu_gfmt_pt64, m, w, level);
}
