/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Choice of the walk by format, and what is common to all of them. */
#include "walk/gwalk.h"

const char *vmmu_walk_event_name(enum vmmu_walk_event event)
{
	static const char *const names[] = {
		[VMMU_WALK_START] = "start",
		[VMMU_WALK_ELEMENT] = "element",
		[VMMU_WALK_SET_ACCESSED] = "set-accessed",
		[VMMU_WALK_SET_DIRTY] = "set-dirty",
		[VMMU_WALK_ERROR] = "error",
	};

	STATIC_CHECK(sizeof(names) / sizeof(names[0]) == VMMU_WALK_EVENT_COUNT);
	return (unsigned int)event < VMMU_WALK_EVENT_COUNT ? names[event] : "?";
}

/* Without paging every address is its own translation, of any size and with every right. */
static enum vmmu_gwalk_result gwalk_unpaged(const struct gwalk_in *in, struct vmmu_gwalk *w)
{
	const uint64_t pf = (in->access->pf & (VMMU_PF_W | VMMU_PF_F)) | VMMU_PF_FINAL;
	vmmu_gpa_t gpa;

	*w = (struct vmmu_gwalk) {
		.level = VMMU_LEVEL_HUGE_MAX,
		.access = VMMU_ACC_ALL,
		.ngfn = in->va >> VMMU_PAGE_SHIFT,
	};
	gpa = gwalk_nested(in, w, VMMU_LEVEL_HUGE_MAX, in->va, pf, VMMU_STAGE_NESTED_FINAL);
	if (gpa == VMMU_GPA_INVALID)
		return VMMU_GWALK_FAULT;
	w->gfn = gpa >> VMMU_PAGE_SHIFT;
	return VMMU_GWALK_OK;
}

/*
 * L2 physical addresses can be wider than what L1's 32-bit tables translate. No entry is there for one, and none of
 * another address may answer for it.
 */
static bool is_beyond_tables(const struct gwalk_in *in)
{
	return (in->mode->format == VMMU_FORMAT_NPT32 || in->mode->format == VMMU_FORMAT_NPT_PAE) && in->va >> 32;
}

static enum vmmu_gwalk_result gwalk_beyond(const struct gwalk_in *in, struct vmmu_gwalk *w)
{
	*w = (struct vmmu_gwalk) {
		.level = in->mode->root_level,
		.root_level = in->mode->root_level,
		.fault = {
			.error_code = vmmu_perm_error(in->mode, in->access->pf),
			.address = in->va,
			.linear = in->va,
		},
	};
	vmmu_host_trace_walk(VMMU_WALK_ERROR, w->fault.error_code, 0, 0);
	return VMMU_GWALK_FAULT;
}

enum vmmu_gwalk_result vmmu_gwalk(struct vmmu_vcpu *v, const struct vmmu_mode *mode, uint64_t root,
				  const uint64_t *pdptrs, vmmu_gva_t va, const struct vmmu_access *access,
				  struct vmmu_gwalk *w)
{
	const struct gwalk_in in = {
		.v = v,
		.mode = mode,
		.root = root,
		.pdptrs = pdptrs,
		.va = va,
		.access = access,
	};

	if (is_beyond_tables(&in))
		return gwalk_beyond(&in, w);
	switch (mode->format) {
	case VMMU_FORMAT_PT32:
	case VMMU_FORMAT_NPT32:
		return vmmu_gwalk_pt32(&in, w);
	case VMMU_FORMAT_PAE:
	case VMMU_FORMAT_NPT_PAE:
		return vmmu_gwalk_pae(&in, w);
	case VMMU_FORMAT_PT64:
	case VMMU_FORMAT_NPT64:
		return vmmu_gwalk_pt64(&in, w);
	case VMMU_FORMAT_EPT:
		return vmmu_gwalk_ept(&in, w);
	default:
		return gwalk_unpaged(&in, w);
	}
}

bool vmmu_gwalk_step_changed(const struct vmmu_mode *mode, const struct vmmu_gwalk *w, int level)
{
	switch (mode->format) {
	case VMMU_FORMAT_PT32:
	case VMMU_FORMAT_NPT32:
		return vmmu_gwalk_step_changed_pt32(mode, w, level);
	case VMMU_FORMAT_PAE:
	case VMMU_FORMAT_NPT_PAE:
		return vmmu_gwalk_step_changed_pae(mode, w, level);
	case VMMU_FORMAT_PT64:
	case VMMU_FORMAT_NPT64:
		return vmmu_gwalk_step_changed_pt64(mode, w, level);
	case VMMU_FORMAT_EPT:
		return vmmu_gwalk_step_changed_ept(mode, w, level);
	default:
		return false;
	}
}

vmmu_gpa_t vmmu_translate(struct vmmu_vcpu *v, const struct vmmu_mode *mode, uint64_t root, const uint64_t *pdptrs,
			  vmmu_gva_t va, const struct vmmu_access *access, struct vmmu_guest_fault *fault)
{
	VMMU_UNINITIALIZED struct vmmu_gwalk w;

	if (vmmu_gwalk(v, mode, root, pdptrs, va, access, &w) != VMMU_GWALK_OK) {
		*fault = w.fault;
		return VMMU_GPA_INVALID;
	}
	return (w.gfn << VMMU_PAGE_SHIFT) | (va & (VMMU_PAGE_SIZE - 1));
}
