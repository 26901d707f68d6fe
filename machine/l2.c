/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* L2's own tables, which lie in what L1's nested tables translate; and L1's log of what L2 writes. See guest.h. */
#include <string.h>
#include <vmmu/fault.h>
#include "vcpu.h"

/* L1's log is of GUEST_L1_LOG entries; a full one is L1's to empty, before L2 goes on. */
int machine_log_nested_write(struct machine_vcpu *c, vmmu_gpa_t gpa)
{
	if (!c->g.nested.logs)
		return VMMU_OK;
	if (c->g.l1_logged == GUEST_L1_LOG)
		return VMMU_EFAULT;
	MACHINE_SAY("  L1's log: %#llx", (unsigned long long)gpa);
	c->g.l1_logged++;
	c->g.log_is_ahead = true;
	return VMMU_OK;
}

void machine_guest_entry_changes(struct machine_vcpu *c, uint64_t old, uint64_t value)
{
	bool ept = c->g.in_l2 && c->g.nested.ept;

	if (ept && c->g.nested.logs && c->g.nested.ad && (value & ~old & 1 << 9) && !c->g.log_is_ahead)
		machine_bug("D is set in L1's EPT entry %#llx, and L1's log does not have the page",
			    (unsigned long long)old);
	if (value & ~old & 1 << 9)
		c->g.log_is_ahead = false;
}

vmmu_gpa_t machine_translate_nested(struct machine_vcpu *c, vmmu_gpa_t gpa, uint64_t pf, struct vmmu_guest_fault *why)
{
	const struct vmmu_context *x = &c->v.nested;
	const struct vmmu_access how = {
		.pf = pf,
		.read_too = (pf & VMMU_PF_TABLE) && (pf & VMMU_PF_W),
	};

	return vmmu_translate(&c->v, &x->mode, x->pgd, NULL, gpa, &how, why);
}

vmmu_gpa_t machine_guest_l2_translate(struct machine_vcpu *c, uint64_t addr, uint64_t pf,
				      struct vmmu_guest_fault *fault)
{
	const struct vmmu_access how = { .pf = pf, .ac = c->ac };

	return vmmu_translate(&c->v, &c->g.l2_mode, c->g.l2.cr3, c->g.l2.pdpte, addr, &how, fault);
}

/* MOV to CR3 in PAE paging reads through the nested tables. */
static bool load_pdptes(struct machine_vcpu *c, struct machine_regs *r)
{
	uint64_t reserved = ~((1ull << c->m->config.guest_phys_bits) - 1) | 0x1e6;
	bool good = true;

	machine_slots_read_lock(c->m);
	for (unsigned int i = 0; i < 4 && good; i++) {
		struct vmmu_guest_fault why;
		struct vmmu_gpte at;
		vmmu_gpa_t gpa = machine_translate_nested(c, (r->cr3 & 0xffffffe0) + 8 * i, VMMU_PF_U | VMMU_PF_FINAL,
							  &why);

		good = gpa != VMMU_GPA_INVALID && !machine_gpte_locate(c->m, c->space, gpa, &at);
		if (good)
			r->pdpte[i] = __atomic_load_n((uint64_t *)at.host, __ATOMIC_SEQ_CST);
		good = good && !((r->pdpte[i] & 1) && (r->pdpte[i] & reserved));
	}
	machine_slots_read_unlock(c->m);
	return good;
}

bool machine_guest_l2_regs(struct machine_vcpu *c, const struct machine_regs *regs)
{
	struct machine_regs r = *regs;

	if (machine_uses_pdptes(&r) && !load_pdptes(c, &r))
		return false;
	c->g.l2 = r;
	machine_guest_describe(c, &r, &c->g.l2_mode, &c->g.l2_tables);
	c->g.l2_mode.nested = c->v.nested.mode.accessed_dirty ? VMMU_NESTED_WRITE : VMMU_NESTED_READ;
	c->g.l2_tables.outer = &c->g.tables;
	c->g.l2_tables.outer_writes = c->g.tables.kind == ORACLE_EPT ? c->g.tables.ept_ad : true;
	return true;
}
