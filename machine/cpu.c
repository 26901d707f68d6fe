/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The hardware of a vCPU: what it keeps, what it uses, what it tells. See vcpu.h. */
#include "tables.h"
#include "vcpu.h"

static bool covers(const struct cpu_translation *t, uint64_t root, vmmu_gfn_t gfn)
{
	return t->root == root && gfn - t->gfn < vmmu_level_frames(t->level);
}

/* Context: cpu_lock. Any one that fits: a CPU may hold several, of different sizes. */
static struct cpu_translation *tlb_find(struct machine_vcpu *c, vmmu_gfn_t gfn)
{
	unsigned int first = (unsigned int)machine_random_below(&c->random, CPU_TLB);

	for (unsigned int i = 0; i < CPU_TLB; i++) {
		struct cpu_translation *t = &c->tlb[(first + i) % CPU_TLB];

		if (t->root && covers(t, c->root, gfn))
			return t;
	}
	return NULL;
}

/* A fault drops what the CPU holds for the address: APM vol. 2 "TLB Management", SDM vol. 3 "Invalidating ... EPT". */
static void tlb_drop(struct machine_vcpu *c, vmmu_gfn_t gfn)
{
	for (unsigned int i = 0; i < CPU_TLB; i++)
		if (c->tlb[i].root && covers(&c->tlb[i], c->root, gfn))
			c->tlb[i].root = 0;
	for (unsigned int i = 0; i < CPU_WALKS; i++)
		if (c->walk[i].root == c->root && gfn - c->walk[i].gfn < 1ull << (9 * c->walk[i].level))
			c->walk[i].root = 0;
}

vmmu_gfn_t machine_cpu_frame(const struct machine_vcpu *c, uint64_t addr)
{
	unsigned int bits = c->linear && c->root_level == 3 ? 32 : 12 + 9 * (unsigned int)c->root_level;

	return c->linear ? (addr & ((1ull << bits) - 1)) >> VMMU_PAGE_SHIFT : addr >> VMMU_PAGE_SHIFT;
}

/* CR0.WP is set whatever the guest says. */
static bool allows_linear(const struct machine_vcpu *c, const struct cpu_translation *t, uint64_t pf)
{
	if ((pf & VMMU_PF_W) && !t->write)
		return false;
	if ((pf & VMMU_PF_F) && !t->exec)
		return false;
	if (pf & VMMU_PF_U)
		return t->user;
	if (!t->user)
		return true;
	return pf & VMMU_PF_F ? !c->smep : !c->smap || c->ac;
}

bool machine_cpu_allows(const struct machine_vcpu *c, const struct cpu_translation *t, uint64_t pf)
{
	if (c->linear)
		return allows_linear(c, t, pf);
	/* Nested: every access is a user's. Of EPT U says that the access reads as well. */
	if (!t->user || (c->m->config.ept && (pf & VMMU_PF_U) && !t->read))
		return false;
	if (pf & VMMU_PF_W)
		return t->write;
	return pf & VMMU_PF_F ? t->exec : t->read;
}

/* The access itself, by a translation. Nothing may lead to a frame that no longer stands behind its page. */
static void touch(struct machine_vcpu *c, const struct cpu_translation *t, uint64_t addr, uint64_t pf)
{
	vmmu_gfn_t gfn = machine_cpu_frame(c, addr);
	bool current;
	uint64_t page = machine_ram_page_of(&c->m->ram, t->pfn + (gfn - t->gfn), &current);

	if (!current)
		machine_bug("a CPU reaches frame %#llx for gfn %#llx, which is not behind any page",
			    (unsigned long long)(t->pfn + (gfn - t->gfn)), (unsigned long long)gfn);
	if (c->m->config.encrypted && t->encrypted == !!(ram_flags(&c->m->ram, page) & RAM_DEVICE))
		machine_bug("gfn %#llx: encryption is wrong", (unsigned long long)gfn);
	c->reached = page;
	if (c->mirrors)
		machine_guest_check(c, addr, pf, page);
	if (!(pf & VMMU_PF_W))
		return;
	if (ram_flags(&c->m->ram, page) & RAM_COPY_ON_WRITE)
		machine_bug("a CPU writes to a page that is to be copied first, gfn %#llx", (unsigned long long)gfn);
	machine_ram_written(&c->m->ram, page, c->space);
	if (c->g.store_bytes)
		machine_store(c->m, page, (unsigned int)(addr & 0xfff), c->g.store_value, c->g.store_bytes, true);
}

/* Where a walk begins: at the root, or at any table that the CPU remembers. */
static struct cpu_walk walk_start(struct machine_vcpu *c, vmmu_gfn_t gfn)
{
	struct cpu_walk root = { .root = c->root, .table = c->root, .level = (uint8_t)c->root_level };
	const struct cpu_walk *w = &c->walk[machine_random_below(&c->random, CPU_WALKS)];

	for (unsigned int i = 0; i < CPU_WALKS; i++, w = w + 1 == c->walk + CPU_WALKS ? c->walk : w + 1)
		if (w->root == c->root && gfn - w->gfn < 1ull << (9 * w->level))
			return machine_random_below(&c->random, 4) ? *w : root;
	return root;
}

static enum cpu_result fault(struct machine_vcpu *c, vmmu_gfn_t gfn, uint64_t pf, enum walker_result why)
{
	tlb_drop(c, gfn);
	/* Of an EPT violation the host takes "read" for U. */
	c->error = pf;
	if (c->m->config.ept)
		c->error |= pf & (VMMU_PF_W | VMMU_PF_F) ? 0 : VMMU_PF_U;
	else if (!c->linear)
		c->error |= VMMU_PF_U;
	if (why == WALKER_DENIED)
		c->error |= VMMU_PF_P;
	if (why == WALKER_RESERVED)
		c->error |= VMMU_PF_RSVD | VMMU_PF_P;
	c->faults++;
	return CPU_FAULT;
}

/* Context: cpu_lock. */
static enum cpu_result access_locked(struct machine_vcpu *c, uint64_t addr, uint64_t pf)
{
	vmmu_gfn_t gfn = machine_cpu_frame(c, addr);
	struct cpu_translation *t, fresh;
	enum walker_result walked;

	if (c->obsolete || !c->root)
		return CPU_REQUEST;
	t = machine_random_below(&c->random, 8) ? tlb_find(c, gfn) : NULL;
	if (t && machine_cpu_allows(c, t, pf) && (!(pf & VMMU_PF_W) || t->dirty || (c->m->config.ept && !c->ad))) {
		touch(c, t, addr, pf);
		return CPU_DONE;
	}
	/* Too few rights: a CPU may fault at once, or look again. */
	if (t && !machine_cpu_allows(c, t, pf) && !machine_random_below(&c->random, 4))
		return fault(c, gfn, pf, WALKER_DENIED);
	do {
		struct cpu_walk start = walk_start(c, gfn);

		walked = machine_walk(c, &start, gfn, pf, &fresh);
	} while (walked == WALKER_AGAIN);
	if (walked == WALKER_LOG_FULL)
		return CPU_LOG_FULL;
	if (walked != WALKER_OK)
		return fault(c, gfn, pf, walked);
	c->tlb[machine_random_below(&c->random, CPU_TLB)] = fresh;
	touch(c, &fresh, addr, pf);
	return CPU_DONE;
}

enum cpu_result machine_cpu_access(struct machine_vcpu *c, vmmu_gpa_t addr, uint64_t pf)
{
	enum cpu_result result;

	if (c->m->oracle)
		machine_slots_read_lock(c->m);
	machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
	c->accesses++;
	result = access_locked(c, addr, pf);
	machine_mutex_unlock(&c->cpu_lock);
	if (c->m->oracle)
		machine_slots_read_unlock(c->m);
	return result;
}

void machine_cpu_flush(struct machine_vcpu *c, uint64_t root, vmmu_gfn_t start, vmmu_gfn_t end)
{
	machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
	for (unsigned int i = 0; i < CPU_TLB; i++)
		if ((!root || c->tlb[i].root == root) && c->tlb[i].gfn < end &&
		    start < c->tlb[i].gfn + vmmu_level_frames(c->tlb[i].level ? c->tlb[i].level : 1))
			c->tlb[i].root = 0;
	for (unsigned int i = 0; i < CPU_WALKS; i++)
		if ((!root || c->walk[i].root == root) && c->walk[i].gfn < end &&
		    start < c->walk[i].gfn + (1ull << (9 * c->walk[i].level)))
			c->walk[i].root = 0;
	machine_mutex_unlock(&c->cpu_lock);
}

void (*machine_at_flush)(void);

void machine_flush(struct machine_vm *m, vmmu_gfn_t start, vmmu_gfn_t end)
{
	/* Translations of shadow pages are by other addresses than frames. */
	bool all = machine_shadow_ready(m);

	machine_count(&m->flushes);
	if (machine_at_flush)
		machine_at_flush();
	MACHINE_SAY("  all TLBs are flushed");
	for (unsigned int i = 0; i < m->vcpus; i++)
		machine_cpu_flush(m->vcpu[i], 0, all ? 0 : start, all ? ~0ull : end);
}

void machine_kick_obsolete_roots(struct machine_vm *m)
{
	machine_count(&m->kicks);
	MACHINE_SAY("  every vCPU has to drop obsolete roots");
	for (unsigned int i = 0; i < m->vcpus; i++) {
		struct machine_vcpu *c = m->vcpu[i];

		machine_mutex_lock(MACHINE_LOCK_CPU, &c->cpu_lock);
		c->obsolete = true;
		machine_mutex_unlock(&c->cpu_lock);
	}
}

/* Does @t give no more of @gfn than the VM has to give? */
static void check_frame(struct machine_vcpu *c, const struct cpu_translation *t, int space, vmmu_gfn_t gfn)
{
	struct machine_vm *m = c->m;
	struct vmmu_slot *slot = machine_slot_at(m, space, gfn);
	uint64_t page = slot ? machine_slot_page(slot, gfn) : 0;

	if (!slot || slot->invalid || (ram_flags(&m->ram, page) & RAM_ABSENT) ||
	    machine_ram_pfn(&m->ram, page) != t->pfn + (gfn - t->gfn))
		machine_bug("a CPU holds gfn %#llx -> frame %#llx, which has gone", (unsigned long long)gfn,
			    (unsigned long long)(t->pfn + (gfn - t->gfn)));
	else if (t->write &&
		 (slot->read_only || machine_is_tracked(m, gfn) || (ram_flags(&m->ram, page) & RAM_COPY_ON_WRITE)))
		machine_bug("a CPU may write gfn %#llx and must not", (unsigned long long)gfn);
}

/* May the VM's space @space write to @page of the host's by any of its frames? */
static bool is_writable_anywhere(struct machine_vm *m, int space, uint64_t page)
{
	for (int id = 0; id < MACHINE_SLOTS; id++) {
		struct vmmu_slot *slot = machine_slot(m, space, id);

		if (slot && !slot->invalid && !slot->read_only && page >= slot->page &&
		    page - slot->page < slot->end - slot->start &&
		    !machine_is_tracked(m, slot->start + (page - slot->page)))
			return true;
	}
	return false;
}

/* Does the reverse map lead from @page of the host's to some leaf? Else nobody flushes when the page goes. */
static bool is_found_by_host(struct machine_vm *m, uint64_t page)
{
	for (int n = 0; n < MACHINE_SPACES * MACHINE_SLOTS; n++) {
		struct vmmu_slot *slot = machine_slot(m, n / MACHINE_SLOTS, n % MACHINE_SLOTS);

		if (!slot || page < slot->page || page - slot->page >= slot->end - slot->start)
			continue;
		for (int level = 1; level <= VMMU_LEVEL_HUGE_MAX && slot->rmap[0]; level++) {
			vmmu_gfn_t gfn = slot->start + (page - slot->page);

			if (slot->rmap[level - 1][machine_slot_block(slot, gfn, level)])
				return true;
		}
	}
	return false;
}

/* Is the MMU to flush as soon as the host relies on the tables alone? */
static bool is_flush_deferred(const struct machine_vm *m)
{
	return __atomic_load_n(&m->vm.flushes_deferred, __ATOMIC_SEQ_CST) !=
	       __atomic_load_n(&m->vm.flushes_paid, __ATOMIC_SEQ_CST);
}

/* A translation from tables that mirror a guest's: of which frame of the guest's is not to be seen in it. */
static void check_mirrored(struct machine_vcpu *c, const struct cpu_translation *t, int space)
{
	uint64_t frames = vmmu_level_frames(t->level), step = frames > 1 ? frames / 2 - 1 : 1;

	for (uint64_t n = 0; n < frames; n += step) {
		bool current;
		uint64_t page = machine_ram_page_of(&c->m->ram, t->pfn + n, &current);

		if (!current)
			machine_bug("a CPU holds address %#llx -> frame %#llx, which has gone",
				    (unsigned long long)(t->gfn << VMMU_PAGE_SHIFT), (unsigned long long)(t->pfn + n));
		if (!is_found_by_host(c->m, page) && !is_flush_deferred(c->m))
			machine_bug("a CPU holds address %#llx -> page %#llx of the host's, "
				    "and no leaf is known that maps it",
				    (unsigned long long)(t->gfn << VMMU_PAGE_SHIFT), (unsigned long long)page);
		if (t->write && ((ram_flags(&c->m->ram, page) & RAM_COPY_ON_WRITE) ||
				 !is_writable_anywhere(c->m, space, page)))
			machine_bug("a CPU may write at address %#llx, page %#llx of the host's, and must not",
				    (unsigned long long)(t->gfn << VMMU_PAGE_SHIFT), (unsigned long long)page);
	}
}

static void check_translation(struct machine_vcpu *c, const struct cpu_translation *t, int space)
{
	uint64_t frames = vmmu_level_frames(t->level);

	check_frame(c, t, space, t->gfn);
	if (t->level == VMMU_LEVEL_4K)
		return;
	check_frame(c, t, space, t->gfn + frames - 1);
	check_frame(c, t, space, t->gfn + machine_random_below(&c->random, frames));
	if (t->exec && __atomic_load_n(&c->m->vm.nx_huge_pages, __ATOMIC_RELAXED))
		machine_bug("a CPU may execute a large page at gfn %#llx", (unsigned long long)t->gfn);
}

static const struct vmmu_page *root_in(const struct vmmu_context *x, uint64_t root)
{
	if (x->root.page && machine_table_hpa(x->root.page->table) == root)
		return x->root.page;
	for (unsigned int i = 0; i < x->cached; i++)
		if (machine_table_hpa(x->cache[i].page->table) == root)
			return x->cache[i].page;
	return NULL;
}

/* The root a translation belongs to, if the vCPU can come back to it without a flush. */
static const struct vmmu_page *root_of(const struct machine_vcpu *c, uint64_t root)
{
	const struct vmmu_page *page = root ? root_in(&c->v.l1, root) : NULL;

	return page || !root ? page : root_in(&c->v.nested, root);
}

void machine_cpu_check(struct machine_vcpu *c)
{
	for (unsigned int i = 0; i < CPU_TLB; i++) {
		const struct vmmu_page *root = root_of(c, c->tlb[i].root);

		if (root && root->shadow)
			check_mirrored(c, &c->tlb[i], (int)root->role.space);
		else if (root)
			check_translation(c, &c->tlb[i], (int)root->role.space);
	}
	for (unsigned int i = 0; i < CPU_WALKS; i++)
		if (root_of(c, c->walk[i].root) && !machine_table_is_live(c->walk[i].table))
			machine_bug("a CPU may walk a table that was freed, at gfn %#llx",
				    (unsigned long long)c->walk[i].gfn);
}
