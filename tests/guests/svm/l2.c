// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Guests of a few instructions: see l2.h. */
#include "cpu.h"
#include "l2.h"
#include "memory.h"
#include "print.h"

enum { CODE64 = 0xa9b, CODE32 = 0xc9b, DATA = 0xc93 };		/* attributes of flat segments */

void svm_run_long(struct svm_registers *registers, struct svm_vmcb *vmcb);
void svm_run_mode(struct svm_registers *registers, struct svm_vmcb *vmcb, const struct svm_host_mode *mode);

const char *svm_enable(void)
{
	if (!cpu_has_svm())
		return "no SVM";
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "SVM is disabled";
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME | EFER_NXE);
	wrmsr(MSR_VM_HSAVE_PA, (uptr)alloc_page());
	return NULL;
}

void svm_enable_here(void *why)
{
	*(const char **)why = svm_enable();
}

bool svm_has_nested_paging(void)
{
	return cpuid_or_zero(CPUID_SVM, 0).d & CPUID_SVM_EDX_NPT;
}

struct svm_host_mode host_mode(enum nested_format format)
{
	struct nested tables = nested_make(format);
	struct svm_host_mode mode = { .cr3 = tables.root, .efer = EFER_SVME };

	nested_map_low(&tables);
	mode.cr4 = format == NESTED_32 ? CR4_PSE : CR4_PAE;
	if (format == NESTED_5)
		mode.cr4 |= CR4_LA57;
	if (format != NESTED_32)
		mode.efer |= EFER_NXE;
	if (format >= NESTED_4)
		mode.efer |= EFER_LME;
	return mode;
}

static void set_segments(struct svm_vmcb *vmcb, enum l2_paging paging)
{
	struct svm_segment data = { 0x10, DATA, ~0u, 0 };

	vmcb->cs = (struct svm_segment){ 0x08, paging == L2_LONG ? CODE64 : CODE32, ~0u, 0 };
	vmcb->ds = vmcb->es = vmcb->ss = data;
}

static void set_paging(struct svm_vmcb *vmcb, enum l2_paging paging, uptr root)
{
	vmcb->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | (paging == L2_FLAT ? 0 : CR0_PG);
	vmcb->cr3 = root;
	vmcb->cr4 = paging == L2_32 ? CR4_PSE : paging == L2_FLAT ? 0 : CR4_PAE;
	vmcb->efer = EFER_SVME | (paging == L2_LONG ? EFER_LME | EFER_LMA | EFER_NXE : 0);
}

static struct svm_vmcb *vmcb_make(enum l2_paging paging, uptr root, u32 asid)
{
	struct svm_vmcb *vmcb = (void *)alloc_page();

	set_segments(vmcb, paging);
	set_paging(vmcb, paging, root);
	vmcb->intercept_exceptions = ~0u;
	vmcb->intercept = INTERCEPT_HLT | INTERCEPT_SHUTDOWN;
	vmcb->intercept2 = INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL;
	vmcb->asid = asid;
	vmcb->rflags = FLAGS_FIXED;
	vmcb->dr6 = 0xffff0ff0;
	vmcb->dr7 = 0x400;
	vmcb->pat = 0x0007040600070406;
	return vmcb;
}

/* Low memory and the first 2 MiB at L2_TEST in small pages, the rest there in large ones, all to itself. */
static struct nested own_tables(enum l2_paging paging)
{
	static const u8 formats[] = { [L2_32] = NESTED_32, [L2_PAE] = NESTED_PAE, [L2_LONG] = NESTED_4 };
	struct nested own = nested_make(formats[paging]);
	u64 large = BIT(nested_shift(&own, 2));

	nested_map_low(&own);
	for (u64 at = L2_TEST; at < L2_TEST + large; at += 0x1000)
		nested_map(&own, at, at, 1, ENTRY_ALL);
	for (u64 at = L2_TEST + large; at < 2 * L2_TEST; at += large)
		nested_map(&own, at, at, 2, ENTRY_ALL);
	return own;
}

struct l2 l2_make(enum l2_paging paging, const struct nested *nested, u32 asid)
{
	struct l2 l2 = { 0 };

	if (paging != L2_FLAT)
		l2.own = own_tables(paging);
	l2.vmcb = vmcb_make(paging, l2.own.root, asid);
	l2.vmcb->nested_control = 1;
	l2.vmcb->nested_cr3 = nested->root;
	return l2;
}

struct l2 l2_make_unnested(const struct nested *own, u32 asid)
{
	static const u8 pagings[] = { [NESTED_32] = L2_32, [NESTED_PAE] = L2_PAE, [NESTED_4] = L2_LONG };

	return (struct l2){ .vmcb = vmcb_make(pagings[own->format], own->root, asid), .own = *own };
}

void l2_resume(struct l2 *l2)
{
	if (l2->host)
		svm_run_mode(&l2->registers, l2->vmcb, l2->host);
	else
		svm_run_long(&l2->registers, l2->vmcb);
}

void l2_start(struct l2 *l2, const u8 *code)
{
	l2->vmcb->rip = (uptr)code;
	l2_resume(l2);
}

bool l2_touches(struct l2 *l2, u64 address, u64 stride, u64 count)
{
	l2->registers.rdi = address;
	l2->registers.rsi = stride;
	l2->registers.rcx = count;
	l2_start(l2, l2_touch);
	return l2->vmcb->exit_code == EXIT_VMMCALL;
}
