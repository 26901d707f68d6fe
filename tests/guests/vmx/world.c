// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What most tests begin with. */
#include "world.h"

void world_make(struct world *w, bool ad)
{
	w->ept = ept_identity();
	vm_init(&w->vm, ept_pointer(w->ept, ad));
}

u64 world_window(void)
{
	return BIT(cpu_address_bits() > 39 ? 39 : cpu_address_bits() - 1);
}

int world_window_top(void)
{
	return cpu_address_bits() > 39 ? 4 : 3;
}

void world_map_linear(struct world *w, u64 linear, u64 gpa)
{
	u64 *entry = pt_entry(w->vm.space, 4, linear, 1, PTE_P | PTE_W | PTE_A);

	WRITE_ONCE(*entry, (gpa & PTE_ADDRESS) | PTE_P | PTE_W | PTE_A | PTE_D);
	if (w->vm.vpid)
		invvpid(INVVPID_ONE, w->vm.vpid, 0);
}

u8 *world_frames(void)
{
	static u8 *frames;

	if (!frames) {
		frames = alloc_pages(FRAMES, LARGE_BYTES);
		for (int i = 0; i < FRAMES; i++)
			frame_fill(frames + i * PAGE_BYTES, TAG + i);
	}
	return frames;
}

u64 world_gpa(int level, const void *frame)
{
	return world_window() | ((uptr)frame & (ept_page_bytes(level) - 1));
}

u64 world_leaf_hpa(int level, const void *frame)
{
	return (uptr)frame & ~(ept_page_bytes(level) - 1);
}

void world_forget_flags(struct world *w, u64 gpa, int level)
{
	for (int i = EPT_TOP; i >= level; i--) {
		u64 *entry = ept_entry(w->ept, gpa, i);

		WRITE_ONCE(*entry, *entry & ~(u64)(EPT_A | EPT_D));
	}
}
