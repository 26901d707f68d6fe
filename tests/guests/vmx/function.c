// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L2 switches its EPT pointer by itself, with VMFUNC. */
#include "report.h"
#include "world.h"

#define HPET 0xfed00000ull

enum { POINTERS = 8 };

static bool switch_and_read(struct world *w, u64 number, u64 address)
{
	w->vm.gpr[RAX] = 0;
	w->vm.gpr[RCX] = number;
	w->vm.gpr[RDI] = address;
	vm_run(&w->vm, l2_vmfunc);
	return w->vm.exit.reason == EXIT_VMCALL;
}

/*
 * From a pointer with A and D flags to one without, where L2's top table may only be read: L0, which emulates L2's access
 * to a device, reads them as L2's CPU does.
 */
static void test_flags_off(struct world *w, u64 *list)
{
	u64 *top = ept_identity(), old = list[1], table = world_window() + PAGE_BYTES;

	ept_map(w->ept, table, (uptr)w->vm.space, 1, EPT_RWX);
	ept_map(top, table, (uptr)w->vm.space, 1, EPT_R);
	ept_map(top, world_window(), HPET, 1, EPT_RWX);
	w->vm.cr3 = table;
	vmwrite(VMCS_GUEST_CR3, table);
	vmwrite(VMCS_EPTP, list[0]);
	list[1] = ept_pointer(top, false);
	if (!switch_and_read(w, 0, LINEAR + 8) || w->vm.gpr[RAX] != TAG)
		report_wrong("with flags: exit %u", w->vm.exit.reason);
	if (!switch_and_read(w, 1, LINEAR) || w->vm.gpr[RAX] != *(volatile u64 *)HPET)
		report_wrong("a device below a table that is only read: exit %u, gpa %llx, %llx was read", w->vm.exit.reason,
			     (unsigned long long)w->vm.exit.gpa, (unsigned long long)w->vm.gpr[RAX]);
	list[1] = old;
	w->vm.cr3 = (uptr)w->vm.space;
	vmwrite(VMCS_GUEST_CR3, w->vm.cr3);
}

void test_function(void)
{
	struct world *w = &(struct world){ 0 };
	u64 gpa = world_window(), *list;

	if (!vmx_offers_proc2(PROC2_FUNCTIONS) || !(rdmsr(MSR_VMX_FUNCTIONS) & FUNCTION_EPTP_SWITCH))
		return report_skip("EPTP switched by VMFUNC", "not offered");
	report_begin("EPTP switched by VMFUNC");
	list = alloc_page();
	world_make(w, true);
	world_map_linear(w, LINEAR, gpa);
	for (int i = 0; i < POINTERS; i++) {
		u64 *top = i ? ept_identity() : w->ept;

		ept_map(top, gpa, (uptr)world_frames() + i * PAGE_BYTES, 1, EPT_RWX);
		list[i] = ept_pointer(top, true);
	}
	vm_set_proc2(&w->vm, PROC2_FUNCTIONS);
	vmwrite(VMCS_FUNCTIONS, FUNCTION_EPTP_SWITCH);
	vmwrite(VMCS_EPTP_LIST, (uptr)list);
	for (int turn = 0; turn < 100; turn++) {
		int number = turn * 3 % POINTERS;

		if (!switch_and_read(w, number, LINEAR + 8) || w->vm.gpr[RAX] != (u64)TAG + number)
			report_wrong("turn %d: exit %u, %llx was read, not %x", turn, w->vm.exit.reason,
				     (unsigned long long)w->vm.gpr[RAX], TAG + number);
		if (vmread(VMCS_EPTP) != list[number])
			report_wrong("turn %d: the pointer is %llx", turn, (unsigned long long)vmread(VMCS_EPTP));
	}
	test_flags_off(w, list);
	/* An entry that is no EPT pointer, and one beyond the list. */
	if (switch_and_read(w, POINTERS, LINEAR) || w->vm.exit.reason != EXIT_VMFUNC)
		report_wrong("an empty entry: exit %u", w->vm.exit.reason);
	if (switch_and_read(w, 512, LINEAR) || w->vm.exit.reason != EXIT_VMFUNC)
		report_wrong("beyond the list: exit %u", w->vm.exit.reason);
	report_end();
}
