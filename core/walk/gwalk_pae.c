/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest walk over PAE tables, also as an NPT. */
#include "format/guest_pae.h"
#include "walk/gwalk.h"

enum vmmu_gwalk_result vmmu_gwalk_pae(const struct gwalk_in *in, struct vmmu_gwalk *w)
{
	return gwalk(&vmmu_gfmt_pae, in, w);
}

bool vmmu_gwalk_step_changed_pae(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level)
{
	return gwalk_step_changed(&vmmu_gfmt_pae, m, w, level);
}
