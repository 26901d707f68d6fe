/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See tables.h. */
#include "tables.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vmmu/vm.h>
#include "ram.h"
#include "thread.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define HIDE(table)	ASAN_POISON_MEMORY_REGION(table, VMMU_PAGE_SIZE)
#define SHOW(table)	ASAN_UNPOISON_MEMORY_REGION(table, VMMU_PAGE_SIZE)
#else
#define HIDE(table)	((void)0)
#define SHOW(table)	((void)0)
#endif

/* Looks like an entry for a table that is none. */
#define POISON 0x00005deadbeef807ull

struct table_state {
	struct vmmu_page *page;
	bool live;
	bool accounted;
	unsigned int next_free;
};

uint64_t machine_frame_base;
static uint64_t (*arena)[VMMU_TABLE_ENTRIES];
static struct table_state *states;
/* Numbers count from 1, the low tables' from MACHINE_TABLES_MAX + 1; 0: none. */
#define NUMBERS (MACHINE_TABLES_MAX + MACHINE_LOW_TABLES)
static struct {
	unsigned int before, count, touched, free_head;
} pools[2] = { { .count = MACHINE_TABLES_MAX }, { .before = MACHINE_TABLES_MAX, .count = MACHINE_LOW_TABLES } };
static struct machine_usage usage;
static long fail_at, allocations, failures;
static bool fail_later;
bool machine_tables_fresh;
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void machine_fail_at(long n, bool and_later)
{
	pthread_mutex_lock(&arena_lock);
	fail_at = n;
	fail_later = and_later;
	allocations = failures = 0;
	pthread_mutex_unlock(&arena_lock);
}

long machine_allocations(void) { return allocations; }
long machine_failures(void) { return failures; }

/* Context: arena_lock. */
static bool may_allocate(void)
{
	allocations++;
	if (!fail_at || (fail_later ? allocations < fail_at : allocations != fail_at))
		return true;
	failures++;
	return false;
}

/* Context: arena_lock. Return: number of a free table, or 0. */
static unsigned int take_free(bool low)
{
	unsigned int n = pools[low].free_head;

	if (!arena) {
		arena = reserve(NUMBERS * sizeof(*arena));
		states = reserve((NUMBERS + 1) * sizeof(*states));
	}
	/* The one freed last is used first: an address held too long meets a new owner. */
	if (n && !machine_tables_fresh)
		pools[low].free_head = states[n].next_free;
	else
		n = pools[low].touched < pools[low].count ? pools[low].before + ++pools[low].touched : 0;
	return n;
}

static void check_poison(const uint64_t *table)
{
	/* All 0 if it was never used. */
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		if (table[i] != table[0] || (table[i] && table[i] != POISON)) {
			machine_bug("entry %u of a free table was written", i);
			return;
		}
}

static void *table_alloc(bool low)
{
	unsigned int n = 0;

	pthread_mutex_lock(&arena_lock);
	if (may_allocate())
		n = take_free(low);
	if (n)
		usage.tables++;
	pthread_mutex_unlock(&arena_lock);
	if (!n)
		return NULL;
	SHOW(arena[n - 1]);
	check_poison(arena[n - 1]);
	memset(arena[n - 1], 0, VMMU_PAGE_SIZE);
	__atomic_store_n(&states[n].live, true, __ATOMIC_RELEASE);
	return arena[n - 1];
}

void *machine_table_alloc(bool may_sleep)
{
	if (may_sleep)
		machine_assert_may_sleep("table_alloc");
	return table_alloc(false);
}

void *machine_table_alloc_low(void)
{
	machine_assert_may_sleep("table_alloc_low");
	return table_alloc(true);
}

/* Number of the table that holds @pointer, which must be the start of a live one; 0 and a bug if not. */
static unsigned int number_of(const void *pointer, const char *who)
{
	uintptr_t offset = (uintptr_t)pointer - (uintptr_t)arena;
	unsigned int n = (unsigned int)(offset / VMMU_PAGE_SIZE) + 1;

	if (!arena || offset >= NUMBERS * VMMU_PAGE_SIZE || offset % VMMU_PAGE_SIZE ||
	    !__atomic_load_n(&states[n].live, __ATOMIC_ACQUIRE)) {
		machine_bug("%s: %p is no table in use", who, pointer);
		return 0;
	}
	return n;
}

void machine_table_free(void *table)
{
	unsigned int n = number_of(table, "table_free");

	if (!n)
		return;
	if (states[n].accounted)
		machine_bug("a table is freed while it is accounted as in use");
	if (__atomic_load_n(&states[n].page, __ATOMIC_RELAXED))
		machine_bug("a table is freed while it names its page");
	__atomic_store_n(&states[n].live, false, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		arena[n - 1][i] = POISON;
	HIDE(arena[n - 1]);
	pthread_mutex_lock(&arena_lock);
	states[n].next_free = pools[n > MACHINE_TABLES_MAX].free_head;
	pools[n > MACHINE_TABLES_MAX].free_head = n;
	usage.tables--;
	pthread_mutex_unlock(&arena_lock);
}

uint64_t machine_table_hpa(const void *table)
{
	unsigned int n = number_of(table, "table_hpa");

	if (n > MACHINE_TABLES_MAX)
		return (RAM_PAGES - MACHINE_LOW_TABLES + (n - 1 - MACHINE_TABLES_MAX)) << VMMU_PAGE_SHIFT;
	return (machine_frame_base | (uint64_t)RAM_IMAGES << RAM_PAGES_LG2 | (n - 1)) << VMMU_PAGE_SHIFT;
}

/* Number less one; NUMBERS or more: none. */
static uint64_t index_at(uint64_t hpa)
{
	uint64_t frame = hpa >> VMMU_PAGE_SHIFT, index;

	if (frame < RAM_PAGES && frame >= RAM_PAGES - MACHINE_LOW_TABLES)
		return MACHINE_TABLES_MAX + (frame - (RAM_PAGES - MACHINE_LOW_TABLES));
	index = frame - (machine_frame_base | (uint64_t)RAM_IMAGES << RAM_PAGES_LG2);
	return index < MACHINE_TABLES_MAX ? index : NUMBERS;
}

bool machine_table_is_live(uint64_t hpa)
{
	uint64_t index = index_at(hpa);

	return arena && index < NUMBERS && !(hpa & (VMMU_PAGE_SIZE - 1)) &&
	       __atomic_load_n(&states[index + 1].live, __ATOMIC_ACQUIRE);
}

void *machine_table_at(uint64_t hpa)
{
	if (!machine_table_is_live(hpa)) {
		machine_bug("table_at: no table in use at %#llx", (unsigned long long)hpa);
		return NULL;
	}
	return arena[index_at(hpa)];
}

void machine_table_set_page(void *table, struct vmmu_page *page)
{
	unsigned int n = number_of(table, "table_set_page");

	if (n)
		__atomic_store_n(&states[n].page, page, __ATOMIC_RELEASE);
}

struct vmmu_page *machine_table_page(const void *table)
{
	unsigned int n = number_of(table, "table_page");

	return n ? __atomic_load_n(&states[n].page, __ATOMIC_ACQUIRE) : NULL;
}

void machine_table_account(const void *table, int delta)
{
	unsigned int n = number_of(table, "table_account");
	bool wrong;

	if (!n)
		return;
	pthread_mutex_lock(&arena_lock);
	wrong = states[n].accounted == (delta > 0);
	if (!wrong) {
		states[n].accounted = delta > 0;
		usage.accounted += delta;
	}
	pthread_mutex_unlock(&arena_lock);
	if (wrong)
		machine_bug("a table is accounted twice, or not at all");
}

struct vmmu_page *machine_page_alloc(bool may_sleep)
{
	bool allowed;

	if (may_sleep)
		machine_assert_may_sleep("page_alloc");
	pthread_mutex_lock(&arena_lock);
	allowed = may_allocate();
	usage.pages += allowed;
	pthread_mutex_unlock(&arena_lock);
	return allowed ? calloc(1, sizeof(struct vmmu_page)) : NULL;
}

void machine_page_free(struct vmmu_page *page)
{
	pthread_mutex_lock(&arena_lock);
	usage.pages--;
	pthread_mutex_unlock(&arena_lock);
	memset(page, 0x5d, sizeof(*page));
	free(page);
}

void *machine_plain_alloc(size_t bytes)
{
	bool allowed;

	machine_assert_may_sleep("plain_alloc");
	pthread_mutex_lock(&arena_lock);
	allowed = may_allocate();
	usage.plain += allowed;
	pthread_mutex_unlock(&arena_lock);
	return allowed ? calloc(1, bytes) : NULL;
}

void *machine_words_alloc(size_t bytes)
{
	bool allowed;

	machine_assert_may_sleep("words_alloc");
	pthread_mutex_lock(&arena_lock);
	allowed = may_allocate();
	pthread_mutex_unlock(&arena_lock);
	return allowed ? calloc(1, bytes) : NULL;
}

void machine_plain_free(void *memory)
{
	if (!memory)
		return;
	pthread_mutex_lock(&arena_lock);
	usage.plain--;
	pthread_mutex_unlock(&arena_lock);
	free(memory);
}

struct machine_usage machine_usage(void)
{
	struct machine_usage now;

	pthread_mutex_lock(&arena_lock);
	now = usage;
	pthread_mutex_unlock(&arena_lock);
	return now;
}
