/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Builders of the reserved-bit masks of a mode. Pure; used by mode.c only. */
#ifndef VMMU_FORMAT_RSVD_H
#define VMMU_FORMAT_RSVD_H

#include <vmmu/mode.h>

/*
 * Fill mode->rsvd of a legacy or NPT mode. format, root_level, nx and pse of @mode are set.
 * Expects mode->rsvd zeroed.
 */
void vmmu_rsvd_build_legacy(struct vmmu_mode *mode, const struct vmmu_regs *regs);

/* Fill mode->rsvd of an EPT mode. huge_levels and execonly of @mode are set. Expects mode->rsvd zeroed. */
void vmmu_rsvd_build_ept(struct vmmu_mode *mode, const struct vmmu_ept_config *config);

#endif
