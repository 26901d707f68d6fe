/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See flush.h. */
#include "engine/flush.h"
#include <vmmu/host.h>
#include "base/count.h"
#include "page/page.h"

void vmmu_flush_pay(struct vmmu_flush *flush)
{
	struct vmmu_page *page = flush->dead, *next;

	if (flush_is_owed(flush)) {
		vmmu_host_flush_range(flush->vm, flush->start, flush->end);
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
	bool owed = flush_is_owed(flush);

	if (flush->dead) {
		vmmu_flush_pay(flush);
		return false;
	}
	if (owed)
		count_vm(flush->vm, VMMU_C_FLUSHES_HANDED_UP, 1);
	*flush = flush_none(flush->vm);
	return owed;
}
