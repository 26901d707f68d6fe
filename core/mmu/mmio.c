/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* MMIO entries: finding out what an access that must fault has hit. See fault.h. */
#include <vmmu/context.h>
#include <vmmu/fault.h>
#include <vmmu/host.h>
#include "engine/direct.h"
#include "format/spte.h"

enum vmmu_mmio_result vmmu_mmio_lookup(struct vmmu_vcpu *v, vmmu_gpa_t addr, uint64_t generation,
				       vmmu_gfn_t *gfn, unsigned int *access, uint64_t *spte)
{
	const struct vmmu_spte_format *fmt = v->vm->fmt;
	struct vmmu_page *root = v->current_context->root.page;
	vmmu_gfn_t mask = ~0ull;
	int level;

	*spte = 0;
	if (!root)
		return VMMU_MMIO_NONE;
	if (root->shadow)
		mask = (1ull << vmmu_level_frames_lg2(root->role.level + 1)) - 1;
	/* The upper bits of a linear address repeat its highest translated one. */
	*spte = vmmu_direct_lookup(v->vm, root, (addr >> VMMU_PAGE_SHIFT) & mask, &level);
	if (spte_is_present(*spte))
		return vmmu_spte_reserved(fmt, *spte, level) ? VMMU_MMIO_BUG : VMMU_MMIO_NONE;
	if (!spte_is_mmio(fmt, *spte))
		return VMMU_MMIO_NONE;
	*gfn = vmmu_spte_mmio_gfn(fmt, *spte);
	*access = vmmu_spte_mmio_access(fmt, *spte);
	if (vmmu_spte_mmio_generation(*spte) != (generation & VMMU_MMIO_GEN_MASK))
		return VMMU_MMIO_STALE;
	return VMMU_MMIO_VALID;
}
