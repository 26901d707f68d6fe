/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See flush.h. */
#include "engine/flush.h"
#include <vmmu/host.h>
#include "base/assert.h"
#include "base/count.h"
#include "page/page.h"

/* @flush has been carried out, or will have been before anybody asks; so many were @deferred before. */
static void settle(const struct vmmu_flush *flush, uint64_t deferred)
{
	if (flush->end == ~0ull && flush_is_deferred(flush->vm))
		__atomic_store_n(&flush->vm->flushes_paid, deferred, __ATOMIC_SEQ_CST);
}

void vmmu_flush_pay(struct vmmu_flush *flush)
{
	struct vmmu_page *page = flush->dead, *next;

	if (flush_is_owed(flush)) {
		uint64_t deferred = __atomic_load_n(&flush->vm->flushes_deferred, __ATOMIC_SEQ_CST);

		flush_add_deferred(flush);
		vmmu_host_flush_range(flush->vm, flush->start, flush->end);
		settle(flush, deferred);
		count_vm(flush->vm, VMMU_C_FLUSHES, 1);
	}
	for (; page; page = next) {
		next = page->next_dead;
		vmmu_page_put(page);
	}
	*flush = flush_none(flush->vm);
}

bool vmmu_flush_hand_up(struct vmmu_flush *flush)
{
	bool owed;

	flush_add_deferred(flush);
	owed = flush_is_owed(flush);
	if (flush->dead) {
		vmmu_flush_pay(flush);
		return false;
	}
	if (owed) {
		/* Nobody else defers, or asks, before the caller gives up the lock. */
		settle(flush, __atomic_load_n(&flush->vm->flushes_deferred, __ATOMIC_SEQ_CST));
		count_vm(flush->vm, VMMU_C_FLUSHES_HANDED_UP, 1);
	}
	*flush = flush_none(flush->vm);
	return owed;
}

void vmmu_flush_defer(struct vmmu_flush *flush)
{
	CHECK(flush->vm, !flush->dead);
	if (!flush_is_owed(flush))
		return;
	__atomic_fetch_add(&flush->vm->flushes_deferred, 1, __ATOMIC_SEQ_CST);
	count_vm(flush->vm, VMMU_C_FLUSHES_DEFERRED, 1);
	*flush = flush_none(flush->vm);
}
