// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A guest and its nested tables: see setting.h. */
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "setting.h"

uptr setting_frames(void)
{
	static uptr frames;

	if (!frames)
		frames = frames_make(SETTING_FRAMES, SETTING_FRAMES * PAGE_BYTES);
	return frames;
}

void setting_make(struct setting *s, enum nested_format format, enum l2_paging paging)
{
	static const char *const formats[] = { "2 levels", "PAE", "4 levels", "5 levels" };
	static const char *const pagings[] = { "no paging", "2 levels", "PAE", "long mode" };

	print_to(s->name, sizeof(s->name), "%s, guest with %s", formats[format], pagings[paging]);
	s->nested = nested_make(format);
	nested_map_low(&s->nested);
	s->nx = format != NESTED_32;
	s->l2 = l2_make(paging, &s->nested, 1);
	if (format != NESTED_4) {
		s->mode = host_mode(format);
		s->l2.host = &s->mode;
	}
}

void setting_flush(struct setting *s, unsigned int how, u64 gpa)
{
	struct svm_vmcb *vmcb = s->l2.vmcb;
	bool by_asid = cpuid_or_zero(CPUID_SVM, 0).d & CPUID_SVM_EDX_FLUSH_BY_ASID;

	vmcb->tlb_control = TLB_CONTROL_NOTHING;
	switch (how % 5) {
	case 0:
		vmcb->tlb_control = TLB_CONTROL_ALL;
		break;
	case 1:
		vmcb->asid = vmcb->asid % 7 + 1;
		vmcb->tlb_control = TLB_CONTROL_ALL;
		break;
	case 2:
		vmcb->tlb_control = by_asid ? TLB_CONTROL_ASID : TLB_CONTROL_ALL;
		break;
	case 3:
		vmcb->tlb_control = by_asid ? TLB_CONTROL_ASID_LOCAL : TLB_CONTROL_ALL;
		break;
	default:
		svm_invlpga(gpa, vmcb->asid);
	}
}

bool setting_check(struct setting *s, enum access access, u64 gpa, const char *what)
{
	bool good = access_check(&s->l2, &s->nested, s->nx, access, gpa, gpa, what);

	s->l2.vmcb->tlb_control = TLB_CONTROL_NOTHING;
	return good;
}
