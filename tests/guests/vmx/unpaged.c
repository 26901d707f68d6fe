// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L2 with paging off, in protected and in real mode: what it takes for physical is L1's to map. */
#include "report.h"
#include "world.h"

enum { RIGHTS_CODE32 = 0xc09b, RIGHTS_CODE16 = 0x9b, RIGHTS_DATA32 = 0xc093, RIGHTS_DATA16 = 0x93 };
enum { SEGMENT_CS = 1, SEGMENT_SS = 2, SEGMENTS = 6 };

/* Paging off and code of this width; in real mode all segments begin at `base`, but for the stack's. */
static void turn_paging_off(struct vm *vm, enum l2_width width, u64 base)
{
	bool real = width == L2_16;

	vm->width = width;
	vm->unpaged = true;
	vm->base = base;
	vmwrite(VMCS_ENTRY, vmread(VMCS_ENTRY) & ~(u64)ENTRY_GUEST_64);
	vmwrite(VMCS_GUEST_EFER, 0);
	vmwrite(VMCS_GUEST_CR0, read_cr0() & ~(CR0_PG | (real ? CR0_PE : 0)));
	for (int i = 0; i < SEGMENTS; i++) {
		u32 rights = real ? (i == SEGMENT_CS ? RIGHTS_CODE16 : RIGHTS_DATA16) :
			     i == SEGMENT_CS ? RIGHTS_CODE32 : RIGHTS_DATA32;

		vmwrite(VMCS_GUEST_RIGHTS + 2 * i, rights);
		vmwrite(VMCS_GUEST_BASES + 2 * i, base);
		if (real)
			vmwrite(VMCS_GUEST_LIMITS + 2 * i, 0xffff);
	}
	if (real) {
		vmwrite(VMCS_GUEST_BASES + 2 * SEGMENT_SS, vm->stack - PAGE_BYTES);
		vm->stack = PAGE_BYTES;
	}
}

static void try_unpaged(enum l2_width width, u64 base, u64 gpa)
{
	struct world *w = &(struct world){ 0 };

	world_make(w, true);
	/* If there is a large page of the identity map, small ones take its place. */
	if (*ept_entry(w->ept, gpa, 2) & EPT_LEAF) {
		u64 start = gpa & ~(LARGE_BYTES - 1);

		WRITE_ONCE(*ept_entry(w->ept, gpa, 2), 0);
		for (u64 at = start; at < start + LARGE_BYTES; at += PAGE_BYTES)
			ept_map(w->ept, at, at, 1, EPT_RWX);
	}
	vm_set_proc2(&w->vm, PROC2_UNRESTRICTED);
	turn_paging_off(&w->vm, width, base);
	for (u64 rights = 0; rights <= EPT_RWX; rights++) {
		ept_map(w->ept, gpa, (uptr)world_frames() + rights * PAGE_BYTES, 1, rights);
		world_forget_flags(w, gpa, 1);
		ept_flush(w->vm.eptp);
		case_begin("width %d, rights %llx", width, (unsigned long long)rights);
		for (int access = 0; access < L2_ACCESSES; access++)
			check_access(&w->vm, access, gpa);
	}
}

void test_unpaged(void)
{
	u64 base = (uptr)l2_read16 & ~0xffffull;

	if (!vmx_offers_proc2(PROC2_UNRESTRICTED))
		return report_skip("without paging", "not offered");
	report_begin("without paging");
	try_unpaged(L2_32, 0, 0x80000000);
	report_end();
	report_begin("real mode");
	/* The programs are in the first half of their 64 KiB. */
	try_unpaged(L2_16, base, base + 0xf000);
	report_end();
}
