/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Builder of the permission table of a mode. Pure; used by mode.c only. */
#ifndef VMMU_FORMAT_PERM_H
#define VMMU_FORMAT_PERM_H

#include <vmmu/mode.h>

/* Fill mode->perm of a legacy or NPT mode from wp, nx, smep, smap, pke and user_always. */
void vmmu_perm_build(struct vmmu_mode *mode);

#endif
