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
	if (m->config.shadow)
		machine_guest_set_regs(c, &(struct machine_regs){ .cr0 = 0 }, 0);
	else
		machine_vcpu_switch(c, 0, false, c->level);
	return c;
}

void machine_vcpu_remove(struct machine_vm *m)
{
	struct machine_vcpu *c = m->vcpu[--m->vcpus];

	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m->slots_lock);
	machine_vcpu_sync_log(c);
	vmmu_vcpu_destroy(&c->v);
	machine_mutex_unlock(&m->slots_lock);
	pthread_mutex_destroy(&c->cpu_lock);
	free(c);
}

/* Where the CPU reads the four uppermost entries into registers. Context: cpu_lock. */
static void load_pdptes(struct machine_vcpu *c)
{
	const uint64_t *table = machine_table_at(c->root);

	if (c->root >> 32)
		machine_bug("the root of a guest in PAE form is at %#llx", (unsigned long long)c->root);
	for (unsigned int i = 0; i < 4; i++) {
		c->pdpte[i] = __atomic_load_n(&table[i], __ATOMIC_ACQUIRE);
		if ((c->pdpte[i] & 1) && (c->pdpte[i] >> 52 || (c->pdpte[i] & 0x1e6)))
			machine_bug("PDPTE %u has reserved bits: %#llx", i, (unsigned long long)c->pdpte[i]);
	}
}

void machine_vcpu_load_root(struct machine_vcpu *c)
{
	struct vmmu_context *x = c->v.current_context;
	vmmu_hpa_t root = vmmu_root_hpa(x);

	machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
	c->root = root == VMMU_HPA_INVALID ? 0 : root;
	c->root_level = x->role.level;
	c->mirrors = x->shadow;
	c->linear = c->m->config.shadow;
	c->ad = c->m->config.ad && !(x->shadow && x->role.ad_off);
	c->smep = x->mode.smep;
	c->smap = x->mode.smap;
	if (c->root && c->linear && c->root_level == 3)
		load_pdptes(c);
	machine_mutex_unlock(&c->cpu_lock);
}

/* The log of the CPU says nothing of address spaces: what it holds is handed over before it looks elsewhere. */
void machine_vcpu_drain_log(struct machine_vcpu *c)
{
	if (!c->m->config.pml)
		return;
	machine_slots_read_lock(c->m);
	machine_vcpu_sync_log(c);
	machine_slots_read_unlock(c->m);
}

void machine_vcpu_switch(struct machine_vcpu *c, int space, bool guest_view, int level)
{
	machine_vcpu_drain_log(c);
	c->space = space;
	c->guest_view = guest_view;
	c->level = (uint8_t)level;
	MACHINE_SAY("vCPU %u: runs on a direct tree of %d levels, space %d%s", machine_vcpu_number(c), level, space,
		    guest_view ? ", as a nested guest" : "");
	vmmu_context_switch(&c->v, c->v.current_context, vmmu_role_direct(level, space, guest_view), 0);
	machine_vcpu_load_root(c);
}

/* A root, and nothing older than this moment in it where it mirrors. */
static int make_root(struct machine_vcpu *c)
{
	uint64_t time = c->m->oracle ? oracle_tick(c->m->oracle) : 0;
	struct vmmu_context *x = c->v.current_context;

	machine_guest_before_load(c);
	machine_slots_read_lock(c->m);
	c->last_error = vmmu_root_load(&c->v);
	if (!c->last_error) {
		vmmu_sync(&c->v, x);
		machine_guest_ahead(c);
	}
	machine_slots_read_unlock(c->m);
	if (c->last_error)
		return c->last_error;
	MACHINE_SAY("  root at %#llx", (unsigned long long)vmmu_root_hpa(x));
	/* The root's memory may have been another root's, with translations of it still in the TLB. */
	machine_cpu_flush(c, vmmu_root_hpa(x), 0, ~0ull);
	machine_guest_is_flushed(c, time);
	machine_vcpu_load_root(c);
	return VMMU_OK;
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
		machine_slots_read_lock(c->m);
		vmmu_roots_drop_obsolete(&c->v, &c->v.l1);
		vmmu_roots_drop_obsolete(&c->v, &c->v.nested);
		machine_slots_read_unlock(c->m);
		machine_vcpu_load_root(c);
	}
	return vmmu_root_hpa(x) != VMMU_HPA_INVALID ? VMMU_OK : make_root(c);
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

/* L1 empties its log, and L2 goes on. */
static enum machine_access_result log_was_full(struct machine_vcpu *c)
{
	if (!c->g.in_l2 || c->g.l1_logged != GUEST_L1_LOG)
		machine_bug("L1's log is said to be full and is not");
	c->g.l1_logged = 0;
	return MACHINE_ACCESS_DONE;
}

/* The host carries the access out itself. Context: slots. */
static enum machine_access_result emulate(struct machine_vcpu *c, uint64_t addr, uint64_t pf)
{
	struct machine_vm *m = c->m;
	struct vmmu_slot *slot;
	vmmu_gpa_t gpa = machine_guest_translate(c, addr, pf);

	machine_count(&m->emulated);
	if (gpa == VMMU_GPA_INVALID && c->g.injected.log_full)
		return log_was_full(c);
	if (gpa == VMMU_GPA_INVALID)
		return c->g.injected.race ? MACHINE_ACCESS_DONE : MACHINE_ACCESS_INJECTED;
	slot = machine_slot_at(m, c->space, gpa >> VMMU_PAGE_SHIFT);
	if (!slot || slot->invalid) {
		machine_count(&m->mmio);
		return MACHINE_ACCESS_MMIO;
	}
	if (!(pf & VMMU_PF_W) || slot->read_only)
		return MACHINE_ACCESS_EMULATED;
	return machine_write_for_guest(m, slot, gpa, c->g.store_value, c->g.store_bytes) ? MACHINE_ACCESS_EMULATED :
										   MACHINE_ACCESS_DONE;
}

/* Context: slots. Return: VALID to emulate, or what else the entry is. */
static enum vmmu_mmio_result look_at_mmio(struct machine_vcpu *c, vmmu_gpa_t gpa)
{
	bool mirrors = c->v.current_context->shadow;
	struct vmmu_slot *slot;
	enum vmmu_mmio_result found;
	unsigned int access;
	vmmu_gfn_t gfn;
	uint64_t spte;

	found = vmmu_mmio_lookup(&c->v, gpa, vmmu_host_generation(&c->v), &gfn, &access, &spte);
	if (found == VMMU_MMIO_BUG)
		machine_bug("gpa %#llx: entry %#llx has reserved bits set", (unsigned long long)gpa,
			    (unsigned long long)spte);
	if (found == VMMU_MMIO_VALID && mirrors && !machine_guest_may_find(c, gpa, gfn))
		machine_bug("the MMIO entry at %#llx says gfn %#llx, which the guest's tables do not give",
			    (unsigned long long)gpa, (unsigned long long)gfn);
	if ((found == VMMU_MMIO_VALID || found == VMMU_MMIO_STALE) && !mirrors && gfn != gpa >> VMMU_PAGE_SHIFT)
		machine_bug("the MMIO entry at gpa %#llx says gfn %#llx", (unsigned long long)gpa,
			    (unsigned long long)gfn);
	slot = found == VMMU_MMIO_VALID ? machine_slot_at(c->m, c->space, gfn) : NULL;
	/* One that is being added can be seen before the generation says so. */
	if (slot && __atomic_load_n(&slot->announced, __ATOMIC_ACQUIRE))
		machine_bug("an MMIO entry where memory is: gfn %#llx", (unsigned long long)gfn);
	return found;
}

/* Context: slots. Return: DONE to let the guest try again. */
static enum machine_access_result serve(struct machine_vcpu *c, vmmu_gpa_t gpa, uint64_t pf, uint8_t max_level)
{
	struct vmmu_fault f = { .addr = gpa, .error_code = c->error, .max_level = max_level };

	if (c->error & VMMU_PF_RSVD) {
		switch (look_at_mmio(c, gpa)) {
		case VMMU_MMIO_VALID:
			return emulate(c, gpa, pf);
		case VMMU_MMIO_STALE:
			break;
		default:
			return MACHINE_ACCESS_DONE;
		}
	}
	MACHINE_SAY("  fault, error code %#llx", (unsigned long long)c->error);
	switch (vmmu_fault(&c->v, &f)) {
	case VMMU_FAULT_RETRY:
		machine_count(&c->m->retries);
		return MACHINE_ACCESS_DONE;
	case VMMU_FAULT_FIXED:
	case VMMU_FAULT_SPURIOUS:
		return MACHINE_ACCESS_DONE;
	case VMMU_FAULT_EMULATE:
		return emulate(c, gpa, pf);
	case VMMU_FAULT_INJECT:
		if (!c->v.current_context->shadow)
			machine_bug("a direct fault was said to be the guest's");
		if (f.guest.log_full)
			return log_was_full(c);
		c->g.injected = f.guest;
		return MACHINE_ACCESS_INJECTED;
	case VMMU_FAULT_ERROR:
		c->last_error = f.error;
		return MACHINE_ACCESS_NO_MEMORY;
	default:
		machine_bug("a fault came to nothing");
		return MACHINE_ACCESS_DONE;
	}
}

static enum machine_access_result access_in(struct machine_vcpu *c, vmmu_gpa_t addr, uint64_t pf, unsigned int rounds)
{
	enum machine_access_result served;
	/* The same for all faults of an access: a fault that gets nowhere at one level is not helped by another one. */
	uint8_t max_level = machine_random_below(&c->random, 8) ? VMMU_LEVEL_HUGE_MAX :
		(uint8_t)(1 + machine_random_below(&c->random, VMMU_LEVEL_HUGE_MAX));

	for (unsigned int round = 0; round < rounds; round++) {
		int err = machine_vcpu_load(c);

		if (err)
			return err == VMMU_EFAULT ? MACHINE_ACCESS_NO_ROOT : MACHINE_ACCESS_NO_MEMORY;
		switch (machine_cpu_access(c, addr, pf)) {
		case CPU_DONE:
			if (round > c->rounds_max)
				c->rounds_max = round;
			return MACHINE_ACCESS_DONE;
		case CPU_LOG_FULL:
			machine_vcpu_drain_log(c);
			break;
		case CPU_REQUEST:
			break;
		case CPU_FAULT:
			machine_slots_read_lock(c->m);
			served = serve(c, addr, pf, max_level);
			machine_slots_read_unlock(c->m);
			if (served != MACHINE_ACCESS_DONE)
				return served;
		}
	}
	return MACHINE_ACCESS_GAVE_UP;
}

static const char *access_name(uint64_t pf)
{
	return pf & VMMU_PF_W ? "write" : pf & VMMU_PF_F ? "fetch" : "read";
}

enum machine_access_result machine_access(struct machine_vcpu *c, vmmu_gpa_t addr, uint64_t pf, unsigned int rounds)
{
	static const char *const came_to[] = {
		[MACHINE_ACCESS_DONE] = "done",
		[MACHINE_ACCESS_EMULATED] = "emulated",
		[MACHINE_ACCESS_MMIO] = "no memory there",
		[MACHINE_ACCESS_NO_MEMORY] = "the host has no memory",
		[MACHINE_ACCESS_GAVE_UP] = "no end",
		[MACHINE_ACCESS_INJECTED] = "a fault of the guest's",
		[MACHINE_ACCESS_NO_ROOT] = "its tables are no memory",
	};
	enum machine_access_result result;

	MACHINE_SAY("vCPU %u: %s%s of %#llx", machine_vcpu_number(c),
		    c->linear ? pf & VMMU_PF_U ? "user's " : "supervisor's " : "", access_name(pf),
		    (unsigned long long)addr);
	result = access_in(c, addr, pf, rounds);
	MACHINE_SAY("  -> %s", came_to[result]);
	return result;
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
