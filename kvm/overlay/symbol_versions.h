/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included in front of track.c, whose functions the distribution's own kvmgt.ko imports.
 *
 * The version of an exported symbol is computed from all types that its parameters lead to, as far as they are
 * complete. Where the distribution computes these, struct kvm leads to a complete struct kvm_mmu_page; here it is
 * an incomplete type that kvmgt never looks into. So that the versions are equal, as the interface is, the tool
 * that computes them, and nothing else, is shown the distribution's own definition.
 */
#ifdef __GENKSYMS__
#include "mmu/stock_mmu_internal.h"
#endif
