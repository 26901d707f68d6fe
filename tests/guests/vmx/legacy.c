// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L2 without EPT: its own tables are all there is, in L1's memory. */
#include "mark.h"
#include "report.h"
#include "world.h"

enum { SPACES = 8, SWITCHES = 400 };

static void check_all(struct vm *vm, u64 linear)
{
	for (int access = 0; access < L2_ACCESSES; access++)
		check_access(vm, access, linear);
}

/* L2's tables are all there is; L1 writes them, and tells. */
static void test_tables(void)
{
	static const u64 rights[] = { 0, PTE_P, PTE_P | PTE_W, PTE_P | PTE_NX, PTE_P | PTE_W | PTE_NX };
	struct vm *vm = &(struct vm){ 0 };
	u64 *pte, *directory, *moved = alloc_page();

	report_begin("without EPT");
	vm_init(vm, 0);
	pte = pt_entry(vm->space, 4, LINEAR, 1, PTE_P | PTE_W);
	directory = pt_entry(vm->space, 4, LINEAR, 2, 0);
	for (size_t turn = 0; turn < 4 * ARRAY_SIZE(rights); turn++) {
		u64 *entry = turn & 1 ? pte : directory;

		WRITE_ONCE(*pte, ((uptr)world_frames() + turn * PAGE_BYTES) | PTE_P | PTE_W);
		WRITE_ONCE(*entry, (*entry & PTE_ADDRESS) | rights[turn % ARRAY_SIZE(rights)]);
		case_begin("without EPT, turn %d", (int)turn);
		if (vm->vpid)
			invvpid(INVVPID_ONE, vm->vpid, 0);
		check_all(vm, LINEAR);
		WRITE_ONCE(*directory, (*directory & PTE_ADDRESS) | PTE_P | PTE_W);
	}
	/* Another top table, with another page at the same address. */
	WRITE_ONCE(*pte, (uptr)world_frames() | PTE_P | PTE_W);
	memcpy(moved, vm->space, PAGE_BYTES);
	moved[pt_index(LINEAR, 4)] = 0;
	*pt_entry(moved, 4, LINEAR, 1, PTE_P | PTE_W) = ((uptr)world_frames() + PAGE_BYTES) | PTE_P;
	for (int turn = 0; turn < 10; turn++) {
		vm->cr3 = turn & 1 ? (uptr)moved : (uptr)vm->space;
		vmwrite(VMCS_GUEST_CR3, vm->cr3);
		if (vm->vpid)
			invvpid(INVVPID_ONE, vm->vpid, 0);
		case_begin("without EPT, CR3 %d", turn & 1);
		check_all(vm, LINEAR);
	}
	report_end();
}

/* Address spaces by turns, a VPID each where there are any, so that nothing has to be flushed. */
static void test_spaces(void)
{
	struct vm *vm = &(struct vm){ 0 };
	u64 *spaces[SPACES];

	report_begin("address spaces without EPT");
	vm_init(vm, 0);
	for (int i = 0; i < SPACES; i++) {
		spaces[i] = space_new();
		*pt_entry(spaces[i], 4, LINEAR, 1, PTE_P | PTE_W) =
			(uptr)(world_frames() + i * PAGE_BYTES) | PTE_P | PTE_W;
	}
	for (int i = 0; i < 2 * SPACES + SWITCHES; i++) {
		int space = i % SPACES;

		if (i == 2 * SPACES)
			mark("legacy.%d.begin", SPACES);
		vm->cr3 = (uptr)spaces[space];
		vmwrite(VMCS_GUEST_CR3, vm->cr3);
		if (vm->vpid)
			vmwrite(VMCS_VPID, 100 + space);
		case_begin("space %d, turn %d", space, i);
		check_access(vm, i / SPACES & 1 ? L2_READ : L2_WRITE, LINEAR);
	}
	mark("legacy.%d.end", SPACES);
	report_end();
}

void test_legacy(void)
{
	test_tables();
	test_spaces();
}
