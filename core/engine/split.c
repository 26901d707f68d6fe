/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See split.h. */
#include "engine/split.h"
#include <vmmu/host.h>
#include "base/count.h"
#include "format/spte.h"
#include "page/page.h"

static void fill_parts(struct vmmu_page *page, uint64_t leaf, int level)
{
	const struct vmmu_spte_format *fmt = page->vm->fmt;
	/* It was not executable for its size only. */
	bool give_exec = level == VMMU_LEVEL_2M && flag_load(&page->vm->nx_huge_pages);

	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++) {
		uint64_t part = vmmu_spte_split_part(leaf, level, i);

		pte_store_private(&page->table[i], give_exec ? vmmu_spte_with_exec(fmt, part) : part);
	}
}

bool vmmu_split_leaf(const struct vmmu_place *place, const struct vmmu_page *root, uint64_t *old,
		     struct vmmu_page *page)
{
	struct vmmu_vm *vm = place->vm;
	union vmmu_role role = vmmu_role_direct(place->level - 1, place->space, root->role.guest_view);
	uint64_t spte = vmmu_spte_make_table(vm->fmt, vmmu_host_table_hpa(page->table), false);

	vmmu_page_name(page, place->gfn, role, place->entry);
	fill_parts(page, *old, place->level);
	if (!vmmu_change_try_split(place, old, spte)) {
		/* Pages of a pool are empty. */
		for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
			pte_store_private(&page->table[i], 0);
		return false;
	}
	vmmu_page_linked(page);
	count_vm(vm, VMMU_C_SPLITS, 1);
	vmmu_host_trace_split(vm, place->gfn, *old, place->level, VMMU_OK);
	*old = spte;
	return true;
}
