/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Tables that exist only because a large page must not be executable (iTLB multihit): the guest fetched from
 * one, and got small executable pages instead. They are remembered, oldest first, so that they can be taken
 * back after a while: a guest that no longer runs code there gets its large page again.
 */
#ifndef VMMU_ENGINE_NX_H
#define VMMU_ENGINE_NX_H

#include <vmmu/vm.h>

/* Remember @page, which is linked. Context: rcu, vm any. */
void vmmu_nx_split_remember(struct vmmu_page *page);
/* @page goes, or is kept for another reason from now on. Nothing to do if it was not remembered. Context: atomic. */
void vmmu_nx_split_forget(struct vmmu_page *page);

#endif
