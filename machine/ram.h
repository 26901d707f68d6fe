/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What stands behind guest memory. The host's memory is RAM_PAGES pages; a slot shows a run of them to the guest.
 * Behind each page stands one of RAM_IMAGES frames: moving a page means another image, so that a mapping of the old
 * one can be told at once, and a run of pages with one image is a run of frames, as large mappings need.
 *
 * Everything the CPU writes is noted twice: for the dirty log (versions, by address space) and for the owner of the
 * frame, who must have heard of it by the time the frame is no longer mapped.
 */
#ifndef MACHINE_RAM_H
#define MACHINE_RAM_H

#include <stdbool.h>
#include <stdint.h>

#define RAM_PAGES_LG2	20
#define RAM_PAGES	(1ull << RAM_PAGES_LG2)
/* The image after the last one holds the core's tables. */
#define RAM_IMAGES	15u
#define RAM_SPACES	2

enum ram_flag {
	RAM_ABSENT = 1,		/* comes in, with another image, at the next look-up */
	RAM_COPY_ON_WRITE = 2,	/* the host maps it read-only until somebody writes */
	RAM_DEVICE = 4,
	RAM_REPLACING = 8,	/* the next frame has the same content already: either may be read */
};

struct machine_ram {
	uint8_t *image, *flags;			/* by page. Atomic */
	uint8_t *level2, *level3;		/* does the host map this block by a large page of its own? Atomic */
	uint32_t *version[RAM_SPACES];		/* by page: writes by CPUs through that address space. Atomic */
	uint8_t *unreported;			/* by page: written by a CPU, and its owner has not been told. Atomic */
	uint8_t *told_page, *told2, *told3;	/* the owner was told by a mapping of this size. Atomic */
	void **content;				/* by page, made at first use */
	struct content *contents;		/* all of them. Atomic */
	long taken;				/* references to frames that were taken and not given back. Atomic */
};

void machine_ram_init(struct machine_ram *ram);
void machine_ram_destroy(struct machine_ram *ram);

static inline unsigned int ram_flags(const struct machine_ram *ram, uint64_t page)
{
	return __atomic_load_n(&ram->flags[page], __ATOMIC_RELAXED);
}

static inline void ram_set_flags(struct machine_ram *ram, uint64_t page, unsigned int flags)
{
	__atomic_store_n(&ram->flags[page], (uint8_t)flags, __ATOMIC_RELAXED);
}

/* The frame behind @page now. */
uint64_t machine_ram_pfn(const struct machine_ram *ram, uint64_t page);
/* The frame that machine_ram_move() will put behind it. */
uint64_t machine_ram_next_pfn(const struct machine_ram *ram, uint64_t page);
/* The page a frame stands behind; *@current: still? */
uint64_t machine_ram_page_of(const struct machine_ram *ram, uint64_t pfn, bool *current);
/* Size of the host's own mapping of @page, 1..3. */
int machine_ram_level(const struct machine_ram *ram, uint64_t page);
/* Another image for all of [@start, @end). */
void machine_ram_move(struct machine_ram *ram, uint64_t start, uint64_t end);
/* The host maps the block of size @level around @page by large pages of size @to now, which needs one image for all. */
void machine_ram_set_level(struct machine_ram *ram, uint64_t page, int level, int to);
/* Largest block around @page that the host maps as one: what goes with it if a part changes. */
void machine_ram_block(const struct machine_ram *ram, uint64_t page, uint64_t *start, uint64_t *end);

/* A CPU writes the frame. */
void machine_ram_written(struct machine_ram *ram, uint64_t page, int space);
/* The owner of @page hears that it was written. */
void machine_ram_told(struct machine_ram *ram, uint64_t page);
/* Nothing maps the pages any more: did the owner hear of every write? Return: the first page with a lost one; @end. */
uint64_t machine_ram_check_told(struct machine_ram *ram, uint64_t start, uint64_t end);

/* 4096 bytes. */
void *machine_ram_content(struct machine_ram *ram, uint64_t page);
/* And back. */
uint64_t machine_ram_page_of_content(const void *content);

#endif
