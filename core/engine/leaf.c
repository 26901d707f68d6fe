/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See leaf.h. */
#include "engine/leaf.h"
#include <vmmu/host.h>
#include "base/atomic.h"
#include "format/spte.h"

/* Does a write to a page have to fault to be logged? The CPU's own log would hold addresses of the nested guest. */
static bool writes_logged_by_fault(const struct vmmu_vcpu *v, const struct vmmu_page *root)
{
	return !v->vm->dirty_by_pml || root->role.guest_view;
}

uint64_t vmmu_leaf_for(struct vmmu_vcpu *v, const struct vmmu_page *root, const struct vmmu_fault *f, int level)
{
	struct vmmu_vm *vm = v->vm;
	bool write = vmmu_fault_is_write(f), device = vmmu_host_pfn_is_mmio(f->pfn);
	bool logs = vmmu_host_slot_logs_dirty(f->slot);
	struct vmmu_leaf leaf = {
		.pfn = f->pfn & ~(vmmu_level_frames(level) - 1),
		.level = (uint8_t)level,
		.access = VMMU_ACC_ALL,
		.host_writable = f->writable,
		.write_now = write || !logs || !writes_logged_by_fault(v, root),
		.tracked = vmmu_host_write_tracked(vm, f->slot, f->gfn),
		.accessed = !f->prefetch,
		/* Outside of the log's slots the CPU has nothing to log: D stays set there while the CPU logs by it. */
		.dirty = write || (vm->dirty_by_pml && !logs),
		.wrprot_log = vm->dirty_by_pml && root->role.guest_view,
		.plain_memory = !device,
		.memtype = vmmu_host_memtype(v, f->gfn, device),
	};

	if (level > VMMU_LEVEL_4K && flag_load(&vm->nx_huge_pages))
		leaf.access &= (uint8_t)~VMMU_ACC_X;
	return vmmu_spte_make_leaf(vm->fmt, &leaf);
}

uint64_t vmmu_leaf_joined(const struct vmmu_spte_format *fmt, uint64_t old, uint64_t fresh)
{
	fresh |= old & fmt->accessed;
	/* With the D bit of a leaf that the log has taken W from, the CPU would write and log nothing. */
	if (old & SPTE_W)
		fresh |= old & fmt->dirty;
	if (spte_is_mmu_writable(fmt, fresh))
		fresh |= old & SPTE_W;
	return fresh;
}
