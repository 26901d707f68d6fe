/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The heap and the tables of a scheduled process: who touches what, and that nothing is touched once it was given back.
 * Memory is never used again, so that a look too late cannot meet a new owner that happens to look well.
 *
 * All of it, and the program's variables, are put back to what they were before the next schedule begins.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "../../../machine/ram.h"
#include "../../../machine/tables.h"
#include "../../../machine/vm.h"
#include "schedule.h"

#define HEAP_BYTES	(64ul << 20)
#define TABLE_BYTES	4096ul
#define TABLES		(MACHINE_TABLES_MAX + MACHINE_LOW_TABLES)
/* Scenes are about pages of the host below this one, of as many as there are; what the machine maps is by page. */
#define PAGES_USED	0xc00ul
#define PAGES		(1ul << RAM_PAGES_LG2)
#define MAPPINGS	16
#define WATCHED_BYTES	(256ul << 10)
#define WORD		8ul

static char *heap;
static size_t heap_used;
static uint8_t *heap_words, *heap_alive;
static uintptr_t tables;		/* the first one */
static uint8_t *table_words;
static uint8_t table_alive[TABLES];
static size_t tables_used[2];		/* of all, and of the low ones behind them */
static uintptr_t watched;
static size_t watched_bytes;
static uint8_t *watched_words;

/* What the machine maps. */
static struct mapping {
	char *start;
	size_t bytes;
} mappings[MAPPINGS];
static unsigned int mapping_count;

/* The machine calls them by these names. */
void *scheduled_mmap(void *at, size_t bytes, int rights, int flags, int file, off_t offset);
int scheduled_munmap(void *memory, size_t bytes);

static void *map(size_t bytes, int flags)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void memory_init(void)
{
	heap = map(HEAP_BYTES, MAP_PRIVATE);
	heap_words = map(HEAP_BYTES / WORD, MAP_SHARED);
	heap_alive = map(HEAP_BYTES / WORD, MAP_PRIVATE);
	table_words = map(TABLES * TABLE_BYTES / WORD, MAP_SHARED);
	watched_words = map(WATCHED_BYTES / WORD, MAP_SHARED);
	machine_tables_fresh = true;
}

void memory_watch(void *start, size_t bytes)
{
	watched = (uintptr_t)start;
	watched_bytes = bytes;
	if (bytes > WATCHED_BYTES)
		abort();
}

static bool in_heap(uintptr_t address) { return address - (uintptr_t)heap < HEAP_BYTES; }
bool memory_is_table(uintptr_t address) { return tables && address - tables < TABLES * TABLE_BYTES; }

uint8_t *memory_word(uintptr_t address)
{
	if (memory_is_table(address))
		return &table_words[(address - tables) / WORD];
	if (in_heap(address))
		return &heap_words[(address - (uintptr_t)heap) / WORD];
	if (address - watched < watched_bytes)
		return &watched_words[(address - watched) / WORD];
	return NULL;
}

void memory_ignore(const volatile void *start, size_t bytes)
{
	for (uintptr_t at = (uintptr_t)start; at < (uintptr_t)start + bytes; at += WORD)
		*memory_word(at) = WORD_IGNORED;
}

void memory_check(uintptr_t address, size_t size)
{
	if (memory_is_table(address)) {
		if (!table_alive[(address - tables) / TABLE_BYTES])
			schedule_fail("entry %lu of a table that was freed is touched",
				      (unsigned long)(address % TABLE_BYTES / WORD));
	} else if (in_heap(address)) {
		if (!heap_alive[(address - (uintptr_t)heap) / WORD] ||
		    !heap_alive[(address + size - 1 - (uintptr_t)heap) / WORD])
			schedule_fail("memory that was freed, or never allocated, is touched");
	}
}

/* --- In the place of the C library's heap ------------------------------------------------------- */

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t bytes)
{
	size_t words = (bytes + WORD - 1) / WORD, *size;
	char *memory;

	if (heap_used + (words + 4) * WORD > HEAP_BYTES)
		abort();
	size = (size_t *)(heap + heap_used);
	memory = heap + heap_used + 2 * WORD;
	*size = words;
	heap_used += ((words + 1) / 2 * 2 + 4) * WORD;
	memset(&heap_alive[(memory - heap) / (long)WORD], 1, words);
	return memory;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	/* Something for each page of the host. */
	if (count == PAGES)
		return scheduled_mmap(NULL, count * bytes, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* Never used before, so it is zero. */
	return __wrap_malloc(count * bytes);
}

void __wrap_free(void *memory)
{
	size_t words;

	if (!memory || !in_heap((uintptr_t)memory))
		return;
	words = *(size_t *)((char *)memory - 2 * WORD);
	if (!heap_alive[((char *)memory - heap) / (long)WORD])
		schedule_fail("memory is freed twice");
	memset(memory, 0x5d, words * WORD);
	memset(&heap_alive[((char *)memory - heap) / (long)WORD], 0, words);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	void *fresh = __wrap_malloc(bytes);
	size_t had = memory ? *(size_t *)((char *)memory - 2 * WORD) * WORD : 0;

	if (memory)
		memcpy(fresh, memory, had < bytes ? had : bytes);
	__wrap_free(memory);
	return fresh;
}

/* --- Around the machine's tables ----------------------------------------------------------------- */

void *__real_machine_table_alloc(bool may_sleep);
void *__wrap_machine_table_alloc(bool may_sleep);
void *__real_machine_table_alloc_low(void);
void *__wrap_machine_table_alloc_low(void);
void __real_machine_table_free(void *table);
void __wrap_machine_table_free(void *table);

static void *table_used(void *table, bool low)
{
	if (!table)
		return NULL;
	if (!memory_is_table((uintptr_t)table))
		schedule_fail("a table that is none");
	table_alive[((uintptr_t)table - tables) / TABLE_BYTES] = 1;
	tables_used[low]++;
	return table;
}

void *__wrap_machine_table_alloc(bool may_sleep)
{
	return table_used(__real_machine_table_alloc(may_sleep), false);
}

void *__wrap_machine_table_alloc_low(void)
{
	return table_used(__real_machine_table_alloc_low(), true);
}

void __wrap_machine_table_free(void *table)
{
	if (memory_is_table((uintptr_t)table))
		table_alive[((uintptr_t)table - tables) / TABLE_BYTES] = 0;
	__real_machine_table_free(table);
}

/* --- Around the oracle. A store is one step with what is remembered of it. ------------------------- */

struct oracle;
void __real_oracle_store(struct oracle *o, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes,
			 bool told);
void __wrap_oracle_store(struct oracle *o, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes,
			 bool told);
void __wrap_oracle_free(struct oracle *o);
void __wrap_machine_ram_destroy(struct machine_ram *ram);

void __wrap_oracle_store(struct oracle *o, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes,
			 bool told)
{
	schedule_step((uintptr_t)machine_ram_content(machine_ram_now, page) + offset, true);
	__real_oracle_store(o, page, offset, value, bytes, told);
}

/* They go when everything is put back. */
void __wrap_oracle_free(struct oracle *o) { (void)o; }
void __wrap_machine_ram_destroy(struct machine_ram *ram) { (void)ram; }

/* --- What every schedule begins with -------------------------------------------------------------- */

void *scheduled_mmap(void *at, size_t bytes, int rights, int flags, int file, off_t offset)
{
	void *memory = mmap(at, bytes, rights, flags, file, offset);

	if (mapping_count == MAPPINGS)
		abort();
	mappings[mapping_count++] = (struct mapping){ .start = memory, .bytes = bytes };
	if (bytes == TABLES * TABLE_BYTES)
		tables = (uintptr_t)memory;
	return memory;
}

/* It may be needed again. */
int scheduled_munmap(void *memory, size_t bytes)
{
	(void)memory, (void)bytes;
	return 0;
}

/* The program's variables, from the linker. */
extern char __data_start[], _end[];

struct piece {
	char *at, *copy;
	size_t bytes;
};

/* Not among the variables that are put back. */
struct saved {
	struct piece piece[MAPPINGS + 5];
	unsigned int pieces;
	size_t heap_used, tables_used[2];
};

static char *table_zone(int low)
{
	return (char *)tables + (low ? MACHINE_TABLES_MAX * TABLE_BYTES : 0);
}

static void save_piece(struct saved *saved, void *at, size_t bytes)
{
	struct piece *piece = &saved->piece[saved->pieces];

	if (!bytes)
		return;
	saved->pieces++;
	*piece = (struct piece){ .at = at, .bytes = bytes, .copy = map(bytes, MAP_PRIVATE) };
	memcpy(piece->copy, at, bytes);
}

/* Of what has an element for each page of the host; what is small is something else. */
static size_t bytes_used(size_t bytes)
{
	return bytes < PAGES / 16 ? bytes : bytes / PAGES * PAGES_USED;
}

struct saved *memory_save(void)
{
	struct saved *saved = map(sizeof(*saved), MAP_PRIVATE);

	saved->heap_used = heap_used;
	memcpy(saved->tables_used, tables_used, sizeof(tables_used));
	save_piece(saved, heap, heap_used);
	save_piece(saved, heap_alive, heap_used / WORD);
	for (int low = 0; low < 2; low++)
		save_piece(saved, table_zone(low), tables_used[low] * TABLE_BYTES);
	for (unsigned int n = 0; n < mapping_count; n++)
		if ((uintptr_t)mappings[n].start != tables)
			save_piece(saved, mappings[n].start, bytes_used(mappings[n].bytes));
	save_piece(saved, __data_start, (size_t)(_end - __data_start));
	return saved;
}

void memory_restore(const struct saved *saved)
{
	memset(heap + saved->heap_used, 0, heap_used - saved->heap_used);
	memset(heap_alive + saved->heap_used / WORD, 0, (heap_used - saved->heap_used) / WORD + 1);
	for (int low = 0; low < 2; low++)
		memset(table_zone(low) + saved->tables_used[low] * TABLE_BYTES, 0,
		       (tables_used[low] - saved->tables_used[low]) * TABLE_BYTES);
	for (unsigned int n = 0; n < saved->pieces; n++)
		memcpy(saved->piece[n].at, saved->piece[n].copy, saved->piece[n].bytes);
}
