/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The identity of a table page: two pages with equal (gfn, role) are interchangeable, and nothing that does
 * not change what a page contains is in its role.
 *
 * Each format has one constructor, which starts from zero: a bit that a format does not use is 0 there
 * whatever the vCPU's registers say. A look-up and a stored role come from the same function.
 */
#ifndef VMMU_ROLE_H
#define VMMU_ROLE_H

#include <vmmu/types.h>
#include <vmmu/mode.h>

/* A direct page mirrors no guest table. */
#define VMMU_FORMAT_DIRECT VMMU_FORMAT_NONE

union vmmu_role {
	uint32_t word;
	struct {
		uint32_t format:4;		/* enum vmmu_format: what the page mirrors;
						 * VMMU_FORMAT_DIRECT mirrors nothing */
		uint32_t level:3;		/* of the table */
		uint32_t access:4;		/* VMMU_ACC_*: rights the walk above the table leaves;
						 * all for direct pages */
		uint32_t quadrant:2;		/* PT32 and NPT32:
						 * which part of a 1024-entry guest table the 512 entries mirror */
		uint32_t space:1;		/* memslot address space: 1 in SMM */
		uint32_t guest_view:1;		/* memslots private to the host (APIC page) are hidden:
						 * a nested guest looks through it */
		uint32_t ad_off:1;		/* leaves must not use the CPU's A and D bits */
		uint32_t nx:1;			/* legacy: EFER.NXE, bit 63 of a guest entry forbids execution */
		uint32_t wp:1;			/* legacy: CR0.WP */
		uint32_t smep_no_wp:1;		/* legacy: CR4.SMEP while CR0.WP is clear */
		uint32_t smap_no_wp:1;		/* legacy: CR4.SMAP while CR0.WP is clear */
		uint32_t exec_only:1;		/* EPT: execute-only translations are legal */
		uint32_t pse:1;			/* PT32, NPT32: 4 MiB pages exist */
	};
};

static inline bool vmmu_role_equal(union vmmu_role a, union vmmu_role b)
{
	return a.word == b.word;
}

/* Identity of the root of a direct tree (gpa -> hpa) of @level levels in address space @space. */
union vmmu_role vmmu_role_direct(int level, int space, bool guest_view);
/* Identity of the root that shadows a guest's own tables: 32-bit, PAE, 4- and 5-level. @level: of our root. */
union vmmu_role vmmu_role_legacy(const struct vmmu_mode *mode, int level, int space, bool guest_view);
/* Identity of the root that shadows L1's NPT. What L2 does with its registers has no part in it. */
union vmmu_role vmmu_role_npt(const struct vmmu_mode *mode, int level, int space);
/* Identity of the root that shadows L1's EPT. */
union vmmu_role vmmu_role_ept(const struct vmmu_mode *mode, int level, int space);
/* Identity of a table linked below @parent, reached with rights @access. @quadrant: 0 but for the 32-bit formats. */
union vmmu_role vmmu_role_child(union vmmu_role parent, unsigned int access, unsigned int quadrant);
/* Identity of a direct table linked below @parent: a guest's large page over small host pages. */
union vmmu_role vmmu_role_child_direct(union vmmu_role parent, unsigned int access);

static inline bool vmmu_role_is_direct(union vmmu_role role)
{
	return role.format == VMMU_FORMAT_DIRECT;
}

#endif
