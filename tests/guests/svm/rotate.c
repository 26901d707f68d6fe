// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Many guests in rotation, with tables that do not change: what that costs the host's KVM is counted from outside,
 * between marks. The first rounds, in which everything is built, are counted apart.
 */
#include "boot.h"
#include "cpu.h"
#include "mark.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "setting.h"

enum { GUESTS_MAX = 32, WARM_ROUNDS = 3, PAGES = 4 };

struct rotation {
	const char *name;
	int guests;
	u8 formats[2];				/* + 1; by turns; 0: the kernel's own, NESTED_4 */
	u8 pagings[2];				/* by turns */
	bool shared;				/* all under the first one's tables */
	bool unnested;
	u32 cr4;				/* bits of the host's to flip before each run */
	u32 tlb_control;
	bool new_asid;
	bool host_tables;			/* the kernel's CR3 is the nested one, too */
};

static const struct rotation rotations[] = {
	{ .name = "rotate.1", .guests = 1 },
	{ .name = "rotate.2", .guests = 2 },
	{ .name = "rotate.4", .guests = 4 },
	{ .name = "rotate.5", .guests = 5 },
	{ .name = "rotate.8", .guests = 8 },
	{ .name = "rotate.16", .guests = 16 },
	{ .name = "rotate.32", .guests = 32 },
	{ .name = "new-asid", .guests = 4, .new_asid = true },
	{ .name = "flush-all", .guests = 4, .tlb_control = TLB_CONTROL_ALL },
	{ .name = "flush-asid", .guests = 4, .tlb_control = TLB_CONTROL_ASID },
	{ .name = "flush-local", .guests = 4, .tlb_control = TLB_CONTROL_ASID_LOCAL },
	{ .name = "host-tables", .guests = 1, .host_tables = true },
	{ .name = "guest-long", .guests = 4, .pagings = { L2_LONG, L2_LONG } },
	{ .name = "guest-pae", .guests = 4, .pagings = { L2_PAE, L2_PAE } },
	{ .name = "guest-2-levels", .guests = 4, .pagings = { L2_32, L2_32 } },
	{ .name = "guest-mixed", .guests = 4, .pagings = { L2_LONG, L2_FLAT } },
	{ .name = "guest-mixed-shared", .guests = 4, .pagings = { L2_LONG, L2_PAE }, .shared = true },
	{ .name = "host-cr4", .guests = 4, .cr4 = CR4_PGE | CR4_OSFXSR },
	{ .name = "host-smep", .guests = 4, .cr4 = CR4_SMEP | CR4_SMAP },
	{ .name = "host-5-levels", .guests = 4, .formats = { NESTED_5 + 1, NESTED_5 + 1 } },
	{ .name = "host-pae", .guests = 4, .formats = { NESTED_PAE + 1, NESTED_PAE + 1 } },
	{ .name = "host-2-levels", .guests = 4, .formats = { NESTED_32 + 1, NESTED_32 + 1 } },
	{ .name = "host-mixed", .guests = 4, .formats = { NESTED_4 + 1, NESTED_PAE + 1 } },
	{ .name = "unnested", .guests = 4, .unnested = true },
	{ .name = "unnested-16", .guests = 16, .unnested = true },
};

static struct setting guests[GUESTS_MAX];

static enum nested_format host_of(const struct rotation *r, int number)
{
	return r->formats[number & 1] ? r->formats[number & 1] - 1 : NESTED_4;
}

/* A guest without nested paging: its page tables take the nested ones' place. */
static void make_unnested(struct setting *s, int number)
{
	s->nested = nested_make(NESTED_4);
	nested_map_low(&s->nested);
	s->l2 = l2_make_unnested(&s->nested, number + 1);
}

/* The first of a guest's frames. */
static uptr frame_of(const struct rotation *r, int number)
{
	return setting_frames() + (r->shared ? 0 : number * PAGES * PAGE_BYTES);
}

static void make_guest(const struct rotation *r, int number)
{
	struct setting *s = &guests[number];

	*s = (struct setting){ 0 };
	if (r->unnested)
		make_unnested(s, number);
	else
		setting_make(s, host_of(r, number), r->pagings[number & 1]);
	if (r->shared && number)
		s->l2.vmcb->nested_cr3 = guests[0].nested.root;
	s->l2.vmcb->asid = number + 1;
	s->l2.vmcb->tlb_control = r->tlb_control;
	for (int i = 0; i < PAGES && !(r->shared && number); i++)
		nested_map(&s->nested, L2_TEST + i * PAGE_BYTES, frame_of(r, number) + i * PAGE_BYTES, 1, ENTRY_ALL);
	if (r->host_tables)
		write_cr3(s->nested.root);
}

static bool run_rounds(const struct rotation *r, unsigned int switches)
{
	for (unsigned int i = 0; i < switches; i++) {
		struct setting *s = &guests[i % r->guests];

		*(u32 *)(frame_of(r, i % r->guests) + FRAME_WORD) = 0;
		if (r->new_asid)
			s->l2.vmcb->asid = i % 1000 + 1;
		if (r->cr4)
			write_cr4(read_cr4() ^ r->cr4);
		if (!l2_touches(&s->l2, L2_TEST + FRAME_WORD, PAGE_BYTES, PAGES)) {
			report_failure(r->name, "exit %lx info %lx %lx", s->l2.vmcb->exit_code, s->l2.vmcb->exit_info1,
				       s->l2.vmcb->exit_info2);
			return false;
		}
		/* What it writes is how many pages are left. */
		if (READ_ONCE(*(u32 *)(frame_of(r, i % r->guests) + FRAME_WORD)) != PAGES) {
			report_failure(r->name, "what a guest wrote is not in memory");
			return false;
		}
	}
	return true;
}

/* Nothing but a number of guests? */
static bool is_plain(const struct rotation *r)
{
	return memcmp(r->name, "rotate.", 7) == 0;
}

static bool can_run(const struct rotation *r)
{
	bool by_asid = cpuid_or_zero(CPUID_SVM, 0).d & CPUID_SVM_EDX_FLUSH_BY_ASID;

	if (!r->unnested && !svm_has_nested_paging())
		return false;
	if (host_of(r, 0) == NESTED_5 && !cpu_has_la57())
		return false;
	if ((r->cr4 & CR4_SMEP) && !(cpu_has_smep() && cpu_has_smap()))
		return false;
	return r->tlb_control <= TLB_CONTROL_ALL || by_asid;
}

static void rotate(const struct rotation *r, unsigned int switches)
{
	u64 cr3 = read_cr3(), cr4 = read_cr4();
	bool good;

	mark("%s.cold", r->name);
	for (int i = 0; i < r->guests; i++)
		make_guest(r, i);
	good = run_rounds(r, WARM_ROUNDS * r->guests);
	mark("%s.begin", r->name);
	good = good && run_rounds(r, switches);
	mark("%s.end", r->name);
	write_cr4(cr4);
	write_cr3(cr3);
	if (good)
		report_ok(r->name);
}

/* Every page is cold, for the host and for the hypervisor, which maps it when the guest has faulted there. */
static void touch_cold(const char *name, bool write, unsigned int pages)
{
	struct setting s = { 0 };
	struct svm_vmcb *vmcb;

	setting_make(&s, NESTED_4, L2_FLAT);
	vmcb = s.l2.vmcb;
	/* The code, and the table of the first page. */
	nested_map(&s.nested, L2_TEST + pages * PAGE_BYTES, setting_frames(), 1, ENTRY_ALL);
	l2_touches(&s.l2, L2_TEST + pages * PAGE_BYTES + FRAME_WORD, 0, 1);
	mark("%s.begin", name);
	for (unsigned int i = 0; i < pages; i++) {
		u64 gpa = L2_TEST + i * PAGE_BYTES + FRAME_WORD;

		s.l2.registers.rdi = gpa;
		s.l2.registers.rcx = 1;
		l2_start(&s.l2, write ? l2_touch : l2_read);
		if (vmcb->exit_code != EXIT_NPF || vmcb->exit_info2 != gpa)
			report_failure(name, "exit %lx info %lx %lx", vmcb->exit_code, vmcb->exit_info1,
				       vmcb->exit_info2);
		nested_map(&s.nested, gpa - FRAME_WORD, setting_frames() + i * PAGE_BYTES, 1, ENTRY_ALL);
		l2_resume(&s.l2);
		if (vmcb->exit_code != EXIT_VMMCALL)
			report_failure(name, "exit %lx info %lx %lx", vmcb->exit_code, vmcb->exit_info1,
				       vmcb->exit_info2);
	}
	mark("%s.end", name);
	report_ok(name);
}

void test_rotation(bool all)
{
	unsigned int switches = option_number("switches", 1000);

	for (unsigned int i = 0; i < ARRAY_SIZE(rotations); i++) {
		if (!all && !is_plain(&rotations[i]))
			continue;
		if (can_run(&rotations[i]))
			rotate(&rotations[i], switches);
		else
			report_skip(rotations[i].name, "the CPU cannot");
	}
}

void test_cold(void)
{
	touch_cold("cold", true, 511);
	touch_cold("cold-read", false, 511);
}
