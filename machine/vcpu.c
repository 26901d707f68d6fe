/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The host's loop around a vCPU: enter, exit, serve. See vcpu.h. */
#include "vcpu.h"
#include <stdlib.h>
#include <vmmu/host.h>

struct machine_vcpu *machine_vcpu_add(struct machine_vm *m)
{
	struct machine_vcpu *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->m = m;
	c->random = m->config.seed * 0x9e3779b97f4a7c15ull + m->vcpus + 1;
	c->level = m->config.level;
	pthread_mutex_init(&c->cpu_lock, NULL);
	vmmu_vcpu_init(&c->v, &m->vm);
	m->vcpu[m->vcpus++] = c;
	machine_vcpu_switch(c, 0, false, c->level);
	return c;
}

void machine_vcpu_remove(struct machine_vm *m)
{
	struct machine_vcpu *c = m->vcpu[--m->vcpus];

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	machine_vcpu_sync_log(c);
	machine_mutex_unlock(&m->slots_lock);
	vmmu_vcpu_destroy(&c->v);
	pthread_mutex_destroy(&c->cpu_lock);
	free(c);
}

/* Tell the CPU where to walk from. */
static void load_root(struct machine_vcpu *c)
{
	struct vmmu_context *x = c->v.current_context;
	vmmu_hpa_t root = vmmu_root_hpa(x);

	machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
	c->root = root == VMMU_HPA_INVALID ? 0 : root;
	c->root_level = x->role.level;
	machine_mutex_unlock(&c->cpu_lock);
}

/* The log of the CPU says nothing of address spaces: what it holds is handed over before it looks elsewhere. */
static void drain_log(struct machine_vcpu *c)
{
	if (!c->m->config.pml)
		return;
	machine_slots_read_lock(c->m);
	machine_vcpu_sync_log(c);
	machine_slots_read_unlock(c->m);
}

void machine_vcpu_switch(struct machine_vcpu *c, int space, bool guest_view, int level)
{
	drain_log(c);
	c->space = space;
	c->guest_view = guest_view;
	c->level = (uint8_t)level;
	vmmu_context_switch(&c->v, c->v.current_context, vmmu_role_direct(level, space, guest_view), 0);
	load_root(c);
}

int machine_vcpu_load(struct machine_vcpu *c)
{
	struct vmmu_context *x = c->v.current_context;
	bool obsolete;

	machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
	obsolete = c->obsolete;
	c->obsolete = false;
	machine_mutex_unlock(&c->cpu_lock);
	if (obsolete) {
		vmmu_roots_drop_obsolete(&c->v, &c->v.l1);
		vmmu_roots_drop_obsolete(&c->v, &c->v.nested);
		load_root(c);
	}
	if (vmmu_root_hpa(x) != VMMU_HPA_INVALID)
		return VMMU_OK;
	c->last_error = vmmu_root_load(&c->v);
	if (c->last_error)
		return c->last_error;
	/* The root's memory may have been another root's, with translations of it still in the TLB. */
	machine_cpu_flush(c, vmmu_root_hpa(x), 0, ~0ull);
	load_root(c);
	return VMMU_OK;
}

void machine_vcpu_sync_log(struct machine_vcpu *c)
{
	machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
	while (c->pml_count) {
		vmmu_gfn_t gfn = c->pml[--c->pml_count].gfn;
		struct vmmu_slot *slot = machine_slot_at(c->m, c->pml[c->pml_count].space, gfn);

		if (slot)
			machine_mark_dirty(c->m, slot, gfn);
	}
	machine_mutex_unlock(&c->cpu_lock);
}

/* The host carries the access out itself. Context: slots. */
static enum machine_access_result emulate(struct machine_vcpu *c, vmmu_gfn_t gfn, uint64_t pf)
{
	struct machine_vm *m = c->m;
	struct vmmu_slot *slot = machine_slot_at(m, c->space, gfn);
	uint64_t page;

	machine_count(&m->emulated);
	if (!slot || slot->invalid) {
		machine_count(&m->mmio);
		return MACHINE_ACCESS_MMIO;
	}
	page = machine_slot_page(slot, gfn);
	if (!(pf & VMMU_PF_W) || slot->read_only)
		return MACHINE_ACCESS_EMULATED;
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	__atomic_fetch_add(&m->ram.version[c->space][page], 1, __ATOMIC_RELAXED);
	machine_mutex_unlock(&m->ram_lock);
	machine_mark_dirty(m, slot, gfn);
	return MACHINE_ACCESS_EMULATED;
}

/* Context: slots. Return: VALID to emulate, or what else the entry is. */
static enum vmmu_mmio_result look_at_mmio(struct machine_vcpu *c, vmmu_gpa_t gpa)
{
	enum vmmu_mmio_result found;
	unsigned int access;
	vmmu_gfn_t gfn;
	uint64_t spte;

	found = vmmu_mmio_lookup(&c->v, gpa, vmmu_host_generation(&c->v), &gfn, &access, &spte);
	if (found == VMMU_MMIO_BUG)
		machine_bug("gpa %#llx: entry %#llx has reserved bits set", (unsigned long long)gpa,
			    (unsigned long long)spte);
	if ((found == VMMU_MMIO_VALID || found == VMMU_MMIO_STALE) && gfn != gpa >> VMMU_PAGE_SHIFT)
		machine_bug("the MMIO entry at gpa %#llx says gfn %#llx", (unsigned long long)gpa,
			    (unsigned long long)gfn);
	if (found == VMMU_MMIO_VALID && machine_slot_at(c->m, c->space, gfn))
		machine_bug("an MMIO entry where memory is: gfn %#llx", (unsigned long long)gfn);
	return found;
}

/* Context: slots. Return: DONE to let the guest try again. */
static enum machine_access_result serve(struct machine_vcpu *c, vmmu_gpa_t gpa, uint64_t pf)
{
	struct vmmu_fault f = { .addr = gpa, .error_code = c->error, .max_level = VMMU_LEVEL_HUGE_MAX };

	if (c->error & VMMU_PF_RSVD) {
		switch (look_at_mmio(c, gpa)) {
		case VMMU_MMIO_VALID:
			return emulate(c, gpa >> VMMU_PAGE_SHIFT, pf);
		case VMMU_MMIO_STALE:
			break;
		default:
			return MACHINE_ACCESS_DONE;
		}
	}
	if (!machine_random_below(&c->random, 8))
		f.max_level = (uint8_t)(1 + machine_random_below(&c->random, VMMU_LEVEL_HUGE_MAX));
	switch (vmmu_fault(&c->v, &f)) {
	case VMMU_FAULT_RETRY:
		machine_count(&c->m->retries);
		return MACHINE_ACCESS_DONE;
	case VMMU_FAULT_FIXED:
	case VMMU_FAULT_SPURIOUS:
		return MACHINE_ACCESS_DONE;
	case VMMU_FAULT_EMULATE:
		return emulate(c, gpa >> VMMU_PAGE_SHIFT, pf);
	case VMMU_FAULT_ERROR:
		c->last_error = f.error;
		return MACHINE_ACCESS_NO_MEMORY;
	default:
		machine_bug("a direct fault was said to be the guest's");
		return MACHINE_ACCESS_DONE;
	}
}

enum machine_access_result machine_access(struct machine_vcpu *c, vmmu_gpa_t gpa, uint64_t pf, unsigned int rounds)
{
	enum machine_access_result served;

	for (unsigned int round = 0; round < rounds; round++) {
		if (machine_vcpu_load(c))
			return MACHINE_ACCESS_NO_MEMORY;
		switch (machine_cpu_access(c, gpa, pf)) {
		case CPU_DONE:
			if (round > c->rounds_max)
				c->rounds_max = round;
			return MACHINE_ACCESS_DONE;
		case CPU_LOG_FULL:
			drain_log(c);
			break;
		case CPU_REQUEST:
			break;
		case CPU_FAULT:
			machine_slots_read_lock(c->m);
			served = serve(c, gpa, pf);
			machine_slots_read_unlock(c->m);
			if (served != MACHINE_ACCESS_DONE)
				return served;
		}
	}
	return MACHINE_ACCESS_GAVE_UP;
}

enum vmmu_fault_result machine_prefetch(struct machine_vcpu *c, vmmu_gfn_t gfn)
{
	struct vmmu_fault f = { .addr = gfn << VMMU_PAGE_SHIFT, .prefetch = true, .max_level = VMMU_LEVEL_HUGE_MAX };
	enum vmmu_fault_result result;

	if (machine_vcpu_load(c))
		return VMMU_FAULT_ERROR;
	machine_slots_read_lock(c->m);
	result = vmmu_fault(&c->v, &f);
	machine_slots_read_unlock(c->m);
	return result;
}
