/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The body of a guest walk, for any format: one pass from the root to the leaf, then the rights, then the
 * A and D flags. Instances with a constant descriptor are in gwalk_<format>.c.
 *
 * A pass keeps no promise about the tables as a whole: each entry is read once, in one access, and the
 * guest may change it right after, as it may under a CPU's walker. The compare-and-exchange that sets
 * flags proves that the entry still is the one the walk used; where it does not, the pass begins again.
 * Knows nothing of shadow pages; takes no lock.
 */
#ifndef VMMU_WALK_GWALK_H
#define VMMU_WALK_GWALK_H

#include <vmmu/host.h>
#include <vmmu/walk.h>
#include "format/guest.h"

/* The arguments of vmmu_gwalk(), constant for a walk. */
struct gwalk_in {
	struct vmmu_vcpu *v;
	const struct vmmu_mode *mode;
	uint64_t root;
	const uint64_t *pdptrs;
	vmmu_gva_t va;
	const struct vmmu_access *access;
};

/* End the walk with a fault at the entry of @level. @reason: P, RSVD, PK; @acc: rights of the entries used. */
VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk_fault(const struct vmmu_gfmt *f, const struct gwalk_in *in,
						      struct vmmu_gwalk *w, int level, uint64_t reason,
						      unsigned int acc)
{
	const struct vmmu_access *access = in->access;
	struct vmmu_guest_fault *fault = &w->fault;

	w->level = (uint8_t)level;
	*fault = (struct vmmu_guest_fault) {
		.error_code = reason | vmmu_perm_error(in->mode, access->pf),
		.address = in->va,
		.linear = in->va,
		.stage = VMMU_STAGE_TABLES,
	};
	if (f->readable) {
		const bool read = access->read_too || !(access->pf & (VMMU_PF_W | VMMU_PF_F));

		fault->misconfig = reason & VMMU_PF_RSVD;
		fault->ept_qual = (uint8_t)((read ? VMMU_EPT_QUAL_READ : 0) |
					    (access->pf & VMMU_PF_W ? VMMU_EPT_QUAL_WRITE : 0) |
					    (access->pf & VMMU_PF_F ? VMMU_EPT_QUAL_FETCH : 0) |
					    (acc & VMMU_ACC_R ? VMMU_EPT_QUAL_READABLE : 0) |
					    (acc & VMMU_ACC_W ? VMMU_EPT_QUAL_WRITABLE : 0) |
					    (acc & VMMU_ACC_X ? VMMU_EPT_QUAL_EXECUTABLE : 0));
	}
	vmmu_host_trace_walk(VMMU_WALK_ERROR, fault->error_code, 0, 0);
	return VMMU_GWALK_FAULT;
}

/*
 * Put the L2 physical address @ngpa through L1's nested tables, if the mode has them, for an access @pf.
 * Return: the L1 physical address, or VMMU_GPA_INVALID with w->fault complete.
 */
VMMU_ALWAYS_INLINE vmmu_gpa_t gwalk_nested(const struct gwalk_in *in, struct vmmu_gwalk *w, int level, vmmu_gpa_t ngpa,
					   uint64_t pf, enum vmmu_walk_stage stage)
{
	struct vmmu_guest_fault *fault = &w->fault;
	vmmu_gpa_t gpa;

	if (in->mode->nested == VMMU_NESTED_NONE)
		return ngpa;
	/*
	 * At the nested stage every access of the guest is a user's ("Nested Paging and User/Supervisor Permissions").
	 */
	gpa = vmmu_host_translate_nested(in->v, ngpa, pf | VMMU_PF_U, fault);
	if (gpa != VMMU_GPA_INVALID)
		return gpa;

	w->level = (uint8_t)level;
	fault->address = ngpa;
	fault->linear = in->va;
	fault->stage = (uint8_t)stage;
	fault->error_code &= ~(VMMU_PF_FINAL | VMMU_PF_TABLE);
	fault->error_code |= stage == VMMU_STAGE_NESTED_FINAL ? VMMU_PF_FINAL : VMMU_PF_TABLE;
	vmmu_host_trace_walk(VMMU_WALK_ERROR, fault->error_code, 0, 0);
	return VMMU_GPA_INVALID;
}

/* Is the root of this walk in registers? */
VMMU_ALWAYS_INLINE bool gwalk_root_in_registers(const struct vmmu_gfmt *f, const struct gwalk_in *in, int level)
{
	return !f->rights_at_top && level == (int)f->top_level && in->pdptrs;
}

/* Address, before nested translation, of the entry the walk uses at @level. The steps above @level are valid. */
VMMU_ALWAYS_INLINE vmmu_gpa_t gwalk_entry_ngpa(const struct vmmu_gfmt *f, const struct gwalk_in *in,
					       const struct vmmu_gwalk *w, int level)
{
	const vmmu_gpa_t table = level == in->mode->root_level ? in->root & f->root_mask :
				 gfmt_table(f, w->step[level + 1].entry);

	return table + gfmt_offset(f, gfmt_index(f, level, in->va));
}

/* Fill the step of @level with the entry as it stands in guest memory now. */
VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk_read(const struct vmmu_gfmt *f, const struct gwalk_in *in,
						     struct vmmu_gwalk *w, int level)
{
	struct vmmu_gwalk_step *step = &w->step[level];
	const vmmu_gpa_t ngpa = gwalk_entry_ngpa(f, in, w, level);
	uint64_t pf = VMMU_PF_TABLE;
	vmmu_gpa_t gpa;

	step->index = (uint16_t)gfmt_index(f, level, in->va);
	step->access = 0;
	if (gwalk_root_in_registers(f, in, level)) {
		step->table_gfn = ngpa >> VMMU_PAGE_SHIFT;
		step->at = (struct vmmu_gpte) { .gpa = ngpa };
		step->entry = in->pdptrs[step->index];
		vmmu_host_trace_walk(VMMU_WALK_ELEMENT, step->entry, (uint64_t)level, 0);
		return VMMU_GWALK_OK;
	}

	if (in->mode->nested == VMMU_NESTED_WRITE)
		pf |= VMMU_PF_W;
	gpa = gwalk_nested(in, w, level, ngpa, pf, VMMU_STAGE_NESTED_TABLE);
	if (gpa == VMMU_GPA_INVALID)
		return VMMU_GWALK_FAULT;
	step->table_gfn = gpa >> VMMU_PAGE_SHIFT;
	if (vmmu_host_gpte_locate(in->v, gpa, &step->at) ||
	    vmmu_host_gpte_read(&step->at, f->entry_bytes, &step->entry))
		return gwalk_fault(f, in, w, level, 0, 0);
	vmmu_host_trace_walk(VMMU_WALK_ELEMENT, step->entry, (uint64_t)level, 0);
	return VMMU_GWALK_OK;
}

/* Add @flags to the entry of @level, which the walk found without them. */
VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk_set_flags(const struct vmmu_gfmt *f, const struct gwalk_in *in,
							  struct vmmu_gwalk *w, int level, uint64_t flags)
{
	struct vmmu_gwalk_step *step = &w->step[level];
	int status;

	/* So far the nested stage has allowed a read; the flags are a write of their own there. */
	if (in->mode->nested == VMMU_NESTED_READ &&
	    gwalk_nested(in, w, level, gwalk_entry_ngpa(f, in, w, level), VMMU_PF_TABLE | VMMU_PF_W,
			 VMMU_STAGE_NESTED_TABLE) == VMMU_GPA_INVALID)
		return VMMU_GWALK_FAULT;

	/* The log has to hold the page before D can be seen set ("Page-Modification Logging"). */
	if (f->logs_dirty && (flags & f->dirty) &&
	    vmmu_host_log_nested_write(in->v, in->va & ~(VMMU_PAGE_SIZE - 1))) {
		enum vmmu_gwalk_result result = gwalk_fault(f, in, w, level, 0, w->access);

		w->fault.log_full = true;
		return result;
	}

	if (flags & f->accessed)
		vmmu_host_trace_walk(VMMU_WALK_SET_ACCESSED, step->table_gfn, step->index, f->entry_bytes);
	if (flags & f->dirty)
		vmmu_host_trace_walk(VMMU_WALK_SET_DIRTY, step->table_gfn, step->index, f->entry_bytes);

	status = vmmu_host_gpte_cmpxchg(in->v, &step->at, f->entry_bytes, step->entry, step->entry | flags);
	if (status == VMMU_EAGAIN)
		return VMMU_GWALK_RETRY;
	if (status)
		return gwalk_fault(f, in, w, level, 0, 0);
	step->entry |= flags;
	return VMMU_GWALK_OK;
}

/*
 * The access is allowed: set A in every entry used and, for a write, D in the leaf, where they are not set yet. @unset:
 * the A flags that one of the entries lacks; mostly there is none.
 */
VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk_update(const struct vmmu_gfmt *f, const struct gwalk_in *in,
						       struct vmmu_gwalk *w, uint64_t unset)
{
	const struct vmmu_mode *m = in->mode;
	const uint64_t dirty = gfmt_dirty(f, m) & ~w->step[w->level].entry;
	const bool write = in->access->pf & VMMU_PF_W;

	w->clean = !write && dirty;
	if (write)
		unset |= dirty;
	for (int level = m->root_level; unset && level >= w->level; level--) {
		const struct vmmu_gwalk_step *step = &w->step[level];
		uint64_t flags = gfmt_accessed(f, m, level);
		enum vmmu_gwalk_result result;

		if (level == w->level && write)
			flags |= gfmt_dirty(f, m);
		flags &= ~step->entry;
		if (!flags || !step->at.writable)
			continue;
		if (in->access->no_flags)
			return VMMU_GWALK_UNFLAGGED;
		result = gwalk_set_flags(f, in, w, level, flags);
		if (result != VMMU_GWALK_OK)
			return result;
	}
	return VMMU_GWALK_OK;
}

/*
 * Read entries from the root to the leaf, whatever the access; leaves level, access and the steps filled, and in @unset
 * the A flags that one of them lacks.
 */
VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk_descend(const struct vmmu_gfmt *f, const struct gwalk_in *in,
							struct vmmu_gwalk *w, uint64_t *unset)
{
	const struct vmmu_mode *m = in->mode;
	unsigned int acc = VMMU_ACC_ALL;
	int level;

	for (level = m->root_level; ; level--) {
		const enum vmmu_gwalk_result result = gwalk_read(f, in, w, level);
		const uint64_t entry = w->step[level].entry;

		if (result != VMMU_GWALK_OK)
			return result;
		if (!gfmt_is_present(f, entry))
			return gwalk_fault(f, in, w, level, 0, 0);
		if (vmmu_mode_reserved(m, level, entry))
			return gwalk_fault(f, in, w, level, VMMU_PF_P | VMMU_PF_RSVD, 0);
		*unset |= gfmt_accessed(f, m, level) & ~entry;
		acc &= gfmt_access(f, level, entry);
		w->step[level].access = (uint8_t)acc;
		if (gfmt_is_leaf(m, level, entry))
			break;
	}
	w->level = (uint8_t)level;
	w->access = (uint8_t)acc;
	w->pkey = (uint8_t)gfmt_key(f, m, w->step[level].entry);
	return VMMU_GWALK_OK;
}

VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk_pass(const struct vmmu_gfmt *f, const struct gwalk_in *in,
						     struct vmmu_gwalk *w)
{
	enum vmmu_gwalk_result result;
	uint64_t error, unset = 0;
	vmmu_gpa_t gpa;

	vmmu_host_trace_walk(VMMU_WALK_START, in->va, in->access->pf, 0);
	result = gwalk_descend(f, in, w, &unset);
	if (result != VMMU_GWALK_OK)
		return result;

	error = vmmu_perm_check(in->mode, w->access, w->pkey, in->access);
	if (error)
		return gwalk_fault(f, in, w, w->level, error, w->access);

	w->ngfn = gfmt_leaf_gfn_at(f, w->level, w->step[w->level].entry, in->va);
	gpa = gwalk_nested(in, w, w->level, (w->ngfn << VMMU_PAGE_SHIFT) | (in->va & (VMMU_PAGE_SIZE - 1)),
			   (in->access->pf & (VMMU_PF_W | VMMU_PF_F)) | VMMU_PF_FINAL, VMMU_STAGE_NESTED_FINAL);
	if (gpa == VMMU_GPA_INVALID)
		return VMMU_GWALK_FAULT;
	w->gfn = gpa >> VMMU_PAGE_SHIFT;
	return gwalk_update(f, in, w, unset);
}

VMMU_ALWAYS_INLINE enum vmmu_gwalk_result gwalk(const struct vmmu_gfmt *f, const struct gwalk_in *in,
						struct vmmu_gwalk *w)
{
	enum vmmu_gwalk_result result;

	/* Not the steps, which are most of it: those that a walk reaches it fills. */
	w->gfn = w->ngfn = 0;
	w->level = w->root_level = in->mode->root_level;
	w->access = w->pkey = w->races = 0;
	w->clean = false;
	for (;;) {
		result = gwalk_pass(f, in, w);
		if (result != VMMU_GWALK_RETRY || w->races == VMMU_GWALK_RACES_MAX)
			break;
		w->races++;
	}
	if (result == VMMU_GWALK_RETRY) {
		gwalk_fault(f, in, w, w->level, 0, 0);
		w->fault.race = true;
	}
	return result;
}

/* vmmu_gwalk_step_changed() for one format. Context: atomic. */
VMMU_ALWAYS_INLINE bool gwalk_step_changed(const struct vmmu_gfmt *f, const struct vmmu_mode *m,
					   const struct vmmu_gwalk *w, int level)
{
	const struct vmmu_gwalk_step *step = &w->step[level];
	uint64_t flags = gfmt_accessed(f, m, level);
	uint64_t now;

	/* D means nothing in a table entry, and may come there when the guest uses the same entry as a leaf. */
	if (flags)
		flags |= gfmt_dirty(f, m);

	if (!step->at.host)
		return false;
	if (vmmu_host_gpte_read_atomic(&step->at, f->entry_bytes, &now))
		return true;
	return ((now ^ step->entry) & ~(flags & now)) != 0;
}

/* Instances. */
enum vmmu_gwalk_result vmmu_gwalk_pt32(const struct gwalk_in *in, struct vmmu_gwalk *w);
enum vmmu_gwalk_result vmmu_gwalk_pae(const struct gwalk_in *in, struct vmmu_gwalk *w);
enum vmmu_gwalk_result vmmu_gwalk_pt64(const struct gwalk_in *in, struct vmmu_gwalk *w);
enum vmmu_gwalk_result vmmu_gwalk_ept(const struct gwalk_in *in, struct vmmu_gwalk *w);
bool vmmu_gwalk_step_changed_pt32(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level);
bool vmmu_gwalk_step_changed_pae(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level);
bool vmmu_gwalk_step_changed_pt64(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level);
bool vmmu_gwalk_step_changed_ept(const struct vmmu_mode *m, const struct vmmu_gwalk *w, int level);

#endif
