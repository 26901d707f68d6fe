// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L1 lets several contexts of L2 run by turns, one EPT pointer each: what of it costs L0 anything once all is warm. */
#include "report.h"
#include "mark.h"
#include "world.h"

enum { CONTEXTS_MAX = 16, SWITCHES = 1000 };

/* What a context has of its own. */
enum kind { POINTER, REGISTERS, VMCS, KINDS };
static const char *const kind_names[KINDS] = { "rotate", "registers", "vmcs" };

static struct world worlds[CONTEXTS_MAX];

/* An EPT pointer, and settings of paging in L2, which are none of the EPT's business, and in L1. */
static void set_registers(int context)
{
	vmwrite(VMCS_GUEST_CR0, read_cr0() & ~(u64)(context & 1 ? CR0_WP : 0));
	vmwrite(VMCS_GUEST_CR4, read_cr4() & ~(u64)(context & 2 ? CR4_PGE : 0));
	vmwrite(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | (context & 4 ? EFER_NXE : 0));
	write_cr4(read_cr4() ^ CR4_PGE);
	write_cr3(read_cr3());
}

static struct vm *enter_context(enum kind kind, int context, int count)
{
	struct vm *vm = &worlds[0].vm;

	if (kind == VMCS) {
		vm = &worlds[context].vm;
		vm_load(vm);
		return vm;
	}
	if (count > 1)
		vm_set_eptp(vm, ept_pointer(worlds[context].ept, true));
	if (kind == REGISTERS)
		set_registers(context);
	return vm;
}

static void turn(enum kind kind, int context, int count)
{
	struct vm *vm = enter_context(kind, context, count);

	vm_access(vm, L2_READ, LINEAR + 8, 0);
	if (vm->exit.reason != EXIT_VMCALL || vm->gpr[RAX] != (u64)TAG + context)
		report_wrong("%s, context %d of %d: exit %u, %llx was read", kind_names[kind], context, count,
			     vm->exit.reason, (unsigned long long)vm->gpr[RAX]);
}

static void rotate(enum kind kind, int count)
{
	/* The first round is cold; the second finds what the first left. */
	mark("%s.%d.cold", kind_names[kind], count);
	for (int i = 0; i < 2 * count; i++)
		turn(kind, i % count, count);
	mark("%s.%d.begin", kind_names[kind], count);
	for (int i = 0; i < SWITCHES; i++)
		turn(kind, i % count, count);
	mark("%s.%d.end", kind_names[kind], count);
}

void test_rotate(void)
{
	static const int counts[] = { 1, 2, 4, 5, 8, 16 };
	u64 cr4 = read_cr4();

	report_begin("contexts by turns");
	for (int i = 0; i < CONTEXTS_MAX; i++) {
		world_make(&worlds[i], true);
		world_map_linear(&worlds[i], LINEAR, world_window());
		ept_map(worlds[i].ept, world_window(), (uptr)world_frames() + i * PAGE_BYTES, 1, EPT_RWX);
	}
	vm_load(&worlds[0].vm);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		if (option_number("contexts", counts[i]) == (u64)counts[i])
			rotate(POINTER, counts[i]);
	}
	rotate(REGISTERS, 8);
	vm_set_eptp(&worlds[0].vm, ept_pointer(worlds[0].ept, true));
	rotate(VMCS, 16);
	write_cr4(cr4);
	vm_load(&worlds[0].vm);
	report_end();
}
