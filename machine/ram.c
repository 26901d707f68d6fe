/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See ram.h. */
#include "ram.h"
#include <stdlib.h>
#include <sys/mman.h>
#include "tables.h"
#include "thread.h"

#define BLOCKS(level)	(RAM_PAGES >> (9 * ((level) - 1)))

/* Of a page of the host's; who has a pointer to it finds the page's number behind it. */
struct content {
	char bytes[4096];
	uint64_t page;
	struct content *next;		/* all there are */
};

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void machine_ram_init(struct machine_ram *ram)
{
	ram->image = reserve(RAM_PAGES);
	ram->flags = reserve(RAM_PAGES);
	ram->level2 = reserve(BLOCKS(2));
	ram->level3 = reserve(BLOCKS(3));
	for (int space = 0; space < RAM_SPACES; space++)
		ram->version[space] = reserve(RAM_PAGES * sizeof(uint32_t));
	ram->unreported = reserve(RAM_PAGES);
	ram->told_page = reserve(RAM_PAGES);
	ram->told2 = reserve(BLOCKS(2));
	ram->told3 = reserve(BLOCKS(3));
	ram->content = reserve(RAM_PAGES * sizeof(void *));
}

void machine_ram_destroy(struct machine_ram *ram)
{
	for (struct content *content = ram->contents, *next; content; content = next) {
		next = content->next;
		free(content);
	}
	ram->contents = NULL;
	munmap(ram->image, RAM_PAGES);
	munmap(ram->flags, RAM_PAGES);
	munmap(ram->level2, BLOCKS(2));
	munmap(ram->level3, BLOCKS(3));
	for (int space = 0; space < RAM_SPACES; space++)
		munmap(ram->version[space], RAM_PAGES * sizeof(uint32_t));
	munmap(ram->unreported, RAM_PAGES);
	munmap(ram->told_page, RAM_PAGES);
	munmap(ram->told2, BLOCKS(2));
	munmap(ram->told3, BLOCKS(3));
	munmap(ram->content, RAM_PAGES * sizeof(void *));
}

static uint8_t get(const uint8_t *byte) { return __atomic_load_n(byte, __ATOMIC_RELAXED); }
static void set(uint8_t *byte, unsigned int value) { __atomic_store_n(byte, (uint8_t)value, __ATOMIC_RELAXED); }

uint64_t machine_ram_pfn(const struct machine_ram *ram, uint64_t page)
{
	return machine_frame_base | (uint64_t)get(&ram->image[page]) << RAM_PAGES_LG2 | page;
}

uint64_t machine_ram_next_pfn(const struct machine_ram *ram, uint64_t page)
{
	return machine_frame_base | (uint64_t)((get(&ram->image[page]) + 1) % RAM_IMAGES) << RAM_PAGES_LG2 | page;
}

uint64_t machine_ram_page_of(const struct machine_ram *ram, uint64_t pfn, bool *current)
{
	uint64_t page = pfn & (RAM_PAGES - 1);
	unsigned int flags = ram_flags(ram, page);

	*current = !(flags & RAM_ABSENT) && (machine_ram_pfn(ram, page) == pfn ||
					     ((flags & RAM_REPLACING) && machine_ram_next_pfn(ram, page) == pfn));
	return page;
}

int machine_ram_level(const struct machine_ram *ram, uint64_t page)
{
	if (get(&ram->level3[page >> 18]))
		return 3;
	return get(&ram->level2[page >> 9]) ? 2 : 1;
}

void machine_ram_block(const struct machine_ram *ram, uint64_t page, uint64_t *start, uint64_t *end)
{
	unsigned int lg2 = 9 * ((unsigned int)machine_ram_level(ram, page) - 1);

	*start = page >> lg2 << lg2;
	*end = *start + (1ull << lg2);
}

void machine_ram_move(struct machine_ram *ram, uint64_t start, uint64_t end)
{
	unsigned int image = (get(&ram->image[start]) + 1) % RAM_IMAGES;

	for (uint64_t page = start; page < end; page++)
		set(&ram->image[page], image);
}

void machine_ram_set_level(struct machine_ram *ram, uint64_t page, int level, int to)
{
	unsigned int lg2 = 9 * ((unsigned int)level - 1);
	uint64_t start = page >> lg2 << lg2, end = start + (1ull << lg2);

	set(&ram->level3[page >> 18], to == 3);
	for (uint64_t block = start >> 9; block < (end + 511) >> 9; block++)
		set(&ram->level2[block], to >= 2);
}

void machine_ram_written(struct machine_ram *ram, uint64_t page, int space)
{
	__atomic_fetch_add(&ram->version[space][page], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&ram->unreported[page], 1, __ATOMIC_RELEASE);
}

void machine_ram_told(struct machine_ram *ram, uint64_t page)
{
	switch (machine_ram_level(ram, page)) {
	case 3:
		set(&ram->told3[page >> 18], 1);
		return;
	case 2:
		set(&ram->told2[page >> 9], 1);
		return;
	default:
		set(&ram->told_page[page], 1);
	}
}

/* Have eight pages at once neither been written nor told of? Most of a large range has not. */
static bool is_quiet(const struct machine_ram *ram, uint64_t page)
{
	const uint64_t *unreported = (const uint64_t *)&ram->unreported[page];
	const uint64_t *told = (const uint64_t *)&ram->told_page[page];

	return !__atomic_load_n(unreported, __ATOMIC_RELAXED) && !__atomic_load_n(told, __ATOMIC_RELAXED);
}

uint64_t machine_ram_check_told(struct machine_ram *ram, uint64_t start, uint64_t end)
{
	uint64_t lost = end;

	for (uint64_t page = start; page < end; page++) {
		bool told;

		if (!(page % 8) && end - page >= 8 && is_quiet(ram, page)) {
			page += 7;
			continue;
		}
		told = get(&ram->told_page[page]);
		if (get(&ram->unreported[page])) {
			if (!told && !get(&ram->told2[page >> 9]) && !get(&ram->told3[page >> 18]) && lost == end)
				lost = page;
			set(&ram->unreported[page], 0);
		}
		if (told)
			set(&ram->told_page[page], 0);
	}
	/* What was told of a large page holds for all of it, and goes when all of it does. */
	for (uint64_t block = (start + 511) >> 9; block < end >> 9; block++)
		set(&ram->told2[block], 0);
	for (uint64_t block = (start + (1 << 18) - 1) >> 18; block < end >> 18; block++)
		set(&ram->told3[block], 0);
	return lost;
}

uint64_t machine_ram_page_of_content(const void *content)
{
	return ((const struct content *)content)->page;
}

void *machine_ram_content(struct machine_ram *ram, uint64_t page)
{
	void *content = __atomic_load_n(&ram->content[page], __ATOMIC_ACQUIRE);
	struct content *fresh;

	if (content)
		return content;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		abort();
	fresh->page = page;
	if (!__atomic_compare_exchange_n(&ram->content[page], &content, fresh, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		free(fresh);
		return content;
	}
	fresh->next = __atomic_load_n(&ram->contents, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&ram->contents, &fresh->next, fresh, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	return fresh;
}
