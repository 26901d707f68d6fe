/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What slots keep for shadow pages, and guest memory that holds guest tables. See vm.h. */
#include <stdlib.h>
#include <vmmu/walk.h>
#include "oracle.h"
#include "tables.h"
#include "vm.h"

/* --- The words of slots ----------------------------------------------------------------------- */

/* Where reverse maps lie, so that a locked word can be told from a page's set of parents. Atomic words. */
#define RANGES	(4 * MACHINE_SPACES * MACHINE_SLOTS)
static struct {
	uintptr_t start, end;
} ranges[RANGES];
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;

static void range_add(const void *start, size_t bytes)
{
	unsigned int i = 0;

	pthread_mutex_lock(&ranges_lock);
	while (i < RANGES && ranges[i].end)
		i++;
	if (i == RANGES)
		abort();
	__atomic_store_n(&ranges[i].start, (uintptr_t)start, __ATOMIC_RELAXED);
	__atomic_store_n(&ranges[i].end, (uintptr_t)start + bytes, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&ranges_lock);
}

static void range_remove(const void *start)
{
	pthread_mutex_lock(&ranges_lock);
	for (unsigned int i = 0; i < RANGES; i++)
		if (ranges[i].start == (uintptr_t)start) {
			__atomic_store_n(&ranges[i].end, 0, __ATOMIC_RELAXED);
			__atomic_store_n(&ranges[i].start, 0, __ATOMIC_RELAXED);
		}
	pthread_mutex_unlock(&ranges_lock);
}

bool machine_is_rmap_word(const void *word)
{
	for (unsigned int i = 0; i < RANGES; i++)
		if ((uintptr_t)word < __atomic_load_n(&ranges[i].end, __ATOMIC_ACQUIRE) &&
		    (uintptr_t)word >= __atomic_load_n(&ranges[i].start, __ATOMIC_RELAXED))
			return true;
	return false;
}

static uint64_t words_of(const struct vmmu_slot *slot, int level)
{
	return machine_slot_block(slot, slot->end - 1, level) + 1;
}

bool machine_slot_words(struct vmmu_slot *slot)
{
	vmmu_entry_set *words;
	uint64_t count = 0;

	if (slot->rmap[0])
		return true;
	for (int level = 1; level <= VMMU_LEVEL_HUGE_MAX; level++)
		count += words_of(slot, level);
	words = machine_words_alloc(count * sizeof(*words));
	if (!words)
		return false;
	range_add(words, count * sizeof(*words));
	for (int level = 1; level <= VMMU_LEVEL_HUGE_MAX; level++) {
		__atomic_store_n(&slot->rmap[level - 1], words, __ATOMIC_RELAXED);
		words += words_of(slot, level);
	}
	return true;
}

void machine_slot_words_free(const struct vmmu_slot *slot)
{
	if (!slot->rmap[0])
		return;
	for (int level = 1; level <= VMMU_LEVEL_HUGE_MAX; level++)
		for (uint64_t i = 0; i < words_of(slot, level); i++)
			if (slot->rmap[level - 1][i])
				machine_bug("the reverse map of block %llu, level %d, is not empty when its slot goes",
					    (unsigned long long)i, level);
	range_remove(slot->rmap[0]);
	free(slot->rmap[0]);
}

int machine_prepare_shadow(struct machine_vm *m)
{
	bool ready = true;

	machine_mutex_lock(MACHINE_LOCK_WORDS, &m->words_lock);
	for (int space = 0; space < MACHINE_SPACES; space++)
		for (int id = 0; id < MACHINE_SLOTS; id++) {
			struct vmmu_slot *slot = machine_slot(m, space, id);

			ready &= !slot || machine_slot_words(slot);
		}
	if (ready)
		__atomic_store_n(&m->shadow_ready, true, __ATOMIC_RELEASE);
	machine_mutex_unlock(&m->words_lock);
	return ready ? VMMU_OK : VMMU_ENOMEM;
}

/* --- Guest tables ------------------------------------------------------------------------------ */

int machine_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, bool may_sleep, uint64_t *value)
{
	struct machine_vm *m = machine_now();
	uint64_t page = machine_ram_page_of_content((char *)at->host - (at->gpa & (VMMU_PAGE_SIZE - 1)));

	if (may_sleep)
		machine_bring_in(m, page);
	else if (ram_flags(&m->ram, page) & RAM_ABSENT)
		return VMMU_EFAULT;
	*value = bytes == 8 ? __atomic_load_n((uint64_t *)at->host, __ATOMIC_ACQUIRE) :
			      __atomic_load_n((uint32_t *)at->host, __ATOMIC_ACQUIRE);
	return VMMU_OK;
}

int machine_gpte_locate(struct machine_vm *m, int space, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	struct vmmu_slot *slot = machine_slot_at(m, space, gpa >> VMMU_PAGE_SHIFT);
	uint64_t page;

	if (!slot || slot->invalid)
		return VMMU_EFAULT;
	page = machine_slot_page(slot, gpa >> VMMU_PAGE_SHIFT);
	at->host = (char *)machine_ram_content(&m->ram, page) + (gpa & (VMMU_PAGE_SIZE - 1));
	at->gpa = gpa;
	at->writable = !slot->read_only;
	return VMMU_OK;
}

int machine_gpte_cmpxchg(struct machine_vm *m, int space, const struct vmmu_gpte *at, unsigned int bytes, uint64_t old,
			 uint64_t value)
{
	struct vmmu_slot *slot = machine_slot_at(m, space, at->gpa >> VMMU_PAGE_SHIFT);
	uint32_t narrow = (uint32_t)old;
	uint64_t page;
	bool done;

	if (!slot || slot->invalid || slot->read_only)
		return VMMU_EFAULT;
	page = machine_slot_page(slot, at->gpa >> VMMU_PAGE_SHIFT);
	if (!machine_ready_to_write(m, page))
		return VMMU_EAGAIN;
	if (bytes == 8)
		done = __atomic_compare_exchange_n((uint64_t *)at->host, &old, value, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
	else
		done = __atomic_compare_exchange_n((uint32_t *)at->host, &narrow, (uint32_t)value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (!done)
		return VMMU_EAGAIN;
	if (m->oracle)
		oracle_flags_set(m->oracle, page, (unsigned int)(at->gpa & (VMMU_PAGE_SIZE - 1)));
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	__atomic_fetch_add(&m->ram.version[space][page], 1, __ATOMIC_RELAXED);
	machine_mutex_unlock(&m->ram_lock);
	machine_mark_dirty(m, slot, at->gpa >> VMMU_PAGE_SHIFT);
	return VMMU_OK;
}
