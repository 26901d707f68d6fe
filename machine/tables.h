/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Memory for the core's tables: host frames of their own, poisoned while free, counted; an address that is no table
 * in use is caught where it is turned into a pointer. And an allocator that fails when a test wants it to.
 */
#ifndef MACHINE_TABLES_H
#define MACHINE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vmmu_page;

/* A program may ask for fewer of both. */
#ifndef MACHINE_TABLES_MAX
#define MACHINE_TABLES_MAX 65536u
#endif
/* Tables below 4 GiB are the last frames of the first image: no slot shows those pages. */
#ifndef MACHINE_LOW_TABLES
#define MACHINE_LOW_TABLES 4096u
#endif

/* Physical address bits all frames of this host share; tests of wide addresses set it while nothing is allocated. */
extern uint64_t machine_frame_base;

/* No table is used a second time: an address held too long is that of a freed table for ever. */
extern bool machine_tables_fresh;
void *machine_table_alloc(bool may_sleep);
void *machine_table_alloc_low(void);
void machine_table_free(void *table);
uint64_t machine_table_hpa(const void *table);
void *machine_table_at(uint64_t hpa);
/* Is it a table in use? */
bool machine_table_is_live(uint64_t hpa);
void machine_table_set_page(void *table, struct vmmu_page *page);
struct vmmu_page *machine_table_page(const void *table);
void machine_table_account(const void *table, int delta);
struct vmmu_page *machine_page_alloc(bool may_sleep);
void machine_page_free(struct vmmu_page *page);
/* Zeroed memory that no CPU walks. Context: may sleep; free: any, also NULL. */
void *machine_plain_alloc(size_t bytes);
void machine_plain_free(void *memory);
/* The host's own, for the core: freed by free(), not counted; it fails as others do. */
void *machine_words_alloc(size_t bytes);

/* What is allocated now, of each kind; tables accounted as in use. */
struct machine_usage {
	long tables, pages, plain, accounted;
};
struct machine_usage machine_usage(void);

/* Allocation number @n from now on fails, or with @and_later all from it on; 0: none. Counts tables and pages alike. */
void machine_fail_at(long n, bool and_later);
/* Allocations since machine_fail_at(), and how many of them were made to fail. */
long machine_allocations(void);
long machine_failures(void);

#endif
