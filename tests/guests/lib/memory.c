// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Page frames from the end of the image up, and page tables in 64-bit form. */
#include "boot.h"
#include "memory.h"
#include "print.h"

extern char image_end[];

static uptr next;
static void *freed;
static size_t freed_count;
static int lock;

static void take(void)
{
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		__asm__ volatile("pause");
	if (!next)
		next = ((uptr)image_end + PAGE_BYTES - 1) & ~(uptr)(PAGE_BYTES - 1);
}

static void release(void)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

void *alloc_pages(size_t n, size_t align)
{
	uptr start;

	take();
	start = (next + align - 1) & ~(uptr)(align - 1);
	next = start + n * PAGE_BYTES;
	if (next > boot_memory_end())
		guest_panic("no memory for %lu pages", (unsigned long)n);
	release();
	return memset((void *)start, 0, n * PAGE_BYTES);
}

void *alloc_page(void)
{
	void *page;

	take();
	page = freed;
	if (page) {
		freed = *(void **)page;
		freed_count--;
	}
	release();
	return page ? memset(page, 0, PAGE_BYTES) : alloc_pages(1, PAGE_BYTES);
}

void free_page(void *page)
{
	take();
	*(void **)page = freed;
	freed = page;
	freed_count++;
	release();
}

size_t free_pages(void)
{
	size_t pages;

	take();
	pages = freed_count + (boot_memory_end() - next) / PAGE_BYTES;
	release();
	return pages;
}

#ifdef __x86_64__
u64 *space_new(void)
{
	return memcpy(alloc_page(), (void *)boot_root(), PAGE_BYTES);
}

u64 *pt_entry(u64 *table, int top, u64 address, int level, u64 rights)
{
	for (int i = top; i > level; i--) {
		u64 *entry = &table[pt_index(address, i)];

		if (!(*entry & PTE_P))
			WRITE_ONCE(*entry, (uptr)alloc_page() | rights);
		else if (i < 4 && (*entry & PTE_PS))
			guest_panic("a large page at level %d of %lx", i, address);
		table = (u64 *)(*entry & PTE_ADDRESS);
	}
	return &table[pt_index(address, level)];
}
#endif
