// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The arena and the window. */
#include "boot.h"
#include "cpu.h"
#include "window.h"

struct window window;
u8 *arena;

u32 random_below(u32 limit)
{
	static u64 state = 12345;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 33) % limit;
}

u64 *arena_frame(u32 n)
{
	u64 *frame = (u64 *)(arena + (uptr)(n % ARENA_PAGES) * PAGE_BYTES);

	for (int i = 0; i < 4; i++)
		frame[i] = (uptr)frame ^ BIT(60) ^ i;
	return frame;
}

void window_begin(void)
{
	if (!arena) {
		arena = alloc_pages(ARENA_PAGES, ARENA_PAGES * PAGE_BYTES);
		for (u32 i = 0; i < ARENA_PAGES; i++)
			arena_frame(i);
	}
	window.root = space_new();
	window.pt = pt_entry(window.root, 4, WINDOW, 1, RIGHTS);
	window.pdpt = (u64 *)(*pt_entry(window.root, 4, WINDOW, 4, RIGHTS) & PTE_ADDRESS);
	window.pd = (u64 *)(*pt_entry(window.root, 4, WINDOW, 3, RIGHTS) & PTE_ADDRESS);
	write_cr3((uptr)window.root);
}

void window_map(u32 n, u64 entry)
{
	set(&window.pt[n], entry);
	invlpg(window_page(n));
}
