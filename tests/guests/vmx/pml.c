// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L1's log of the pages that L2 writes: each whose D flag the CPU sets, in order, and the exit when it is full. */
#include "report.h"
#include "world.h"

typedef unsigned long long ull;

enum { LAST = 511, PAGES = 64 };

static u64 *log;

static u16 log_index(void)
{
	return vmread(VMCS_PML_INDEX);
}

static u64 page_gpa(int number)
{
	return world_window() + (u64)number * PAGE_BYTES;
}

/* An access of L2, and what it adds to the log: these gpas, the last one first. */
static void expect(struct world *w, enum l2_access access, int page, int count, const u64 *gpas)
{
	u16 before = log_index();

	case_begin("access %d to page %d", access, page);
	check_access(&w->vm, access, LINEAR + page * PAGE_BYTES);
	if ((u16)(before - log_index()) != count)
		report_wrong("access %d to page %d: %d entries, not %d", access, page, (u16)(before - log_index()),
			     count);
	for (int i = 0; i < count; i++) {
		u64 logged = log[(u16)(log_index() + 1 + i)];

		if (logged != gpas[i])
			report_wrong("access %d to page %d: %llx is logged, not %llx", access, page, (ull)logged,
				     (ull)gpas[i]);
	}
}

static void test_pages(struct world *w)
{
	for (int page = 0; page < PAGES; page++) {
		expect(w, L2_READ, page, 0, NULL);
		expect(w, L2_FETCH, page, 0, NULL);
		expect(w, L2_WRITE, page, 1, (u64[]){ page_gpa(page) });
		expect(w, L2_WRITE, page, 0, NULL);
	}
	/* L1 collects them, and begins anew. */
	for (int page = 0; page < PAGES; page++) {
		u64 *entry = ept_entry(w->ept, page_gpa(page), 1);

		WRITE_ONCE(*entry, *entry & ~(u64)EPT_D);
	}
	ept_flush(w->vm.eptp);
	for (int page = 0; page < PAGES; page += 7) {
		expect(w, L2_READ, page, 0, NULL);
		expect(w, L2_WRITE, page, 1, (u64[]){ page_gpa(page) });
	}
}

static void test_full(struct world *w)
{
	u64 *entry = ept_entry(w->ept, page_gpa(1), 1);

	WRITE_ONCE(*entry, *entry & ~(u64)EPT_D);
	ept_flush(w->vm.eptp);
	vmwrite(VMCS_PML_INDEX, 0xffff);
	vm_access(&w->vm, L2_WRITE, LINEAR + PAGE_BYTES + 8, TAG + 1);
	if (w->vm.exit.reason != EXIT_PML_FULL)
		report_wrong("the log is full: exit %u", w->vm.exit.reason);
	if (*entry & EPT_D)
		report_wrong("the log is full: D is set, and the page is not logged");
	vmwrite(VMCS_PML_INDEX, LAST);
	vm_resume(&w->vm);
	if (w->vm.exit.reason != EXIT_VMCALL || log_index() != LAST - 1 || log[LAST] != page_gpa(1))
		report_wrong("after the log was full: exit %u index %x page %llx", w->vm.exit.reason, log_index(),
			     (ull)log[LAST]);
}

void test_pml(void)
{
	struct world *w = &(struct world){ 0 };

	if (!vmx_offers_proc2(PROC2_PML) || !ept_has_ad())
		return report_skip("page-modification log", "not offered");
	report_begin("page-modification log");
	log = alloc_page();
	world_make(w, true);
	for (int page = 0; page < PAGES; page++) {
		ept_map(w->ept, page_gpa(page), (uptr)world_frames() + page * PAGE_BYTES, 1, EPT_RWX);
		world_map_linear(w, LINEAR + page * PAGE_BYTES, page_gpa(page));
	}
	/* What the walks and the stack write is in the log before it counts. */
	vm_access(&w->vm, L2_FETCH, LINEAR, 0);
	vm_set_proc2(&w->vm, PROC2_PML);
	vmwrite(VMCS_PML_ADDRESS, (uptr)log);
	vmwrite(VMCS_PML_INDEX, LAST);
	test_pages(w);
	test_full(w);
	report_end();
}
