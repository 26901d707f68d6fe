// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L1 gives a device to L2: L0 emulates it, and sees L1 exchange it for memory and back. */
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

#define NOTHING_THERE	0xd0000000ull
#define HPET		0xfed00000ull
#define LOCAL_APIC	0xfee00000ull
enum { APIC_VERSION = 0x30, APIC_TASK_PRIORITY = 0x80 };

static u64 read_by_l2(struct world *w, u64 linear)
{
	vm_access(&w->vm, L2_READ, linear, 0);
	if (w->vm.exit.reason != EXIT_VMCALL)
		report_wrong("a read exits with %u, gpa %llx", w->vm.exit.reason, (ull)w->vm.exit.gpa);
	return (u32)w->vm.gpr[RAX];
}

static void write_by_l2(struct world *w, u64 linear, u32 value)
{
	w->vm.gpr[RDI] = linear;
	w->vm.gpr[RAX] = value;
	vm_run(&w->vm, l2_write_device);
}

static void test_device(struct world *w, u64 device, u32 offset, u32 expected)
{
	u64 gpa = world_window(), *entry = ept_entry(w->ept, gpa, 1);

	for (int turn = 0; turn < 3; turn++) {
		WRITE_ONCE(*entry, ept_leaf(device, 1, turn & 1 ? EPT_R : EPT_RWX));
		ept_flush(w->vm.eptp);
		for (int again = 0; again < 2; again++) {
			u32 value = read_by_l2(w, LINEAR + offset);

			if (value != expected)
				report_wrong("%x is read at %llx, not %x", value, (ull)device + offset, expected);
		}
		WRITE_ONCE(*entry, ept_leaf((uptr)world_frames() + turn * PAGE_BYTES, 1, EPT_RWX));
		ept_flush(w->vm.eptp);
		case_begin("memory in place of %llx", (ull)device);
		check_access(&w->vm, L2_READ, LINEAR);
		check_access(&w->vm, L2_WRITE, LINEAR);
	}
}

/* A device that L2 may not write is L1's to hear of. */
static void test_refused(struct world *w)
{
	volatile u32 *priority = (u32 *)(LOCAL_APIC + APIC_TASK_PRIORITY);
	u64 gpa = world_window();

	ept_map(w->ept, gpa, LOCAL_APIC, 1, EPT_R);
	ept_flush(w->vm.eptp);
	write_by_l2(w, LINEAR + APIC_TASK_PRIORITY, 0x20);
	if (w->vm.exit.reason != EXIT_EPT_VIOLATION ||
	    w->vm.exit.qualification != (QUAL_WRITE | QUAL_READABLE | QUAL_LINEAR_VALID | QUAL_TRANSLATED) ||
	    w->vm.exit.gpa != gpa + APIC_TASK_PRIORITY)
		report_wrong("a write to a read-only device: exit %u %llx gpa %llx", w->vm.exit.reason,
			     (ull)w->vm.exit.qualification, (ull)w->vm.exit.gpa);
	ept_map(w->ept, gpa, LOCAL_APIC, 1, EPT_RWX);
	write_by_l2(w, LINEAR + APIC_TASK_PRIORITY, 0x20);
	if (w->vm.exit.reason != EXIT_VMCALL || *priority != 0x20)
		report_wrong("a write to a device: exit %u, %x is there", w->vm.exit.reason, *priority);
	*priority = 0;
}

void test_mmio(void)
{
	struct world *w = &(struct world){ 0 };

	report_begin("devices of L1");
	world_make(w, true);
	world_map_linear(w, LINEAR, world_window());
	test_device(w, NOTHING_THERE, 0x10, *(volatile u32 *)(NOTHING_THERE + 0x10));
	test_device(w, HPET, 0, *(volatile u32 *)HPET);
	test_device(w, LOCAL_APIC, APIC_VERSION, *(volatile u32 *)(LOCAL_APIC + APIC_VERSION));
	test_refused(w);
	report_end();
}
