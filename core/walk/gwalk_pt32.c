/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest walk over two-level 32-bit tables, also as an NPT. */
#include "format/guest_pt32.h"
#include "walk/gwalk.h"

enum vmmu_gwalk_result vmmu_gwalk_pt32(const struct gwalk_in *in, struct vmmu_gwalk *w)
{
	return gwalk(&vmmu_gfmt_pt32, in, w);
}

bool vmmu_gwalk_step_changed_pt32(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level)
{
	return gwalk_step_changed(&vmmu_gfmt_pt32, m, w, level);
}
