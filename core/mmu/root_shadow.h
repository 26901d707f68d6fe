/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Roots that mirror a guest's tables. */
#ifndef VMMU_MMU_ROOT_SHADOW_H
#define VMMU_MMU_ROOT_SHADOW_H

#include <vmmu/vm.h>

/*
 * Give @c a root that mirrors the guest's tables at c->pgd (PAE: c->pdpte). May sleep; takes vm (shared). @built: was a
 * page made for it? Return: VMMU_OK; VMMU_ENOMEM; VMMU_EFAULT: the tables are not in guest memory.
 */
VMMU_MUST_CHECK int vmmu_root_load_shadow(struct vmmu_vcpu *v, struct vmmu_context *c, bool *built);

/* The context drops @root, a table of its own, which is parked or goes. Context: takes vm (shared). */
void vmmu_own_root_drop(struct vmmu_vcpu *v, struct vmmu_page *root);
/* Evict shadow pages until a fault's worth of new ones fits the quota. Context: may sleep; takes vm (shared). */
void vmmu_make_room(struct vmmu_vm *vm);

#endif
