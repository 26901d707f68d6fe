/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a page remembers of the guest's entries behind its leaves: a *mirror word* each, which is the entry with the
 * first frame of the leaf in place of its address, and of the other bits those that the leaf depends on. While a
 * last-level entry is equal to its word in these, the leaf is what the guest asks for.
 */
#ifndef VMMU_ENGINE_MIRROR_H
#define VMMU_ENGINE_MIRROR_H

#include <vmmu/vm.h>
#include <vmmu/walk.h>
#include "format/guest_ept.h"
#include "format/guest_pae.h"
#include "format/guest_pt32.h"
#include "format/guest_pt64.h"

#define MIRROR_ADDRESS BITS64(51, 12)

/* Of the table that @page mirrors. */
static inline const struct vmmu_gfmt *mirror_format(const struct vmmu_page *page)
{
	switch (page->role.format) {
	case VMMU_FORMAT_PT32:
	case VMMU_FORMAT_NPT32:
		return &vmmu_gfmt_pt32;
	case VMMU_FORMAT_PAE:
	case VMMU_FORMAT_NPT_PAE:
		return &vmmu_gfmt_pae;
	case VMMU_FORMAT_EPT:
		return &vmmu_gfmt_ept;
	default:
		return &vmmu_gfmt_pt64;
	}
}

VMMU_ALWAYS_INLINE uint64_t mirror_flags(const struct vmmu_gfmt *f)
{
	return f->present | f->readable | f->writable | f->user | f->executable | f->no_execute | f->accessed | f->dirty |
	       f->restricted;
}

/* The word of a leaf whose first frame is @gfn, and whose guest entry is @gpte. Never 0. */
VMMU_ALWAYS_INLINE uint64_t mirror_word(const struct vmmu_gfmt *f, vmmu_gfn_t gfn, uint64_t gpte)
{
	return gfn << VMMU_PAGE_SHIFT | (gpte & mirror_flags(f));
}

static inline vmmu_gfn_t mirror_gfn(uint64_t word)
{
	return (word & MIRROR_ADDRESS) >> VMMU_PAGE_SHIFT;
}

/* Rights that the guest gives by an entry of @page, or by the word of one, all levels above included. */
VMMU_ALWAYS_INLINE unsigned int mirror_access(const struct vmmu_gfmt *f, const struct vmmu_page *page, uint64_t word)
{
	return page->role.access & gfmt_access(f, page->role.level, word);
}

/* Is the last-level guest entry @gpte what it was when @word was made? */
VMMU_ALWAYS_INLINE bool mirror_is_current(const struct vmmu_gfmt *f, uint64_t word, uint64_t gpte)
{
	return !((word ^ gpte) & (f->address_mask | mirror_flags(f)));
}

/* First frame that leaf @i of @page maps. */
static inline vmmu_gfn_t leaf_gfn(const struct vmmu_page *page, unsigned int i)
{
	if (!page->s.mirrored)
		return page->gfn + i * vmmu_level_frames(page->role.level);
	return mirror_gfn(page->s.mirrored[i]);
}

/* Where the guest's entry behind entry @i is now. Return: false if it is nowhere. Context: slot read section. */
VMMU_MUST_CHECK bool vmmu_mirror_locate(const struct vmmu_page *page, unsigned int i, struct vmmu_gpte *at);
/* Read it. Return: false if it cannot be read now. Context: atomic. */
VMMU_MUST_CHECK bool vmmu_mirror_read(const struct vmmu_page *page, unsigned int i, uint64_t *gpte);
/* Read those behind entries @i and the @count - 1 that follow, of a page of level 1, into @gptes. */
VMMU_MUST_CHECK bool vmmu_mirror_read_run(const struct vmmu_page *page, unsigned int i, unsigned int count,
					  uint64_t *gptes);
/* The word of a leaf of @page that guest entry @gpte in @mode gives; 0 if it gives none. */
uint64_t vmmu_mirror_word(const struct vmmu_mode *mode, const struct vmmu_page *page, uint64_t gpte);
/*
 * Key of the page below @page that guest entry @gpte leads to.
 * Return: false if to none, or if the CPU has yet to set its A.
 */
VMMU_MUST_CHECK bool vmmu_mirror_child(const struct vmmu_mode *mode, const struct vmmu_page *page, uint64_t gpte,
				       vmmu_gfn_t *gfn, union vmmu_role *role);

#endif
