// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* L2 touches pages that L1 maps one by one, on the exit that each causes: what a cold page costs L0. */
#include "report.h"
#include "mark.h"
#include "world.h"

enum { PAGES = 256 };

void test_cold(void)
{
	struct world *w = &(struct world){ 0 };
	u64 window = world_window(), misses = 0;

	report_begin("cold pages");
	world_make(w, true);
	for (int i = 0; i < PAGES; i++)
		world_map_linear(w, LINEAR + i * PAGE_BYTES, window + i * PAGE_BYTES);
	ept_entry(w->ept, window, 1);
	/* The programs, the stack and L2's tables are warm. */
	vm_access(&w->vm, L2_FETCH, LINEAR, 0);
	w->vm.gpr[RDI] = LINEAR;
	w->vm.gpr[RCX] = PAGES;
	w->vm.gpr[RAX] = 0xc01d;
	mark("cold.begin");
	for (vm_run(&w->vm, l2_touch_pages); w->vm.exit.reason == EXIT_EPT_VIOLATION; vm_resume(&w->vm)) {
		u64 gpa = w->vm.exit.gpa & PTE_ADDRESS;

		ept_map(w->ept, gpa, (uptr)world_frames() + (gpa - window), 1, EPT_RWX);
		misses++;
	}
	mark("cold.end");
	if (w->vm.exit.reason != EXIT_VMCALL || misses != PAGES)
		report_wrong("exit %u after %llu pages", w->vm.exit.reason, (unsigned long long)misses);
	for (int i = 0; i < PAGES; i++) {
		u8 *frame = world_frames() + i * PAGE_BYTES;

		if (*(u64 *)frame != 0xc01d)
			report_wrong("page %d holds %llx", i, (unsigned long long)*(u64 *)frame);
		frame_fill(frame, TAG + i);
	}
	report_end();
}
