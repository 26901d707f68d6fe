/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Start and end of a simulated machine. See vm.h. */
#include "vm.h"
#include <stdio.h>
#include <string.h>
#include "oracle.h"
#include "rcu.h"
#include "say.h"
#include "tables.h"

struct machine_ram *machine_ram_now;

static void init_format(struct machine_vm *m)
{
	const struct machine_config *config = &m->config;

	if (config->ept)
		vmmu_spte_format_init_ept(&m->fmt, config->phys_bits, config->l1tf_cache_bits, config->ad,
					  config->exec_only);
	else
		vmmu_spte_format_init_legacy(&m->fmt, config->phys_bits, config->l1tf_cache_bits);
	if (config->encrypted &&
	    !vmmu_spte_format_set_me(&m->fmt, 1ull << (config->phys_bits - 1), 1ull << (config->phys_bits - 1)))
		machine_bug("the encryption bit is refused");
}

static void init_locks(struct machine_vm *m)
{
	pthread_rwlockattr_t attr;

	/* Writers must not starve, as they do not in Linux. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&m->lock, &attr);
	pthread_rwlock_init(&m->slots_read, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&m->slots_lock, NULL);
	pthread_mutex_init(&m->words_lock, NULL);
	pthread_mutex_init(&m->ram_lock, NULL);
	pthread_mutex_init(&m->change_lock, NULL);
}

void machine_vm_init(struct machine_vm *m, const struct machine_config *config)
{
	unsigned int bits = config->phys_bits - (config->encrypted ? 1u : 0u);

	if (machine_ram_now)
		machine_bug("there is a VM already");
	memset(m, 0, sizeof(*m));
	m->config = *config;
	m->yield_random = config->seed | 1;
	m->vm.recent.count = config->invalidations;
	for (int space = 0; space < MACHINE_SPACES; space++)
		m->generation[space] = config->generation + (unsigned int)space;
	/* The highest address bit is in use where there is room for it. */
	machine_frame_base = bits > 36 ? 1ull << (bits - 1 - VMMU_PAGE_SHIFT) : 0;
	init_format(m);
	init_locks(m);
	machine_ram_init(&m->ram);
	machine_ram_now = &m->ram;

	vmmu_params_default(&m->vm.params);
	m->vm.params.root_cache = config->root_cache;
	m->vm.params.prefetch = config->prefetch;
	if (config->odd_policy) {
		m->vm.params.sync_patience = config->sync_patience;
		m->vm.params.write_flood = config->write_flood;
		m->vm.params.frame_leaves = config->frame_leaves;
	}
	m->vm.fmt = &m->fmt;
	m->vm.huge_level_max = config->huge_level_max;
	m->vm.dirty_by_pml = config->pml;
	vmmu_vm_init(&m->vm);
}

static void check_all_is_back(struct machine_vm *m)
{
	struct machine_usage usage = machine_usage();

	if (usage.tables || usage.pages || usage.plain || usage.accounted)
		machine_bug("left over: %ld tables, %ld pages, %ld other, %ld tables accounted", usage.tables,
			    usage.pages, usage.plain, usage.accounted);
	for (int level = 1; level <= VMMU_LEVEL_MAX; level++)
		if (m->leaves[level])
			machine_bug("%ld leaves of level %d are counted in a VM that has gone", m->leaves[level],
				    level);
	if (m->nx_splits)
		machine_bug("%ld tables are counted as made for NX in a VM that has gone", m->nx_splits);
	if (m->ram.taken)
		machine_bug("%ld references to frames were not given back", m->ram.taken);
	if (machine_rcu_waiting())
		machine_bug("callbacks wait for a VM that has gone");
	if (vmmu_counter_read(&m->vm, VMMU_C_TABLES_NOW) || vmmu_counter_read(&m->vm, VMMU_C_NX_SPLITS_NOW))
		machine_bug("tables are counted in a VM that has gone");
}

void machine_vm_destroy(struct machine_vm *m)
{
	if (m->vcpus)
		machine_bug("a VM goes before its vCPUs");
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	vmmu_vm_destroy(&m->vm);
	machine_mutex_unlock(&m->slots_lock);
	check_all_is_back(m);
	if (m->oracle)
		oracle_free(m->oracle);
	machine_slots_free(m);
	machine_ram_destroy(&m->ram);
	machine_ram_now = NULL;
	pthread_rwlock_destroy(&m->lock);
	pthread_rwlock_destroy(&m->slots_read);
	pthread_mutex_destroy(&m->slots_lock);
	pthread_mutex_destroy(&m->words_lock);
	pthread_mutex_destroy(&m->ram_lock);
	pthread_mutex_destroy(&m->change_lock);
}

void machine_set_nx(struct machine_vm *m, bool on)
{
	MACHINE_SAY("the host: large pages %s executable", on ? "must not be" : "may be");
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	__atomic_store_n(&m->vm.nx_huge_pages, on, __ATOMIC_RELEASE);
	vmmu_zap_all_fast(&m->vm);
	machine_mutex_unlock(&m->slots_lock);
}

void machine_say_page(const struct vmmu_page *page, enum vmmu_page_event event)
{
	static const char *const what[] = {
		[VMMU_PAGE_MADE] = "is made", [VMMU_PAGE_FOUND] = "is found again", [VMMU_PAGE_ZAPPED] = "goes",
		[VMMU_PAGE_UNSYNC] = "goes out of sync", [VMMU_PAGE_SYNC] = "is in sync again",
		[VMMU_PAGE_WRITTEN] = "is written", [VMMU_PAGE_FLOODED] = "looks like no table any more",
		[VMMU_PAGE_EVICTED] = "is one too many",
	};

	MACHINE_SAY("  the core: table for frame %#llx, %s, level %d, %s", (unsigned long long)page->gfn,
		    vmmu_format_name((enum vmmu_format)page->role.format), (int)page->role.level, what[event]);
}

const char *machine_config_name(const struct machine_config *config)
{
	static char name[128];

	snprintf(name, sizeof(name), "%s%s%s%s%s, %u bits, %d levels, up to level %d",
		 config->ept ? "EPT" : config->shadow ? "shadow" : "legacy",
		 config->ept && !config->ad ? " without A/D" : "", config->exec_only ? ", execute-only" : "",
		 config->pml ? ", PML" : "", config->encrypted ? ", encrypted" : "", config->phys_bits, config->level,
		 config->huge_level_max);
	return name;
}
