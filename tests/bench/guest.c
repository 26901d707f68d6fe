/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See guest.h. */
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <vmmu/context.h>
#include <vmmu/fault.h>
#include <vmmu/host.h>
#include <vmmu/memory.h>
#include "guest.h"

/* --- The processor: a walk at each access, nothing kept between them ---------------------------- */

#define HW_PRESENT	(1ull << 0)
#define HW_WRITE	(1ull << 1)
#define HW_USER		(1ull << 2)
#define HW_ACCESSED	(1ull << 5)
#define HW_DIRTY	(1ull << 6)
#define HW_SIZE		(1ull << 7)
#define HW_ADDRESS	0x000ffffffffff000ull

#define PAGE_BYTES	4096ull
#define LEVELS		4

/* By four levels of tables in the processor's format, from the one at @root on. Return: false with *@error, what it says. */
static bool cpu_walk(uint64_t root, uint64_t addr, uint64_t pf, uint64_t *frame, uint64_t *error)
{
	uint64_t table = root, rights = HW_WRITE | HW_USER, need = 0;

	need |= pf & VMMU_PF_W ? HW_WRITE : 0;
	need |= pf & VMMU_PF_U ? HW_USER : 0;
	*error = pf;
	for (int level = LEVELS;; level--) {
		uint64_t *entry = (uint64_t *)(bench_tables + (table - BENCH_TABLES_AT)) + (addr >> (3 + 9 * level) & 511);
		uint64_t word = __atomic_load_n(entry, __ATOMIC_ACQUIRE), flags = HW_ACCESSED;

		if (!(word & HW_PRESENT))
			return false;
		rights &= word;
		if (level == 1 && (need & ~rights)) {
			*error |= VMMU_PF_P;
			return false;
		}
		if (level > 1 && (word & HW_SIZE))
			bench_die("a large page of a host that has none, at %#llx", (unsigned long long)addr);
		if (level == 1 && (pf & VMMU_PF_W))
			flags |= HW_DIRTY;
		if ((word & flags) != flags)
			__atomic_fetch_or(entry, flags, __ATOMIC_SEQ_CST);
		table = word & HW_ADDRESS;
		if (level == 1)
			break;
	}
	*frame = table / PAGE_BYTES;
	return true;
}

/* An access of the guest's, and where it has to lead. */
struct access {
	uint64_t addr, pf;
	vmmu_gfn_t gfn;			/* the frame that is there; 0: none */
	bool stores;			/* @value, at @offset of a table */
	unsigned int offset;
	uint64_t value;
};

static uint64_t *word_of(struct guest *g, const struct access *a)
{
	return bench_content(g->c->m, a->gfn) + a->offset / 8;
}

/* What others ask of the vCPU before it enters the guest. */
static void serve_requests(struct guest *g)
{
	uint32_t requests = __atomic_exchange_n(&g->c->requests, 0, __ATOMIC_SEQ_CST);

	if (!(requests & BENCH_DROP_OBSOLETE))
		return;
	vmmu_roots_drop_obsolete(&g->c->v, &g->c->v.l1);
	vmmu_roots_drop_obsolete(&g->c->v, &g->c->v.nested);
}

/* What is run on may have been dropped. */
static void have_root(struct guest *g)
{
	struct vmmu_context *x = g->c->v.current_context;

	if (x->root.page)
		return;
	if (vmmu_root_load(&g->c->v))
		bench_die("no root");
	vmmu_sync(&g->c->v, x);
}

uint64_t guest_exit_ns;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void switch_worlds(void)
{
	uint64_t start;

	if (!guest_exit_ns)
		return;
	start = now_ns();
	while (now_ns() - start < guest_exit_ns)
		;
}

/* In the guest. Return: false with *@error: it has exited. */
static bool run(struct guest *g, const struct access *a, uint64_t *error)
{
	struct bench_vcpu *c = g->c;
	vmmu_hpa_t root = vmmu_root_hpa(c->v.current_context);
	uint64_t frame;

	if (!cpu_walk(root, a->addr, a->pf, &frame, error))
		return false;
	if (!a->gfn || frame != BENCH_PFN_BASE + a->gfn)
		bench_die("%#llx leads to frame %#llx of the host instead of %#llx", (unsigned long long)a->addr,
			  (unsigned long long)frame, (unsigned long long)(a->gfn ? BENCH_PFN_BASE + a->gfn : 0));
	if (a->stores)
		__atomic_store_n(word_of(g, a), a->value, __ATOMIC_SEQ_CST);
	return true;
}

static bool enter(struct guest *g, const struct access *a, uint64_t *error)
{
	struct bench_vcpu *c = g->c;
	bool done;

	bench_rcu_quiescent();
	for (;;) {
		if (__atomic_load_n(&c->requests, __ATOMIC_RELAXED))
			serve_requests(g);
		have_root(g);
		__atomic_store_n(&c->in_guest, true, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&c->requests, __ATOMIC_SEQ_CST))
			break;
		__atomic_store_n(&c->in_guest, false, __ATOMIC_RELEASE);
	}
	done = run(g, a, error);
	__atomic_store_n(&c->in_guest, false, __ATOMIC_RELEASE);
	if (!done)
		switch_worlds();
	return done;
}

enum outcome { DONE, INJECTED };

/* The host carries the access out: it is a write to a table. */
static void emulate(struct guest *g, const struct access *a)
{
	if (!a->stores)
		bench_die("%#llx is to be emulated, and writes no table", (unsigned long long)a->addr);
	__atomic_store_n(word_of(g, a), a->value, __ATOMIC_SEQ_CST);
	vmmu_guest_written(&g->c->m->vm, a->gfn * PAGE_BYTES + a->offset, 8);
}

static enum outcome access_memory(struct guest *g, const struct access *a)
{
	uint64_t error;

	for (unsigned int round = 0; round < 100000; round++) {
		struct vmmu_fault f = { .addr = a->addr, .max_level = VMMU_LEVEL_HUGE_MAX };

		if (enter(g, a, &error))
			return DONE;
		f.error_code = error;
		switch (vmmu_fault(&g->c->v, &f)) {
		case VMMU_FAULT_EMULATE:
			emulate(g, a);
			return DONE;
		case VMMU_FAULT_INJECT:
			return INJECTED;
		case VMMU_FAULT_ERROR:
			bench_die("a fault at %#llx ends with %d", (unsigned long long)a->addr, f.error);
		default:
			break;
		}
	}
	bench_die("an access of %#llx makes no progress", (unsigned long long)a->addr);
}

/* --- Contexts ---------------------------------------------------------------------------------------- */

#define KERNEL_AT	0xffff800000000000ull	/* where a kernel whose tables are mirrored sees its guest's memory */
#define PROCESS_AT	0x400000000000ull
#define ENTRY_USER	(HW_PRESENT | HW_WRITE | HW_USER | HW_ACCESSED | HW_DIRTY)
#define ENTRY_KERNEL	(HW_PRESENT | HW_WRITE | HW_ACCESSED | HW_DIRTY)

/* The processor is given the root for what runs now, and flushes all it holds if @flushes. */
static void switch_to(struct guest *g, struct vmmu_context *x, union vmmu_role role, uint64_t pgd, bool flushes)
{
	g->c->v.current_context = x;
	if (vmmu_context_switch(&g->c->v, x, role, pgd) == VMMU_SWITCH_MISS)
		have_root(g);
	else if (flushes)
		vmmu_sync(&g->c->v, x);
}

static void run_process(struct guest *g, bool flushes)
{
	struct vmmu_vcpu *v = &g->c->v;
	uint64_t root = g->current->root * PAGE_BYTES;

	if (g->engine == BENCH_SHADOW) {
		switch_to(g, &v->l1, vmmu_role_legacy(&v->l1.mode, LEVELS, 0, false), root, flushes);
	} else {
		switch_to(g, &v->nested, vmmu_role_npt(&v->nested.mode, LEVELS, 0), root, flushes);
		vmmu_fault_ahead(v, VMMU_LEVEL_HUGE_MAX);
	}
}

/* L2 exits to L1; a kernel below its processes needs no switch. */
static void run_kernel(struct guest *g)
{
	if (g->engine == BENCH_NESTED)
		switch_to(g, &g->c->v.l1, vmmu_role_direct(LEVELS, 0, false), 0, false);
}

/* --- The guest's kernel -------------------------------------------------------------------------------- */

/* Context: the kernel runs. */
static void store_entry(struct guest *g, vmmu_gfn_t table, unsigned int i, uint64_t value)
{
	struct access a = {
		.addr = table * PAGE_BYTES + 8 * i, .pf = VMMU_PF_W, .gfn = table,
		.stores = true, .offset = 8 * i, .value = value,
	};

	if (g->engine == BENCH_SHADOW)
		a.addr += KERNEL_AT;
	else
		a.pf |= VMMU_PF_U;
	if (access_memory(g, &a) != DONE)
		bench_die("the kernel does not reach its table %#llx", (unsigned long long)table);
}

static vmmu_gfn_t take_table(struct guest *g)
{
	if (!g->free_tables)
		bench_die("a guest has no frames for tables any more");
	return g->free_table[--g->free_tables];
}

static uint64_t entry_for(vmmu_gfn_t gfn)
{
	return gfn * PAGE_BYTES | ENTRY_USER;
}

/* Context: the kernel runs. */
static void map_page(struct guest *g, unsigned int n)
{
	struct guest_process *p = g->current;
	vmmu_gfn_t *last = &p->last[n / VMMU_TABLE_ENTRIES];

	if (!*last) {
		*last = take_table(g);
		for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
			store_entry(g, *last, i, 0);
		store_entry(g, p->middle, n / VMMU_TABLE_ENTRIES, entry_for(*last));
	}
	p->frame[n] = g->free_frame[--g->free_frames];
	store_entry(g, *last, n % VMMU_TABLE_ENTRIES, entry_for(p->frame[n]));
}

static void unmap_batch(struct guest *g)
{
	struct guest_process *p = g->current;
	unsigned int first = p->tail, table = first / VMMU_TABLE_ENTRIES;
	vmmu_gfn_t gone = 0;

	run_kernel(g);
	for (unsigned int n = first; n < first + GUEST_BATCH; n++)
		store_entry(g, p->last[table], n % VMMU_TABLE_ENTRIES, 0);
	p->tail = (first + GUEST_BATCH) % GUEST_WINDOW;
	if (p->tail % VMMU_TABLE_ENTRIES == 0) {
		gone = p->last[table];
		store_entry(g, p->middle, table, 0);
	}
	run_process(g, true);
	/* Nobody has them any more. */
	for (unsigned int n = first; n < first + GUEST_BATCH; n++) {
		g->free_frame[g->free_frames++] = p->frame[n];
		p->frame[n] = 0;
	}
	if (gone) {
		p->last[table] = 0;
		g->free_table[g->free_tables++] = gone;
	}
}

static void touch_page(struct guest *g, unsigned int n)
{
	struct access a = { .addr = PROCESS_AT + n * PAGE_BYTES, .pf = VMMU_PF_W | VMMU_PF_U };

	if (access_memory(g, &a) != INJECTED)
		bench_die("a process reaches page %u, which is not mapped", n);
	run_kernel(g);
	map_page(g, n);
	run_process(g, false);
	a.gfn = g->current->frame[n];
	if (access_memory(g, &a) != DONE)
		bench_die("a process does not reach page %u, which is mapped", n);
	g->touched++;
}

/* The page's frame becomes another one. An L1 has no way to flush an address of L2's but to flush all. */
static void move_page(struct guest *g, unsigned int n)
{
	struct access a = { .addr = PROCESS_AT + n * PAGE_BYTES, .pf = VMMU_PF_W | VMMU_PF_U };
	struct guest_process *p = g->current;
	vmmu_gfn_t old = p->frame[n];

	run_kernel(g);
	a.gfn = p->frame[n] = g->free_frame[--g->free_frames];
	store_entry(g, p->last[n / VMMU_TABLE_ENTRIES], n % VMMU_TABLE_ENTRIES, entry_for(a.gfn));
	run_process(g, g->engine == BENCH_NESTED);
	if (g->engine == BENCH_SHADOW)
		vmmu_invalidate_address(&g->c->v, g->c->v.current_context, a.addr, false);
	g->free_frame[g->free_frames++] = old;
	if (access_memory(g, &a) != DONE)
		bench_die("a process does not reach page %u, which has moved", n);
	g->touched++;
}

static void step_processes(struct guest *g)
{
	struct guest_process *p = g->current;

	for (unsigned int n = p->head; n < p->head + GUEST_BATCH; n++)
		touch_page(g, n);
	for (unsigned int n = p->head; n < p->head + GUEST_MOVED; n++)
		move_page(g, n);
	p->head = (p->head + GUEST_BATCH) % GUEST_WINDOW;
	if ((p->head - p->tail) % GUEST_WINDOW > GUEST_LIVE)
		unmap_batch(g);
	if (++g->steps % 4)
		return;
	g->current = p + 1 == g->process + GUEST_PROCESSES ? g->process : p + 1;
	run_process(g, true);
}

static void step_direct(struct guest *g)
{
	for (unsigned int n = 0; n < GUEST_BATCH; n++) {
		struct access a = { .pf = VMMU_PF_W | VMMU_PF_U };

		a.gfn = g->next++;
		a.addr = a.gfn * PAGE_BYTES;
		if (access_memory(g, &a) != DONE)
			bench_die("frame %#llx is not reached", (unsigned long long)a.gfn);
		g->touched++;
	}
}

void guest_step(struct guest *g)
{
	if (g->engine == BENCH_DIRECT)
		step_direct(g);
	else
		step_processes(g);
}

/* --- Start and end --------------------------------------------------------------------------------------- */

/* Before anything runs. */
static vmmu_gfn_t new_table(struct guest *g, vmmu_gfn_t above, unsigned int i, uint64_t bits)
{
	vmmu_gfn_t table = take_table(g);

	if (above)
		bench_content(g->c->m, above)[i] = table * PAGE_BYTES | bits;
	return table;
}

static unsigned int index_at(uint64_t addr, int level)
{
	return addr >> (3 + 9 * level) & 511;
}

/* Tables of the kernel's, which see those of all its processes. Return: that of level 3. */
static vmmu_gfn_t new_kernel(struct guest *g)
{
	uint64_t at = KERNEL_AT + g->first * PAGE_BYTES;
	vmmu_gfn_t upper = new_table(g, 0, 0, 0);
	vmmu_gfn_t middle = new_table(g, upper, index_at(at, 3), ENTRY_KERNEL);
	vmmu_gfn_t last = new_table(g, middle, index_at(at, 2), ENTRY_KERNEL);

	for (unsigned int n = 0; n < BENCH_TABLE_FRAMES; n++)
		bench_content(g->c->m, last)[n] = (g->first + n) * PAGE_BYTES | ENTRY_KERNEL;
	return upper;
}

static void new_process(struct guest *g, struct guest_process *p, vmmu_gfn_t kernel)
{
	p->root = new_table(g, 0, 0, 0);
	p->upper = new_table(g, p->root, index_at(PROCESS_AT, 4), ENTRY_USER);
	p->middle = new_table(g, p->upper, index_at(PROCESS_AT, 3), ENTRY_USER);
	if (kernel)
		bench_content(g->c->m, p->root)[index_at(KERNEL_AT, 4)] = kernel * PAGE_BYTES | ENTRY_KERNEL;
}

static void init_processes(struct guest *g)
{
	const struct vmmu_regs regs = {
		.cr0 = VMMU_CR0_PG | VMMU_CR0_WP, .cr4 = VMMU_CR4_PAE, .efer = VMMU_EFER_LMA | VMMU_EFER_NXE,
		.maxphyaddr = 48, .gbpages = true, .amd = true,
	};
	struct vmmu_vcpu *v = &g->c->v;
	vmmu_gfn_t kernel = 0;

	/* Number 0 says that there is none. */
	for (unsigned int n = BENCH_TABLE_FRAMES; --n;)
		g->free_table[g->free_tables++] = g->first + n;
	for (unsigned int n = 0; n < sizeof(g->free_frame) / sizeof(g->free_frame[0]); n++)
		g->free_frame[g->free_frames++] = g->first + BENCH_TABLE_FRAMES + n;
	if (g->engine == BENCH_SHADOW) {
		vmmu_mode_init_legacy(&v->l1.mode, &regs);
		v->l1.shadow = true;
		kernel = new_kernel(g);
	} else {
		vmmu_mode_init_npt(&v->nested.mode, &regs);
		v->nested.shadow = true;
	}
	for (unsigned int n = 0; n < GUEST_PROCESSES; n++)
		new_process(g, &g->process[n], kernel);
	g->current = g->process;
	run_process(g, true);
}

struct guest *guest_new(struct bench_vm *m, unsigned int thread, enum bench_engine engine)
{
	struct guest *g = bench_reserve(sizeof(*g));

	g->engine = engine;
	g->first = m->vcpus * BENCH_REGION;
	g->c = bench_vcpu_new(m, thread);
	if (engine != BENCH_DIRECT) {
		init_processes(g);
		return g;
	}
	g->next = g->first + 1;
	switch_to(g, &g->c->v.l1, vmmu_role_direct(LEVELS, 0, false), 0, false);
	return g;
}

void guest_free(struct guest *g)
{
	munmap(g, sizeof(*g));
}

bool guest_goes_on(const struct guest *g)
{
	return g->engine != BENCH_DIRECT || g->next + GUEST_BATCH <= g->first + BENCH_REGION;
}

void guest_renew(struct guest *g)
{
	struct vmmu_vm *vm = &g->c->m->vm;

	if (g->engine != BENCH_DIRECT)
		return;
	vmmu_host_lock_excl(vm);
	if (vmmu_unmap_range(vm, 0, g->first, g->next, VMMU_YIELD_NEVER))
		bench_request(g->c->m, BENCH_FLUSH);
	vmmu_host_unlock_excl(vm);
	memset(&g->c->m->slot.at_hand[g->first], 0, g->next - g->first);
	g->next = g->first + 1;
	bench_rcu_settle();
}
