/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See guest.h. */
#include "guest.h"
#include <string.h>
#include <vmmu/fault.h>
#include "vcpu.h"

static struct vmmu_context *context(struct machine_vcpu *c) { return c->v.current_context; }

static uint64_t tick(struct machine_vcpu *c) { return c->m->oracle ? oracle_tick(c->m->oracle) : 0; }

void machine_oracle_on(struct machine_vm *m)
{
	m->oracle = oracle_new(m);
}

void machine_store(struct machine_vm *m, uint64_t page, unsigned int offset, uint64_t value, unsigned int bytes,
		   bool told)
{
	char *at = (char *)machine_ram_content(&m->ram, page) + offset;

	MACHINE_SAY("  %u bytes at %#llx of page %#llx become %#llx%s", bytes, (unsigned long long)offset,
		    (unsigned long long)page, (unsigned long long)value, told ? "" : ", and nobody is told yet");
	if (m->oracle)
		oracle_store(m->oracle, page, offset, value, bytes, told);
	else
		for (unsigned int i = 0; i < bytes; i++)
			__atomic_store_n(at + i, (char)(value >> (8 * i)), __ATOMIC_RELAXED);
}

bool machine_write_for_guest(struct machine_vm *m, const struct vmmu_slot *slot, vmmu_gpa_t gpa, uint64_t value,
			     unsigned int bytes)
{
	uint64_t page = machine_slot_page(slot, gpa >> VMMU_PAGE_SHIFT), began;
	unsigned int offset = (unsigned int)(gpa & (VMMU_PAGE_SIZE - 1));

	if (!machine_ready_to_write(m, page))
		return false;
	machine_mutex_lock(MACHINE_LOCK_RAM, &m->ram_lock);
	__atomic_fetch_add(&m->ram.version[slot->space][page], 1, __ATOMIC_RELAXED);
	if (bytes)
		machine_store(m, page, offset, value, bytes, false);
	machine_mutex_unlock(&m->ram_lock);
	machine_mark_dirty(m, slot, gpa >> VMMU_PAGE_SHIFT);
	MACHINE_SAY("  the host writes gpa %#llx for the guest, and says so", (unsigned long long)gpa);
	began = m->oracle ? oracle_tick(m->oracle) : 0;
	vmmu_guest_written(&m->vm, bytes ? gpa : gpa & ~7ull, bytes ? bytes : 8);
	if (m->oracle && bytes)
		oracle_told(m->oracle, page, offset, bytes, began);
	return true;
}

/* --- Spaces -------------------------------------------------------------------------------------- */

static bool is_space(const struct guest_space *s, const struct machine_vcpu *c, const struct vmmu_context *x)
{
	return s->used && s->nested == c->g.in_l2 && s->role == x->role.word && s->pgd == x->pgd &&
	       s->levels == x->mode.root_level &&
	       (x->mode.format != VMMU_FORMAT_PAE || !memcmp(s->pdpte, x->pdpte, sizeof(s->pdpte)));
}

/* The one that was in use longest ago gives way: there are more than the core keeps roots for. */
static struct guest_space *find_space(struct machine_vcpu *c, const struct vmmu_context *x)
{
	struct guest_space *oldest = c->g.spaces;

	for (struct guest_space *s = c->g.spaces; s < c->g.spaces + GUEST_SPACES; s++) {
		if (is_space(s, c, x))
			return s;
		if (s->last_used < oldest->last_used)
			oldest = s;
	}
	*oldest = (struct guest_space){ .used = true, .nested = c->g.in_l2, .role = x->role.word,
					.levels = x->mode.root_level, .pgd = x->pgd };
	memcpy(oldest->pdpte, x->pdpte, sizeof(oldest->pdpte));
	return oldest;
}

static uint64_t since(const struct guest_space *s, uint64_t addr)
{
	uint64_t since = s->since;

	for (unsigned int i = 0; i < s->invlpgs; i++)
		if (s->invlpg[i].frame == addr >> 12 && s->invlpg[i].since > since)
			since = s->invlpg[i].since;
	return since;
}

static void space_flushed(struct guest_space *s, uint64_t time)
{
	s->since = time;
	s->invlpgs = 0;
	s->unknown = false;
}

static void forget_past(struct machine_vm *m)
{
	uint64_t oldest = ~0ull;

	if (!m->oracle)
		return;
	for (unsigned int i = 0; i < m->vcpus; i++)
		for (struct guest_space *s = m->vcpu[i]->g.spaces; s < m->vcpu[i]->g.spaces + GUEST_SPACES; s++)
			if (s->used && s->since < oldest)
				oldest = s->since;
	oracle_forget_before(m->oracle, oldest);
}

void machine_guest_is_flushed(struct machine_vcpu *c, uint64_t time)
{
	if (!c->g.space)
		return;
	space_flushed(c->g.space, time);
	forget_past(c->m);
}

void machine_guest_slots_changed(struct machine_vm *m)
{
	for (unsigned int i = 0; m->oracle && i < m->vcpus; i++)
		for (unsigned int s = 0; s < GUEST_SPACES; s++)
			m->vcpu[i]->g.spaces[s].unknown = true;
}

/* --- Roots ---------------------------------------------------------------------------------------- */

/* PDPTEs of an NPT are in L1's memory: read at each switch to it, and as a root is made. */
static void read_nested_pdptes(struct machine_vcpu *c, uint64_t root)
{
	struct vmmu_context *x = &c->v.nested;
	struct vmmu_gpte at;

	machine_slots_read_lock(c->m);
	for (unsigned int i = 0; i < 4; i++)
		x->pdpte[i] = machine_gpte_locate(c->m, c->space, (root & 0xffffffe0) + 8 * i, &at) ?
				      0 : __atomic_load_n((uint64_t *)at.host, __ATOMIC_SEQ_CST);
	machine_slots_read_unlock(c->m);
}

/* The context needs (@role, @pgd) from now on. */
static void switch_to(struct machine_vcpu *c, struct vmmu_context *x, union vmmu_role role, uint64_t pgd)
{
	enum vmmu_switch found;

	machine_vcpu_drain_log(c);
	c->v.current_context = x;
	MACHINE_SAY("vCPU %u: runs on the guest's %s tables at %#llx, space %d", machine_vcpu_number(c),
		    vmmu_format_name((enum vmmu_format)x->mode.format), (unsigned long long)pgd, c->space);
	if (x->mode.format == VMMU_FORMAT_NPT_PAE)
		read_nested_pdptes(c, pgd);
	machine_slots_read_lock(c->m);
	found = vmmu_context_switch(&c->v, x, role, pgd);
	if (found != VMMU_SWITCH_MISS)
		machine_guest_ahead(c);
	machine_slots_read_unlock(c->m);
	c->g.space = x->shadow ? find_space(c, x) : NULL;
	if (c->g.space)
		c->g.space->last_used = ++c->g.uses;
	machine_vcpu_load_root(c);
}

/* L1 flushes what L2 runs on by its next VMRUN alone, where PAE's uppermost entries are read anew. */
static void reenter(struct machine_vcpu *c)
{
	if (c->g.in_l2 && c->v.nested.mode.format == VMMU_FORMAT_NPT_PAE)
		switch_to(c, &c->v.nested, c->v.nested.role, c->v.nested.pgd);
}

void machine_guest_ahead(struct machine_vcpu *c)
{
	if (c->g.in_l2)
		vmmu_fault_ahead(&c->v, 1 + (int)machine_random_below(&c->random, VMMU_LEVEL_HUGE_MAX));
}

void machine_guest_flush(struct machine_vcpu *c)
{
	uint64_t time = tick(c);

	MACHINE_SAY("vCPU %u: flushes its space", machine_vcpu_number(c));
	/* A root that is yet to be made is synced and flushed then. */
	reenter(c);
	if (!context(c)->root.page)
		return;
	machine_slots_read_lock(c->m);
	vmmu_sync(&c->v, context(c));
	machine_guest_ahead(c);
	machine_slots_read_unlock(c->m);
	machine_cpu_flush(c, vmmu_root_hpa(context(c)), 0, ~0ull);
	machine_guest_is_flushed(c, time);
}

void machine_guest_flush_all(struct machine_vcpu *c)
{
	uint64_t time = tick(c);

	MACHINE_SAY("vCPU %u: flushes all spaces", machine_vcpu_number(c));
	reenter(c);
	machine_slots_read_lock(c->m);
	vmmu_sync(&c->v, context(c));
	vmmu_sync_cached(&c->v, context(c));
	machine_slots_read_unlock(c->m);
	machine_cpu_flush(c, 0, 0, ~0ull);
	for (struct guest_space *s = c->g.spaces; s < c->g.spaces + GUEST_SPACES; s++)
		if (s->used && s->nested == c->g.in_l2)
			space_flushed(s, time);
	forget_past(c->m);
}

void machine_guest_invlpg(struct machine_vcpu *c, uint64_t addr)
{
	struct vmmu_context *x = context(c);
	struct guest_space *s = c->g.space;
	uint64_t time = tick(c), frame = machine_cpu_frame(c, addr);
	bool cpu_first = machine_random_below(&c->random, 2);

	MACHINE_SAY("vCPU %u: flushes %#llx", machine_vcpu_number(c), (unsigned long long)addr);
	reenter(c);
	if (!x->root.page)
		return;
	s = c->g.space;
	if (cpu_first)
		machine_cpu_flush(c, vmmu_root_hpa(x), frame, frame + 1);
	machine_slots_read_lock(c->m);
	vmmu_invalidate_address(&c->v, x, addr, true);
	machine_slots_read_unlock(c->m);
	if (!cpu_first)
		machine_cpu_flush(c, vmmu_root_hpa(x), frame, frame + 1);
	if (!s)
		return;
	s->invlpg[s->invlpgs % GUEST_INVLPGS].frame = addr >> 12;
	s->invlpg[s->invlpgs % GUEST_INVLPGS].since = time;
	if (s->invlpgs < GUEST_INVLPGS)
		s->invlpgs++;
	else
		s->invlpgs = 1;
}

/* --- Modes ---------------------------------------------------------------------------------------- */

static void describe_legacy(struct oracle_tables *t, const struct machine_vcpu *c, const struct machine_regs *r)
{
	*t = (struct oracle_tables){
		.space = c->space,
		.root = r->cr3,
		.wp = (r->cr0 >> 16) & 1,
		.nxe = (r->efer >> 11) & 1,
		.smep = (r->cr4 >> 20) & 1,
		.smap = (r->cr4 >> 21) & 1,
		.pse = (r->cr4 >> 4) & 1,
		.gb = c->m->config.guest_gb,
		.amd = c->m->config.guest_amd,
		.width = c->m->config.guest_phys_bits,
	};
	memcpy(t->pdpte, r->pdpte, sizeof(t->pdpte));
	if (!((r->cr0 >> 31) & 1))
		t->kind = ORACLE_NO_PAGING;
	else if ((r->efer >> 10) & 1)
		t->kind = ORACLE_LONG;
	else
		t->kind = (r->cr4 >> 5) & 1 ? ORACLE_PAE : ORACLE_32BIT;
	t->levels = t->kind == ORACLE_LONG ? 4 + ((r->cr4 >> 12) & 1) : t->kind == ORACLE_PAE ? 3 : 2;
}

static struct vmmu_regs core_regs(const struct machine_vcpu *c, const struct machine_regs *r)
{
	return (struct vmmu_regs){
		.cr0 = r->cr0,
		.cr4 = r->cr4,
		.efer = r->efer,
		.maxphyaddr = c->m->config.guest_phys_bits,
		.gbpages = c->m->config.guest_gb,
		.pse36 = true,
		.amd = c->m->config.guest_amd,
	};
}

/* What MOV to CR3 loads in PAE paging. Return: false where the CPU refuses. */
static bool load_pdptes(struct machine_vcpu *c, struct machine_regs *r, int space)
{
	uint64_t reserved = ~((1ull << c->m->config.guest_phys_bits) - 1) | 0x1e6;
	bool good = true;

	machine_slots_read_lock(c->m);
	for (unsigned int i = 0; i < 4 && good; i++) {
		struct vmmu_gpte at;

		good = !machine_gpte_locate(c->m, space, (r->cr3 & 0xffffffe0) + 8 * i, &at);
		if (good)
			r->pdpte[i] = __atomic_load_n((uint64_t *)at.host, __ATOMIC_SEQ_CST);
		good = good && !((r->pdpte[i] & 1) && (r->pdpte[i] & reserved));
	}
	machine_slots_read_unlock(c->m);
	return good;
}

bool machine_uses_pdptes(const struct machine_regs *r)
{
	return ((r->cr0 >> 31) & 1) && ((r->cr4 >> 5) & 1) && !((r->efer >> 10) & 1);
}

void machine_guest_describe(const struct machine_vcpu *c, const struct machine_regs *r, struct vmmu_mode *mode,
			    struct oracle_tables *tables)
{
	struct vmmu_regs regs = core_regs(c, r);

	vmmu_mode_init_legacy(mode, &regs);
	describe_legacy(tables, c, r);
}

static void run_on(struct machine_vcpu *c, const struct machine_regs *r)
{
	struct vmmu_context *x = &c->v.l1;
	int level;

	c->g.regs = *r;
	c->g.in_l2 = false;
	machine_guest_describe(c, r, &x->mode, &c->g.tables);
	x->shadow = true;
	memcpy(x->pdpte, r->pdpte, sizeof(x->pdpte));
	level = x->mode.root_level > 3 ? x->mode.root_level : 3;
	switch_to(c, x, vmmu_role_legacy(&x->mode, level, c->space, c->guest_view), r->cr3);
}

bool machine_guest_set_regs(struct machine_vcpu *c, const struct machine_regs *regs, int space)
{
	struct machine_regs r = *regs;

	if (machine_uses_pdptes(&r) && !load_pdptes(c, &r, space))
		return false;
	c->space = space;
	run_on(c, &r);
	machine_guest_flush(c);
	return true;
}

bool machine_guest_load_cr3(struct machine_vcpu *c, uint64_t cr3, bool flush)
{
	struct machine_regs r = c->g.regs;

	r.cr3 = cr3;
	if (machine_uses_pdptes(&r) && !load_pdptes(c, &r, c->space))
		return false;
	run_on(c, &r);
	if (flush)
		machine_guest_flush(c);
	return true;
}

static void enter_ept(struct machine_vcpu *c, const struct machine_nested *n)
{
	struct vmmu_context *x = &c->v.nested;
	struct vmmu_ept_config ept = {
		.maxphyaddr = c->m->config.guest_phys_bits,
		.root_level = n->level,
		.huge_level = n->largest,
		.execonly = n->exec_only,
		.accessed_dirty = n->ad,
	};

	vmmu_mode_init_ept(&x->mode, &ept);
	c->g.tables = (struct oracle_tables){
		.kind = ORACLE_EPT,
		.levels = n->level,
		.root = n->root,
		.exec_only = n->exec_only,
		.ept_ad = n->ad,
		.ept_largest = n->largest,
		.width = c->m->config.guest_phys_bits,
	};
	switch_to(c, x, vmmu_role_ept(&x->mode, n->level, 0), n->root);
}

static void enter_npt(struct machine_vcpu *c, const struct machine_nested *n, const struct machine_regs *l1)
{
	struct vmmu_context *x = &c->v.nested;
	struct vmmu_regs regs = core_regs(c, l1);

	regs.cr0 |= VMMU_CR0_PG;
	vmmu_mode_init_npt(&x->mode, &regs);
	describe_legacy(&c->g.tables, c, l1);
	c->g.tables.root = n->root;
	c->g.tables.nested_amd = true;
	c->g.tables.wp = c->g.tables.smap = false;
	c->g.tables.pdpte_in_memory = true;
	switch_to(c, x, vmmu_role_npt(&x->mode, c->m->config.level, c->space), n->root);
}

void machine_guest_before_load(struct machine_vcpu *c)
{
	if (c->g.in_l2 && c->v.nested.mode.format == VMMU_FORMAT_NPT_PAE)
		read_nested_pdptes(c, c->v.nested.pgd);
}

void machine_guest_enter(struct machine_vcpu *c, const struct machine_nested *n, const struct machine_regs *l1,
			 bool flush)
{
	c->g.nested = *n;
	c->g.regs = *l1;
	c->g.in_l2 = true;
	c->guest_view = true;
	c->v.nested.shadow = true;
	if (n->ept) {
		c->space = 0;
		enter_ept(c, n);
	} else {
		enter_npt(c, n, l1);
	}
	/* L2 has no paging until it says so. */
	machine_guest_l2_regs(c, &(struct machine_regs){ .cr0 = 0 });
	c->g.l1_logged = 0;
	if (flush)
		machine_guest_flush(c);
}

void machine_guest_leave(struct machine_vcpu *c)
{
	c->g.in_l2 = false;
	c->g.space = NULL;
	MACHINE_SAY("vCPU %u: leaves L2", machine_vcpu_number(c));
	c->v.current_context = &c->v.l1;
	machine_vcpu_switch(c, c->space, false, c->level);
}

/* --- What is allowed ------------------------------------------------------------------------------- */

struct oracle_access machine_guest_access(const struct machine_vcpu *c, uint64_t pf)
{
	return (struct oracle_access){
		.write = pf & VMMU_PF_W,
		.fetch = pf & VMMU_PF_F,
		.user = (pf & VMMU_PF_U) && c->g.tables.kind != ORACLE_EPT,
		.also_read = (pf & VMMU_PF_U) && c->g.tables.kind == ORACLE_EPT,
		.ac = c->ac,
	};
}

struct oracle_now machine_guest_now(struct machine_vcpu *c, uint64_t addr, uint64_t pf)
{
	struct oracle_access a = machine_guest_access(c, pf);

	return oracle_walk(c->m->oracle, &c->g.tables, addr, &a);
}

/* While slots come and go the oracle knows nothing; asked again, it has not begun to in the middle of an answer. */
static bool is_judged(const struct machine_vcpu *c)
{
	return c->m->oracle && c->g.space && !c->g.space->unknown &&
	       !__atomic_load_n(&c->m->slots_changing, __ATOMIC_RELAXED);
}

void machine_guest_check(struct machine_vcpu *c, uint64_t addr, uint64_t pf, uint64_t page)
{
	struct oracle_access a = machine_guest_access(c, pf);
	struct guest_space *s = c->g.space;

	if (!is_judged(c))
		return;
	if (!oracle_allows(c->m->oracle, &c->g.tables, addr, &a, page, since(s, addr)) && is_judged(c)) {
		oracle_explain(c->m->oracle, &c->g.tables, addr, since(s, addr));
		machine_bug("a CPU reaches page %#llx of the host's at %#llx, access %#llx%s%s%s, "
			    "which the guest's %s tables do not give",
			    (unsigned long long)page, (unsigned long long)addr, (unsigned long long)pf,
			    c->g.tables.wp ? " WP" : "", c->g.tables.smap ? c->ac ? " SMAP and AC" : " SMAP" : "",
			    c->g.tables.smep ? " SMEP" : "",
			    vmmu_format_name((enum vmmu_format)context(c)->mode.format));
	}
	if (!oracle_flags_are_set(c->m->oracle, &c->g.tables, addr, &a, since(s, addr)) && is_judged(c)) {
		oracle_explain(c->m->oracle, &c->g.tables, addr, since(s, addr));
		machine_bug("an access %#llx at %#llx was made, and A or D of the guest's %s tables is clear",
			    (unsigned long long)pf, (unsigned long long)addr,
			    vmmu_format_name((enum vmmu_format)context(c)->mode.format));
	}
}

bool machine_guest_may_find(struct machine_vcpu *c, uint64_t addr, uint64_t gfn)
{
	if (!is_judged(c) || oracle_allows_gfn(c->m->oracle, &c->g.tables, addr, gfn, since(c->g.space, addr)) ||
	    !is_judged(c))
		return true;
	oracle_explain(c->m->oracle, &c->g.tables, addr, since(c->g.space, addr));
	return false;
}

bool machine_guest_is_settled(struct machine_vcpu *c, uint64_t addr)
{
	struct guest_space *s = c->g.space;
	bool settled;

	machine_slots_read_lock(c->m);
	settled = s && !s->unknown && oracle_is_settled(c->m->oracle, &c->g.tables, addr, since(s, addr));
	machine_slots_read_unlock(c->m);
	return settled;
}

vmmu_gpa_t machine_guest_translate(struct machine_vcpu *c, uint64_t addr, uint64_t pf)
{
	struct vmmu_context *x = context(c);
	struct vmmu_access how = {
		.pf = pf & (VMMU_PF_W | VMMU_PF_U | VMMU_PF_F),
		.ac = c->ac,
		.read_too = x->mode.format == VMMU_FORMAT_EPT && (pf & VMMU_PF_U),
	};

	if (!x->shadow || x->mode.format == VMMU_FORMAT_NONE)
		return addr;
	return vmmu_translate(&c->v, &x->mode, x->pgd, x->mode.format == VMMU_FORMAT_PAE ? x->pdpte : NULL, addr, &how,
			      &c->g.injected);
}
