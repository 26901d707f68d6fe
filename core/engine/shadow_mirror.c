/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See mirror.h. */
#include "engine/mirror.h"
#include <vmmu/host.h>

/* Index of the guest's entry behind entry @i: a 1024-entry table is mirrored by two pages, or, at level 2, by four. */
static unsigned int guest_index(const struct vmmu_page *page, unsigned int i)
{
	if (mirror_format(page)->entry_bytes == 8)
		return i;
	return page->role.level == VMMU_LEVEL_4K ? page->role.quadrant * 512u + i : page->role.quadrant * 256u + i / 2;
}

bool vmmu_mirror_locate(const struct vmmu_page *page, unsigned int i, struct vmmu_gpte *at)
{
	vmmu_gpa_t table = page->gfn << VMMU_PAGE_SHIFT;

	return !vmmu_host_gpte_locate_in(page->vm, page->role.space,
					 table + gfmt_offset(mirror_format(page), guest_index(page, i)), at);
}

bool vmmu_mirror_read(const struct vmmu_page *page, unsigned int i, uint64_t *gpte)
{
	struct vmmu_gpte at;

	return vmmu_mirror_locate(page, i, &at) &&
	       !vmmu_host_gpte_read_atomic(&at, mirror_format(page)->entry_bytes, gpte);
}

bool vmmu_mirror_read_run(const struct vmmu_page *page, unsigned int i, unsigned int count, uint64_t *gptes)
{
	struct vmmu_gpte at;

	return vmmu_mirror_locate(page, i, &at) &&
	       !vmmu_host_gpte_read_run(&at, mirror_format(page)->entry_bytes, count, gptes);
}

uint64_t vmmu_mirror_word(const struct vmmu_mode *mode, const struct vmmu_page *page, uint64_t gpte)
{
	const struct vmmu_gfmt *f = mirror_format(page);
	int level = page->role.level;

	if (!gfmt_is_present(f, gpte) || vmmu_mode_reserved(mode, level, gpte) || !gfmt_is_leaf(mode, level, gpte))
		return 0;
	return mirror_word(f, gfmt_leaf_gfn(f, level, gpte), gpte);
}

bool vmmu_mirror_child(const struct vmmu_mode *mode, const struct vmmu_page *page, uint64_t gpte, vmmu_gfn_t *gfn,
		       union vmmu_role *role)
{
	const struct vmmu_gfmt *f = mirror_format(page);
	int level = page->role.level;

	/* A 1024-entry table is mirrored by several pages. */
	if (f->entry_bytes != 8 || !gfmt_is_present(f, gpte) || vmmu_mode_reserved(mode, level, gpte) ||
	    gfmt_is_leaf(mode, level, gpte) || (gpte & gfmt_accessed(f, mode, level)) != gfmt_accessed(f, mode, level))
		return false;
	*gfn = gfmt_table(f, gpte) >> VMMU_PAGE_SHIFT;
	*role = vmmu_role_child(page->role, mirror_access(f, page, gpte), 0);
	return true;
}
