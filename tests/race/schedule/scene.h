/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What scenes are made of: one VM, and what its threads do. */
#ifndef TESTS_RACE_SCENE_H
#define TESTS_RACE_SCENE_H

#include "../../support/audit.h"
#include "schedule.h"

extern struct machine_vm m;

/* A slot that is aligned, and three large pages long. */
#define START	0x400ull
#define FRAMES	0x600ull
#define GFN	0x655ull		/* what everything is about, in the second one */

static inline struct vmmu_slot *slot(void) { return machine_slot(&m, 0, 0); }

/* Scene @n of direct.c and shadow.c, NULL behind the last one. */
const struct scene *direct_scene(unsigned int n);
const struct scene *shadow_scene(unsigned int n);

/* A VM with that slot and two vCPUs. */
void scene_begin(const struct machine_config *config);
/* A vCPU that may fault as often as it takes. */
void scene_access(unsigned int vcpu, vmmu_gfn_t gfn, uint64_t pf);
/* What the host does, to GFN where it is about a frame. */
void scene_age(void);
void scene_move(void);
void scene_log_start(void);
void scene_harvest(void);
void scene_zap_all(void);
/* At the end: all is well, goes on working, and leaves nothing behind. */
void scene_check(void);
/* The last part of it: the log, an audit, and nothing is left. */
void scene_end(void);

#endif
