// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* VMX on, one VMCS for each L2, entries and exits. */
#include "boot.h"
#include "memory.h"
#include "report.h"
#include "vm.h"

extern bool vm_enter(struct vm *vm);
extern const char vm_exit_point[];

static u64 ept_caps;
static u32 proc2_offered;

_Static_assert(offsetof(struct vm, host_rsp) == VM_HOST_RSP, "entry.S");
_Static_assert(offsetof(struct vm, launched) == VM_LAUNCHED, "entry.S");

/* Controls as the CPU has them: what must be set is, what is wanted must be offered. */
static u32 controls(u32 msr, u32 wanted)
{
	u64 caps = rdmsr(msr);
	u32 value = (u32)caps | wanted;

	if (value & ~(u32)(caps >> 32))
		guest_panic("msr %x offers %llx, not %x", msr, (unsigned long long)caps, wanted);
	return value;
}

bool vmx_start(void)
{
	u64 *region = alloc_page();

	if (!cpu_has_vmx()) {
		report_skip("VMX", "the CPU has none");
		return false;
	}
	if (!(rdmsr(MSR_VMX_PROC) >> 32 & PROC_SECONDARY)) {
		report_skip("VMX", "there are no secondary controls");
		return false;
	}
	if (!(rdmsr(MSR_FEATURE_CONTROL) & FEATURE_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, FEATURE_LOCKED | FEATURE_VMX);
	write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | CR4_VMXE | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
	*(u32 *)region = rdmsr(MSR_VMX_BASIC);
	if (!vmxon((uptr)region))
		guest_panic("vmxon fails");
	proc2_offered = rdmsr(MSR_VMX_PROC2) >> 32;
	if (proc2_offered & (PROC2_EPT | PROC2_VPID))
		ept_caps = rdmsr(MSR_VMX_EPT_VPID);
	return true;
}

u64 vmx_ept_caps(void)
{
	return ept_caps;
}

bool vmx_offers_proc2(u32 wanted)
{
	return (proc2_offered & wanted) == wanted;
}

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

static struct table_pointer read_gdtr(void)
{
	struct table_pointer pointer;

	__asm__ volatile("sgdt %0" : "=m"(pointer));
	return pointer;
}

static struct table_pointer read_idtr(void)
{
	struct table_pointer pointer;

	__asm__ volatile("sidt %0" : "=m"(pointer));
	return pointer;
}

static u16 read_tr(void)
{
	u16 selector;

	__asm__ volatile("str %0" : "=r"(selector));
	return selector;
}

/* The base of a system descriptor of the GDT, which has 16 bytes. */
static u64 system_base(u64 gdt, u16 selector)
{
	const u64 *descriptor = (u64 *)(gdt + (selector & ~7));

	return (descriptor[0] >> 16 & 0xffffff) | (descriptor[0] >> 32 & 0xff000000) | descriptor[1] << 32;
}

static void init_host(void)
{
	static const enum vmcs_field data[] = { VMCS_HOST_ES, VMCS_HOST_SS, VMCS_HOST_DS, VMCS_HOST_FS, VMCS_HOST_GS };
	u64 gdt = read_gdtr().base;

	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		vmwrite(data[i], SEL_DATA);
	vmwrite(VMCS_HOST_CS, SEL_CODE64);
	vmwrite(VMCS_HOST_TR, read_tr());
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, 0);
	vmwrite(VMCS_HOST_TR_BASE, system_base(gdt, read_tr()));
	vmwrite(VMCS_HOST_GDTR_BASE, gdt);
	vmwrite(VMCS_HOST_IDTR_BASE, read_idtr().base);
	vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_RIP, (uptr)vm_exit_point);
}

enum { SEGMENT_CS = 1, SEGMENT_LDTR = 6, SEGMENT_TR = 7, SEGMENTS = 8 };
enum { RIGHTS_DATA = 0xc093, RIGHTS_CODE64 = 0xa09b, RIGHTS_TSS = 0x8b, RIGHTS_UNUSABLE = 0x10000 };

static void init_guest(struct vm *vm)
{
	for (int i = 0; i < SEGMENTS; i++) {
		u32 rights = i == SEGMENT_CS ? RIGHTS_CODE64 : i == SEGMENT_TR ? RIGHTS_TSS :
			     i == SEGMENT_LDTR ? RIGHTS_UNUSABLE : RIGHTS_DATA;

		vmwrite(VMCS_GUEST_ES + 2 * i, i == SEGMENT_CS ? SEL_CODE64 : i < SEGMENT_LDTR ? SEL_DATA : 0);
		vmwrite(VMCS_GUEST_LIMITS + 2 * i, i == SEGMENT_TR ? 0x67 : 0xffffffff);
		vmwrite(VMCS_GUEST_RIGHTS + 2 * i, rights);
		vmwrite(VMCS_GUEST_BASES + 2 * i, 0);
	}
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	vmwrite(VMCS_GUEST_GDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_CR0, read_cr0());
	vmwrite(VMCS_GUEST_CR4, read_cr4());
	vmwrite(VMCS_GUEST_CR3, vm->cr3);
	vmwrite(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	vmwrite(VMCS_GUEST_DR7, 0x400);
	vmwrite(VMCS_GUEST_RFLAGS, FLAGS_FIXED);
	vmwrite(VMCS_GUEST_RSP, vm->stack);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_LINK, ~0ull);
}

void vm_init(struct vm *vm, u64 eptp)
{
	static u16 vpids;
	u32 *region = alloc_page();

	*vm = (struct vm){ .vmcs = (uptr)region, .space = space_new() };
	vm->cr3 = (uptr)vm->space;
	vm->stack = (uptr)alloc_page() + PAGE_BYTES;
	*region = rdmsr(MSR_VMX_BASIC);
	if (!vmclear(vm->vmcs))
		guest_panic("vmclear fails");
	vm_load(vm);
	vmwrite(VMCS_PIN, controls(MSR_VMX_PIN, 0));
	vmwrite(VMCS_PROC, controls(MSR_VMX_PROC, PROC_SECONDARY));
	vm_set_proc2(vm, eptp ? PROC2_EPT : 0);
	vmwrite(VMCS_EXIT, controls(MSR_VMX_EXIT, EXIT_HOST_64 | EXIT_LOAD_EFER));
	vmwrite(VMCS_ENTRY, controls(MSR_VMX_ENTRY, ENTRY_GUEST_64 | ENTRY_LOAD_EFER));
	vmwrite(VMCS_EXCEPTIONS, ~0u);
	vmwrite(VMCS_PF_MASK, 0);
	vmwrite(VMCS_PF_MATCH, 0);
	vmwrite(VMCS_CR0_MASK, 0);
	vmwrite(VMCS_CR4_MASK, 0);
	if (eptp)
		vm_set_eptp(vm, eptp);
	if (vmx_offers_proc2(PROC2_VPID)) {
		vm->vpid = ++vpids;
		vm_set_proc2(vm, PROC2_VPID);
		vmwrite(VMCS_VPID, vm->vpid);
	}
	init_host();
	init_guest(vm);
}

void vm_load(struct vm *vm)
{
	if (!vmptrld(vm->vmcs))
		guest_panic("vmptrld fails");
}

void vm_set_eptp(struct vm *vm, u64 eptp)
{
	vm->eptp = eptp;
	vmwrite(VMCS_EPTP, eptp);
}

void vm_set_proc2(struct vm *vm, u32 set)
{
	vm->proc2 |= set;
	vmwrite(VMCS_PROC2, vm->proc2);
}

void vm_resume(struct vm *vm)
{
	if (!vm_enter(vm))
		guest_panic("the entry fails: error %llu", (unsigned long long)vmread(VMCS_ERROR));
	vm->exit = (struct vm_exit){
		.reason = vmread(VMCS_REASON),
		.qualification = vmread(VMCS_QUALIFICATION),
		.gpa = vmread(VMCS_PHYSICAL_ADDRESS),
		.linear = vmread(VMCS_LINEAR_ADDRESS),
		.rip = vmread(VMCS_GUEST_RIP),
	};
	if (vm->exit.reason & EXIT_ENTRY_FAILED)
		guest_panic("the entry fails: reason %x qualification %llx", vm->exit.reason,
			    (unsigned long long)vm->exit.qualification);
}

bool vm_is_refused(struct vm *vm)
{
	enum { INVALID_CONTROLS = 7 };

	return !vm_enter(vm) && vmread(VMCS_ERROR) == INVALID_CONTROLS;
}

void vm_run(struct vm *vm, const void *rip)
{
	vmwrite(VMCS_GUEST_RIP, (uptr)rip);
	vm_resume(vm);
}

const char *vm_program(const struct vm *vm, enum l2_access access)
{
	static const char *const programs[][L2_ACCESSES] = {
		[L2_64] = { l2_read, l2_write, l2_fetch },
		[L2_32] = { l2_read32, l2_write32, l2_fetch32 },
		[L2_16] = { l2_read16, l2_write16, l2_fetch16 },
	};

	return programs[vm->width][access];
}

void vm_access(struct vm *vm, enum l2_access access, u64 linear, u64 value)
{
	vm->gpr[RDI] = linear - vm->base;
	vm->gpr[RAX] = value;
	vmwrite(VMCS_GUEST_RSP, vm->stack);
	vm_run(vm, vm_program(vm, access) - vm->base);
}
