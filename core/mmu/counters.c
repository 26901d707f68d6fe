/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Names and sums of the counters in vm.h. */
#include <vmmu/vm.h>
#include "base/bits.h"
#include "base/count.h"
#include "base/list.h"
#include "base/lock.h"

static const char *const counter_names[] = {
	[VMMU_C_FAULTS] = "faults",
	[VMMU_C_FAULTS_FIXED] = "faults_fixed",
	[VMMU_C_FAULTS_FAST] = "faults_fast",
	[VMMU_C_FAULTS_SPURIOUS] = "faults_spurious",
	[VMMU_C_FAULTS_EMULATED] = "faults_emulated",
	[VMMU_C_FAULTS_RETRIED] = "faults_retried",
	[VMMU_C_RACES_LOST] = "races_lost",
	[VMMU_C_ROOTS_BUILT] = "roots_built",
	[VMMU_C_ROOTS_HIT] = "roots_hit",
	[VMMU_C_ROOTS_SHARED] = "roots_shared",
	[VMMU_C_ROOTS_MISS_COLD] = "roots_miss_cold",
	[VMMU_C_ROOTS_MISS_OBSOLETE] = "roots_miss_obsolete",
	[VMMU_C_TABLES_MADE] = "tables_made",
	[VMMU_C_TABLES_FREED] = "tables_freed",
	[VMMU_C_TABLES_NOW] = "tables_now",
	[VMMU_C_LEAVES_SET] = "leaves_set",
	[VMMU_C_LEAVES_ZAPPED] = "leaves_zapped",
	[VMMU_C_SPLITS] = "splits",
	[VMMU_C_COLLAPSES] = "collapses",
	[VMMU_C_NX_SPLITS_NOW] = "nx_splits_now",
	[VMMU_C_PREFETCHED] = "prefetched",
	[VMMU_C_SHADOWS_NOW] = "shadow_pages",
	[VMMU_C_SHADOWS_EVICTED] = "shadow_pages_evicted",
	[VMMU_C_SHADOWS_FLOODED] = "shadow_pages_flooded",
	[VMMU_C_UNSYNCED] = "unsynced",
	[VMMU_C_SYNCED] = "synced",
	[VMMU_C_SYNCS] = "syncs",
	[VMMU_C_SYNCS_EMPTY] = "syncs_empty",
	[VMMU_C_GUEST_FAULTS] = "guest_faults",
	[VMMU_C_FAULTS_AHEAD] = "faults_ahead",
	[VMMU_C_GUEST_WRITES] = "guest_table_writes",
	[VMMU_C_MMIO_SET] = "mmio_set",
	[VMMU_C_FLUSHES] = "flushes_issued",
	[VMMU_C_FLUSHES_HANDED_UP] = "flushes_handed_up",
	[VMMU_C_FLUSHES_DEFERRED] = "flushes_deferred",
	[VMMU_C_ZAP_ALL] = "zap_all",
	[VMMU_C_LOCK_EXCL] = "lock_excl",
	[VMMU_C_LOCK_WAIT_VM] = "lock_wait_vm",
	[VMMU_C_LOCK_WAIT_PAGE] = "lock_wait_page",
	[VMMU_C_LOCK_WAIT_BUCKET] = "lock_wait_bucket",
	[VMMU_C_LOCK_WAIT_PARENTS] = "lock_wait_parents",
	[VMMU_C_LOCK_WAIT_RMAP] = "lock_wait_rmap",
	[VMMU_C_LOCK_WAIT_LISTS] = "lock_wait_lists",
};
STATIC_CHECK(sizeof(counter_names) / sizeof(counter_names[0]) == VMMU_C_NR);

const char *vmmu_counter_name(enum vmmu_counter c)
{
	return (unsigned int)c < VMMU_C_NR ? counter_names[c] : "?";
}

/* Those that are counted by table. */
static uint64_t read_leaf_counts(const struct vmmu_vm *vm, enum vmmu_counter c)
{
	uint64_t sum = 0;

	for (unsigned int n = 0; n < VMMU_LEAF_COUNTS; n++) {
		if (c == VMMU_C_LEAVES_SET)
			sum += counter_read(&vm->leaf_count[n].set);
		else if (c == VMMU_C_LEAVES_ZAPPED)
			sum += counter_read(&vm->leaf_count[n].zapped);
	}
	return sum;
}

uint64_t vmmu_counter_read(struct vmmu_vm *vm, enum vmmu_counter c)
{
	uint64_t sum;

	lists_lock(vm);
	sum = counter_read(&vm->count[c]) + read_leaf_counts(vm, c);
	for (struct vmmu_list *node = vm->vcpus.next; node != &vm->vcpus; node = node->next)
		sum += counter_read(&CONTAINER_OF(node, struct vmmu_vcpu, link)->count[c]);
	lists_unlock(vm);
	return sum;
}
