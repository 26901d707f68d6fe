// SPDX-License-Identifier: GPL-2.0-only
/*
 * The members of struct kvm_mmu that the rest of KVM reads. This file alone writes roots, roles and permissions; what
 * they say is decided by the core's context.
 */
#include <vmmu/context.h>
#include <vmmu/host.h>

void vmmu_kvm_view_roots(struct kvm_mmu *mmu)
{
	struct vmmu_context *c = mmu_to_context(mmu);

	mmu->root.hpa = vmmu_root_hpa(c);
	mmu->root.pgd = c->root.page ? c->pgd : INVALID_PAGE;
	for (int i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++) {
		bool used = i < c->cached;

		mmu->prev_roots[i].hpa = used ? vmmu_host_table_hpa(c->cache[i].page->table) : INVALID_PAGE;
		mmu->prev_roots[i].pgd = used ? c->cache[i].pgd : INVALID_PAGE;
	}
	mmu->root_role = vmmu_kvm_role_word(c->role);
}

void vmmu_kvm_view_mode(struct kvm_mmu *mmu, const struct vmmu_mode *mode)
{
	BUILD_BUG_ON(sizeof(mmu->permissions) != sizeof(mode->perm.fault));

	memcpy(mmu->permissions, mode->perm.fault, sizeof(mmu->permissions));
	mmu->pkru_mask = mode->perm.pkru_mask;
}

/* Trace records hold this word, and tools decode it by a copy of KVM's layout. */
union kvm_mmu_page_role vmmu_kvm_role_word(union vmmu_role role)
{
	union kvm_mmu_page_role word = { 0 };
	bool four_bytes = role.format == VMMU_FORMAT_PT32 || role.format == VMMU_FORMAT_NPT32;
	bool direct = vmmu_role_is_direct(role);

	word.level = role.level;
	word.has_4_byte_gpte = four_bytes;
	word.quadrant = role.quadrant;
	word.direct = direct;
	word.access = role.access & (VMMU_ACC_X | VMMU_ACC_W | VMMU_ACC_U);
	word.efer_nx = direct || role.nx;
	word.cr0_wp = direct || role.wp;
	word.smep_andnot_wp = role.smep_no_wp;
	word.smap_andnot_wp = role.smap_no_wp;
	word.ad_disabled = role.ad_off || (direct && !vmmu_kvm_format.accessed);
	word.guest_mode = role.guest_view;
	word.smm = role.space;
	return word;
}
