/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The direct engine without any lock: looking an entry up, and giving one back what aging or the dirty log took.
 *
 * Nothing but RCU keeps the tables readable, and nothing keeps the entry: a compare-and-exchange that succeeds
 * proves that the leaf is the one that was looked at, frame included, so the rights it records are still due.
 */
#include "engine/direct.h"
#include <vmmu/host.h>
#include "base/count.h"
#include "format/spte.h"
#include "walk/iter.h"

#define FAST_TRIES 4

static uint64_t *lookup_entry(const struct vmmu_spte_format *fmt, const struct vmmu_page *root, vmmu_gfn_t gfn,
			      int *level, uint64_t *spte)
{
	uint64_t *table = root->table, *entry;

	for (*level = root->role.level;; (*level)--) {
		entry = &table[iter_index(gfn, *level)];
		*spte = pte_load(entry);
		if (!spte_is_table(*spte, *level))
			return entry;
		table = vmmu_host_table_at(spte_address(fmt, *spte));
	}
}

uint64_t vmmu_direct_lookup(struct vmmu_vm *vm, const struct vmmu_page *root, vmmu_gfn_t gfn, int *level)
{
	uint64_t spte;

	*level = root->role.level;
	if (gfn >= iter_tree_end(root->role.level))
		return 0;
	vmmu_host_rcu_read_lock();
	lookup_entry(vm->fmt, root, gfn, level, &spte);
	vmmu_host_rcu_read_unlock();
	return spte;
}

/* What @spte becomes if all the access lacks was taken by aging or the log; @spte itself if it cannot help. */
static uint64_t restored(struct vmmu_vm *vm, const struct vmmu_fault *f, uint64_t spte, int level)
{
	uint64_t value = spte;

	if (spte_is_access_tracked(vm->fmt, value))
		value = vmmu_spte_with_accessed(vm->fmt, value);
	if (vmmu_fault_is_write(f) && spte_is_mmu_writable(vm->fmt, value)) {
		/* The log works in small pages: a large one has to be split first. */
		if (level > VMMU_LEVEL_4K && vmmu_host_slot_logs_dirty(f->slot))
			return spte;
		value |= SPTE_W;
	}
	return spte_allows(vm->fmt, value, f->error_code) ? value : spte;
}

enum vmmu_fault_result vmmu_direct_fix_fast(struct vmmu_vcpu *v, struct vmmu_page *root, struct vmmu_fault *f)
{
	struct vmmu_vm *vm = v->vm;
	enum vmmu_fault_result result = VMMU_FAULT_RETRY;
	uint64_t spte = 0, value, *entry = NULL;
	int level, tries = FAST_TRIES;

	if (!f->slot || f->gfn >= iter_tree_end(root->role.level))
		return VMMU_FAULT_RETRY;
	vmmu_host_rcu_read_lock();
	while (tries--) {
		entry = lookup_entry(vm->fmt, root, f->gfn, &level, &spte);
		if (!spte_is_leaf(spte, level))
			break;
		if (spte_allows(vm->fmt, spte, f->error_code)) {
			result = VMMU_FAULT_SPURIOUS;
			break;
		}
		value = restored(vm, f, spte, level);
		if (value == spte)
			break;
		if (pte_try_cas(entry, &spte, value)) {
			vmmu_host_trace_spte(vm, root->role.space, vmmu_gfn_round(f->gfn, level), level, spte, value);
			/*
			 * After W is set: a harvest in between takes W again, and the frame is reported once too often.
			 */
			if (value & ~spte & SPTE_W)
				vmmu_host_mark_dirty(vm, v, f->slot, f->gfn);
			count_vcpu(v, VMMU_C_FAULTS_FAST);
			result = VMMU_FAULT_FIXED;
			break;
		}
		count_vm(vm, VMMU_C_RACES_LOST, 1);
	}
	f->fast = result != VMMU_FAULT_RETRY;
	if (f->fast)
		vmmu_host_trace_fault(v, f, VMMU_FAULT_EV_FAST, entry, spte, result);
	vmmu_host_rcu_read_unlock();
	return result;
}
