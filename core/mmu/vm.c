/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Start and end of VMs and vCPUs: see vm.h. */
#include <vmmu/vm.h>
#include <vmmu/context.h>
#include <vmmu/host.h>
#include <vmmu/memory.h>
#include "base/count.h"
#include "base/list.h"
#include "base/lock.h"
#include "engine/root.h"
#include "page/index.h"
#include "page/page.h"

void vmmu_params_default(struct vmmu_params *params)
{
	*params = (struct vmmu_params){
		.root_cache = 16,
		.prefetch = 8,
		.sync_patience = 8,
		.write_flood = 3,
		.frame_leaves = 4096,
	};
}

void vmmu_vm_init(struct vmmu_vm *vm)
{
	vmmu_host_spin_init(&vm->lists);
	dlist_init(&vm->roots);
	dlist_init(&vm->nx_splits);
	dlist_init(&vm->vcpus);
	dlist_init(&vm->shadows);
	dlist_init(&vm->parked);
	dlist_init(&vm->condemned);
	if (!vm->shadow_quota)
		vm->shadow_quota = ~0ull;
	if (vm->params.root_cache > VMMU_ROOT_CACHE_MAX)
		vm->params.root_cache = VMMU_ROOT_CACHE_MAX;
	if (vm->params.sync_patience > VMMU_SYNC_PATIENCE_MAX)
		vm->params.sync_patience = VMMU_SYNC_PATIENCE_MAX;
	if (vm->params.frame_leaves < VMMU_FRAME_LEAVES_MIN)
		vm->params.frame_leaves = VMMU_FRAME_LEAVES_MIN;
	while (vm->params.prefetch & (vm->params.prefetch - 1))
		vm->params.prefetch &= (uint8_t)(vm->params.prefetch - 1);
}

void vmmu_vm_destroy(struct vmmu_vm *vm)
{
	vmmu_zap_all_fast(vm);
	vmmu_host_rcu_barrier();
	vmmu_index_destroy(vm);
}

static void context_init(struct vmmu_context *c)
{
	*c = (struct vmmu_context){ .cached = 0 };
}

void vmmu_vcpu_init(struct vmmu_vcpu *v, struct vmmu_vm *vm)
{
	v->vm = vm;
	v->pool = (struct vmmu_pool){ .count = 0 };
	v->told = (struct vmmu_told){ .pending = false };
	v->prefetch_wait = v->prefetch_backoff = 0;
	for (int i = 0; i < VMMU_C_NR; i++)
		v->count[i] = 0;
	context_init(&v->l1);
	context_init(&v->nested);
	v->current_context = &v->l1;
	lists_lock(vm);
	dlist_add_tail(&vm->vcpus, &v->link);
	lists_unlock(vm);
}

static void context_drop(struct vmmu_vcpu *v, struct vmmu_context *c)
{
	vmmu_root_drop_current(v, c);
	vmmu_roots_drop_cached(v, c);
}

void vmmu_vcpu_destroy(struct vmmu_vcpu *v)
{
	struct vmmu_vm *vm = v->vm;

	context_drop(v, &v->l1);
	context_drop(v, &v->nested);
	vmmu_pool_drain(v);
	lists_lock(vm);
	dlist_del(&v->link);
	for (unsigned int c = 0; c < VMMU_C_NR; c++)
		count_vm(vm, c, counter_read(&v->count[c]));
	lists_unlock(vm);
}
