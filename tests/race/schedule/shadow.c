/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Scenes on shadow pages. The guest's tables are frames of the slot; a second last-level table shows all of them to the
 * guest itself, so that it writes them as it writes any memory.
 */
#include <stdlib.h>
#include "scene.h"

/* Frames. */
#define ROOT	0x410ull
#define UPPER	0x411ull		/* level 3 */
#define MIDDLE	0x412ull		/* level 2 */
#define LAST	0x413ull		/* level 1: what scenes are about */
#define WINDOW	0x414ull		/* level 1: shows the tables */
#define LAST2	0x415ull		/* level 1: takes LAST's place, or stands beside it */
#define ROOT2	0x418ull		/* another process, which shares UPPER or has its own tables down to LAST */
#define UPPER2	0x419ull
#define MIDDLE2	0x41aull
#define PDPT	0x41bull		/* for PAE */
#define DATA	GFN
#define BIG	0x600ull		/* a large page, the host's as well */
#define GOES	0x1000ull		/* a slot that goes: a level 1 table in its first frame, data in the next */
#define OTHER	(GFN + 3)

#define RW	0x67ull			/* present, writable, user, accessed, dirty */
#define CLEAN	0x27ull
#define READ	0x65ull

/* Addresses: entry @i of LAST, of LAST2 where it is beside it, and the word for entry @i of @table. */
#define AT(i)		((uint64_t)(i) << 12)
#define AT2(i)		(2ull << 21 | (uint64_t)(i) << 12)
#define IN_BIG(i)	(3ull << 21 | (uint64_t)(i) << 12)
#define AT_GOES(i)	(4ull << 21 | (uint64_t)(i) << 12)
#define IN(table, i)	(1ull << 21 | ((table) - ROOT) << 12 | (uint64_t)(i) << 3)

static const struct machine_config shadow = {
	.shadow = true, .phys_bits = 48, .guest_phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 4, .seed = 1,
};
static const struct machine_config shadow_prefetching = {
	.shadow = true, .phys_bits = 48, .guest_phys_bits = 48, .level = 4, .huge_level_max = 2, .root_cache = 4,
	.prefetch = 4, .seed = 1,
};
static const struct machine_config nested_npt = {
	.phys_bits = 48, .guest_phys_bits = 48, .guest_amd = true, .level = 4, .huge_level_max = 2, .root_cache = 4, .seed = 1,
};

static const struct machine_regs long_mode = {
	.cr0 = 1ull << 31 | 1ull << 16 | 1, .cr4 = 1 << 5, .efer = 1 << 8 | 1 << 10 | 1 << 11, .cr3 = ROOT << 12,
};
static const struct machine_regs pae_mode = {
	.cr0 = 1ull << 31 | 1ull << 16 | 1, .cr4 = 1 << 5, .efer = 1 << 11, .cr3 = PDPT << 12,
};

/* --- What threads do ---------------------------------------------------------------------------- */

static void access(unsigned int vcpu, uint64_t address, uint64_t pf)
{
	for (int tries = 0; machine_access(m.vcpu[vcpu], address, pf, 2) == MACHINE_ACCESS_GAVE_UP; tries++) {
		if (tries == 64)
			machine_bug("an access to %#llx makes no progress", (unsigned long long)address);
		schedule_give_way();
	}
}

static void store(unsigned int vcpu, uint64_t address, uint64_t value)
{
	m.vcpu[vcpu]->g.store_value = value;
	m.vcpu[vcpu]->g.store_bytes = 8;
	access(vcpu, address, VMMU_PF_W);
	m.vcpu[vcpu]->g.store_bytes = 0;
}

static void flush(unsigned int vcpu) { machine_guest_flush(m.vcpu[vcpu]); }
static void invlpg(unsigned int vcpu, uint64_t address) { machine_guest_invlpg(m.vcpu[vcpu], address); }

static void read0(void) { access(0, AT(3), 0); }
static void read1(void) { access(1, AT(3), 0); }
static void write0(void) { access(0, AT(3), VMMU_PF_W); }
static void write1(void) { access(1, AT(3), VMMU_PF_W); }
static void write0_near(void) { access(0, AT(4), VMMU_PF_W); }
static void near0(void) { access(0, AT(4), 0); }
static void read0_beside(void) { access(0, AT2(3), 0); }
static void remap1(void) { store(1, IN(LAST, 3), OTHER << 12 | RW); }
static void remap0(void) { store(0, IN(LAST, 3), OTHER << 12 | RW); }
static void forbid1(void) { store(1, IN(LAST, 3), DATA << 12 | READ); }
static void forbid1_flush(void) { forbid1(); flush(1); access(1, AT(3), VMMU_PF_W); }
static void clean1_flush(void)
{
	store(1, IN(LAST, 3), DATA << 12 | CLEAN);
	flush(1);
	access(1, AT(3), VMMU_PF_W);
}
static void remap1_flush(void) { remap1(); flush(1); read1(); }
static void remap1_invlpg(void) { remap1(); invlpg(1, AT(3)); read1(); }
static void remap1_twice(void) { remap1(); flush(1); store(1, IN(LAST, 3), DATA << 12 | RW); }
static void relink1(void) { store(1, IN(MIDDLE, 0), LAST2 << 12 | RW); }
static void relink1_flush(void) { relink1(); flush(1); read1(); }
static void relink1_invlpg(void) { relink1(); invlpg(1, AT(3)); read1(); }
static void unlink1(void) { store(1, IN(MIDDLE, 0), 0); }
static void link_beside1(void) { store(1, IN(MIDDLE, 2), LAST << 12 | RW); access(1, AT2(3), 0); }
static void relink_upper1(void) { store(1, IN(ROOT, 0), UPPER2 << 12 | RW); }
static void flush0_read0_twice(void) { flush(0); read0(); flush(0); read0(); }
static void flush1(void) { flush(1); }
static void flush_read0(void) { flush(0); read0(); }
static void flush_write0(void) { flush(0); write0(); }
static void invlpg_read0(void) { invlpg(0, AT(3)); read0(); }
static void flush_read1(void) { flush(1); read1(); }

static void other_process0(void)
{
	machine_guest_load_cr3(m.vcpu[0], ROOT2 << 12, true);
	access(0, AT(4), 0);
	read0();
}

static void other_process1(void)
{
	machine_guest_load_cr3(m.vcpu[1], ROOT2 << 12, true);
	read1();
}

static void to_and_fro0(void)
{
	other_process0();
	machine_guest_load_cr3(m.vcpu[0], ROOT << 12, false);
	read0();
}

/* By the other process' way, and again after a flush by that way alone. */
static void other_process_twice0(void) { other_process0(); flush(0); read0(); }
/* What it reads from now on is looked at in the end, before anybody flushes again. */
static void remap_and_flush1(void) { remap1(); flush(1); }
static void back0(void) { machine_guest_load_cr3(m.vcpu[0], ROOT << 12, true); read0(); }
static void read0_before(void) { access(0, AT(2), 0); }

static void enter_l2(unsigned int vcpu)
{
	static const struct machine_nested npt = { .root = ROOT << 12 };

	machine_guest_enter(m.vcpu[vcpu], &npt, &long_mode, true);
	if (machine_vcpu_load(m.vcpu[vcpu]))
		abort();
}

static void enter0(void) { enter_l2(0); }
static void enter1(void) { enter_l2(1); }
/* L1's first access to the table that is mirrored as soon as L2 is entered. */
static void l1_writes1(void) { access(1, ROOT << 12 | 9 << 3, VMMU_PF_W); }
static void l1_writes2(void) { access(2, ROOT << 12 | 9 << 3, VMMU_PF_W); }

static void change(uint64_t page, enum machine_change how)
{
	machine_change(&m, page, page + 1, how, VMMU_YIELD_ALLOWED);
}

static void move_table(void) { change(LAST, MACHINE_MOVE); }
static void copy_data(void) { change(DATA, MACHINE_PROTECT); }

static void evict_all(void)
{
	machine_slots_read_lock(&m);
	machine_lock_shared(&m);
	vmmu_shrink(&m.vm, 0);
	machine_unlock_shared(&m);
	machine_slots_read_unlock(&m);
}

/* What the CPU has at hand again after somebody's flush may go without a leaf of it to be found. */
static void read0_move(void) { read0(); scene_move(); }

static void unprotect(vmmu_gfn_t gfn)
{
	machine_slots_read_lock(&m);
	vmmu_unprotect(&m.vm, gfn);
	machine_slots_read_unlock(&m);
}

static void unprotect_last(void) { unprotect(LAST); }
static void unprotect_last2(void) { unprotect(LAST2); }
static void unprotect_last_and_move(void) { unprotect_last(); change(DATA, MACHINE_MOVE); }
static void unprotect_middle(void) { unprotect(MIDDLE); }
static void unprotect_root(void) { unprotect(ROOT); }

static void track_data(void) { machine_track(&m, DATA, true); }

/* A large page. */
static void big_write1(void) { access(1, IN_BIG(7), VMMU_PF_W); }
static void big_write0_twice(void) { access(0, IN_BIG(7), VMMU_PF_W); access(0, IN_BIG(8), VMMU_PF_W); }
static void big_goes1(void) { store(1, IN(MIDDLE, 3), 0); }
static void big_protect1(void) { store(1, IN(MIDDLE, 3), BIG << 12 | READ | 0x80); flush(1); access(1, IN_BIG(7), VMMU_PF_W); }
static void move_in_big(void) { change(BIG + 7, MACHINE_MOVE); }
static void harvest_split(void) { machine_log_harvest(&m, 0, 0, BIG - START, true); }

static void split(void)
{
	machine_slots_read_lock(&m);
	vmmu_split_range(&m.vm, slot(), BIG, BIG + 1, VMMU_LEVEL_4K);
	machine_slots_read_unlock(&m);
}

static void collapse(void)
{
	machine_slots_read_lock(&m);
	vmmu_collapse_slot(&m.vm, slot());
	machine_slots_read_unlock(&m);
}

/* A slot with tables and data. */
static void slot_goes(void) { machine_slot_delete(&m, 0, 1); }
static void read_goes0(void) { access(0, AT_GOES(3), 0); access(0, AT_GOES(4), 0); }
static void write_goes1(void) { access(1, AT_GOES(4), VMMU_PF_W); }
static void write_table_goes1(void) { store(1, AT_GOES(5), 0); flush(1); access(1, AT_GOES(3), 0); }
static void flush_goes0(void) { flush(0); access(0, AT_GOES(3), 0); }
static void unprotect_goes(void) { unprotect(GOES); }

static void zap_frames(void)
{
	machine_slots_read_lock(&m);
	machine_lock_excl(&m);
	__atomic_fetch_add(&m.invalidating, 1, __ATOMIC_SEQ_CST);
	m.invalid_start = 0;
	m.invalid_end = ~0ull;
	vmmu_zap_range(&m.vm, DATA, DATA + 1);
	__atomic_fetch_sub(&m.invalidating, 1, __ATOMIC_SEQ_CST);
	machine_unlock_excl(&m);
	machine_slots_read_unlock(&m);
}

/* Without paging. */
static void straight0(void) { access(0, DATA << 12, VMMU_PF_W); }
static void straight1(void) { access(1, DATA << 12, VMMU_PF_W); }
static void straight1_near(void) { access(1, OTHER << 12, VMMU_PF_W); }

/* L1 writes its nested tables, which it sees where they are. */
static void l1_remaps(void) { store(1, LAST << 12 | 3 << 3, OTHER << 12 | RW); }
static void l1_writes_near(void) { store(1, LAST << 12 | 9 << 3, 0); }
static void l1_remaps_twice(void) { l1_remaps(); store(1, LAST << 12 | 3 << 3, DATA << 12 | RW); }

/* --- What there is at the beginning --------------------------------------------------------------- */

static void entry(uint64_t table, unsigned int i, uint64_t value)
{
	machine_store(&m, table, i * 8, value, 8, true);
}

static void make_tables(void)
{
	entry(ROOT, 0, UPPER << 12 | RW);
	entry(UPPER, 0, MIDDLE << 12 | RW);
	entry(MIDDLE, 0, LAST << 12 | RW);
	entry(MIDDLE, 1, WINDOW << 12 | RW);
	for (unsigned int i = 0; i < 16; i++)
		entry(WINDOW, i, (ROOT + i) << 12 | RW);
	entry(LAST, 3, DATA << 12 | RW);
	entry(LAST, 4, OTHER << 12 | RW);
	entry(LAST2, 3, OTHER << 12 | RW);
	entry(LAST2, 5, OTHER << 12 | RW);
	entry(ROOT2, 0, UPPER2 << 12 | RW);
	entry(UPPER2, 0, MIDDLE2 << 12 | RW);
	entry(MIDDLE2, 0, LAST << 12 | RW);
	entry(MIDDLE2, 1, WINDOW << 12 | RW);
	entry(PDPT, 0, MIDDLE << 12 | 1);
}

static void begin_with(const struct machine_config *config, const struct machine_regs *regs)
{
	scene_begin(config);
	machine_oracle_on(&m);
	make_tables();
	for (unsigned int i = 0; i < 2; i++)
		if (!machine_guest_set_regs(m.vcpu[i], regs, 0) || machine_vcpu_load(m.vcpu[i]))
			abort();
}

static void empty(void) { begin_with(&shadow, &long_mode); }
static void open_window(void) { access(0, IN(WINDOW, 0), 0); access(1, IN(WINDOW, 0), 0); }
/* The tables can be written, and nothing mirrors LAST. */
static void window(void) { empty(); open_window(); }
static void last_writable(void) { window(); store(1, IN(LAST, 9), 0); }
/* LAST is mirrored, in sync. */
static void seen(void) { window(); read0(); read1(); }
static void written(void) { window(); write0(); write1(); }
static void seen_clean(void) { empty(); entry(LAST, 3, DATA << 12 | CLEAN); open_window(); read0(); read1(); }
/* LAST is out of sync, and so far nothing has changed in what is used of it. */
static void unsync(void) { written(); store(1, IN(LAST, 9), 0); }
/* And a flush is deferred already. */
static void unsync_beside(void)
{
	unsync();
	store(1, IN(MIDDLE, 2), LAST2 << 12 | RW);
	read0_beside();
	near0();
	invlpg(1, AT(4));
}
static void unsync_remapped(void) { unsync(); remap1(); }
static void two_processes(void) { written(); other_process1(); }
static void two_processes_unsync(void) { two_processes(); store(0, IN(LAST, 9), 0); }
static void shared_upper(void)
{
	empty();
	entry(ROOT2, 0, UPPER << 12 | RW);
	open_window();
	write0();
	other_process1();
}
/* Both on the second process' tables, in which there is no way to LAST yet; by the first one's it is out of sync. */
static void two_without_way(void)
{
	unsync();
	for (unsigned int i = 0; i < 2; i++) {
		machine_guest_load_cr3(m.vcpu[i], ROOT2 << 12, true);
		access(i, IN(WINDOW, 0), 0);
	}
}

/* Nobody remembers the first process' root. */
static void root_forgotten(void)
{
	two_processes();
	other_process0();
	machine_slots_read_lock(&m);
	for (unsigned int i = 0; i < 2; i++)
		vmmu_roots_drop_cached(&m.vcpu[i]->v, &m.vcpu[i]->v.l1);
	machine_slots_read_unlock(&m);
}

static void logged(void) { written(); scene_log_start(); }
/* The entry before DATA's is looked at, and DATA's comes along. */
static void neighbours(void)
{
	begin_with(&shadow_prefetching, &long_mode);
	entry(LAST, 2, (OTHER + 1) << 12 | RW);
	open_window();
}

static void prefetching(void) { begin_with(&shadow_prefetching, &long_mode); open_window(); }
static void pae(void) { begin_with(&shadow, &pae_mode); access(0, IN(WINDOW, 0), 0); read1(); }
static void no_paging(void) { begin_with(&shadow, &(struct machine_regs){ .cr0 = 0 }); }
static void no_paging_seen(void) { no_paging(); straight0(); }

static void big(void)
{
	empty();
	machine_change(&m, BIG, BIG + 0x200, MACHINE_MAKE_2M, VMMU_YIELD_NEVER);
	entry(MIDDLE, 3, BIG << 12 | RW | 0x80);
	open_window();
	access(0, IN_BIG(5), VMMU_PF_W);
	access(1, IN_BIG(6), VMMU_PF_W);
}

static void big_logged(void) { big(); machine_log_start(&m, 0, 0, MACHINE_LOG_ALL_SET); }
static void big_split(void) { big(); split(); }

static void two_slots(void)
{
	empty();
	machine_slot_add(&m, 0, 1, GOES, 0x10, 0xb00, false);
	entry(MIDDLE, 4, GOES << 12 | RW);
	machine_store(&m, 0xb00, 3 * 8, DATA << 12 | RW, 8, true);
	machine_store(&m, 0xb00, 4 * 8, (GOES + 1) << 12 | RW, 8, true);
	machine_store(&m, 0xb00, 5 * 8, GOES << 12 | RW, 8, true);
	open_window();
}

static void two_slots_seen(void) { two_slots(); read_goes0(); write_goes1(); }
static void two_slots_unsync(void) { two_slots_seen(); store(1, AT_GOES(5), 0); }

/* L1 runs on direct trees, on two vCPUs; nothing is mirrored yet. */
static void nesting(void)
{
	scene_begin(&nested_npt);
	machine_oracle_on(&m);
	make_tables();
}

static void nesting_by_three(void)
{
	nesting();
	if (machine_vcpu_load(machine_vcpu_add(&m)))
		abort();
}

/* The first vCPU runs L2 on the tables, which are L1's nested ones; the second one still runs L1. */
static void nested(void)
{
	nesting();
	enter_l2(0);
	access(0, AT2(9), 0);
}

static void nested_writable(void) { nested(); l1_remaps(); }
static void nested_seen(void) { nested(); read0(); }
static void nested_unsync(void) { nested_seen(); l1_writes_near(); }
static void nested_logged(void) { nested_writable(); scene_log_start(); }

/* --- The end --------------------------------------------------------------------------------------- */

static void judge(unsigned int vcpu, uint64_t address, uint64_t pf)
{
	struct machine_vcpu *c = m.vcpu[vcpu];
	enum machine_access_result result;
	struct oracle_now now;
	int err = machine_vcpu_load(c);

	if (err)
		machine_bug("no root at the end: %d", err);
	machine_slots_read_lock(&m);
	now = machine_guest_now(c, address, pf);
	machine_slots_read_unlock(&m);
	result = machine_access(c, address, pf, 64);
	if (now.ok && (now.gfn < START || now.gfn >= START + FRAMES) && result == MACHINE_ACCESS_MMIO)
		return;
	if (now.ok ? result != MACHINE_ACCESS_DONE && !((pf & VMMU_PF_W) && result == MACHINE_ACCESS_EMULATED) :
		     result != MACHINE_ACCESS_INJECTED)
		machine_bug("an access %#llx to %#llx at rest comes to %d, and the guest's tables %s it", (unsigned long long)pf,
			    (unsigned long long)address, result, now.ok ? "allow" : "forbid");
}

/* Whoever flushes has what the tables say now. */
static void shadow_check(void)
{
	struct audit words = { .m = &m, .words = true };
	static const uint64_t addresses[] = { AT(3), AT(4), AT(5), AT2(3), IN(LAST, 16), IN(MIDDLE, 16) };

	audit(&m);
	/* Whoever has not flushed may have what was before, and no more: the oracle looks at each access. */
	for (unsigned int i = 0; i < m.vcpus; i++)
		machine_access(m.vcpu[i], AT(3), 0, 64);
	for (unsigned int i = 0; i < m.vcpus; i++)
		machine_guest_flush_all(m.vcpu[i]);
	for (unsigned int i = 0; i < 2 * sizeof(addresses) / sizeof(addresses[0]); i++)
		for (unsigned int n = 0; n < m.vcpus && m.vcpu[n]->v.current_context->shadow; n++)
			judge(n, addresses[i / 2], i % 2 ? VMMU_PF_W : 0);
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &m.slots_lock);
	audit_walk(&words);
	machine_mutex_unlock(&m.slots_lock);
	scene_end();
}

#define SCENE(title, state, ...) { .name = title, .prepare = state, .thread = { __VA_ARGS__ }, .check = shadow_check }
static const struct scene all[] = {
	SCENE("shadow: fault, fault", empty, read0, read1),
	SCENE("shadow: fault, fault, one leaf", window, write0, read1),
	SCENE("shadow: fault, fault near", window, write0_near, write1),
	SCENE("shadow: fault, emulated write", seen, write0, relink1),
	SCENE("shadow: fault, table is written", window, read0, remap1),
	SCENE("shadow: fault, table is writable", last_writable, read0, remap1),
	SCENE("shadow: fault, table is written and flushed", window, read0, remap1_flush),
	SCENE("shadow: fault, writable table is written and flushed", last_writable, read0, remap1_flush),
	SCENE("shadow: fault by two, table is written and flushed", last_writable, read0, remap1_flush, read0_beside),
	SCENE("shadow: unsync, sync", written, remap1_flush, flush_read0),
	SCENE("shadow: unsync, fault near", written, remap1_flush, write0_near),
	SCENE("shadow: unsync by two", written, remap1_flush, remap0),
	SCENE("shadow: sync, fault", unsync_remapped, flush_read0, write1),
	SCENE("shadow: sync, write", unsync, flush_read0, remap1),
	SCENE("shadow: sync, write and flush", unsync, flush_read0, remap1_flush),
	SCENE("shadow: sync, rights go", unsync, flush_write0, forbid1_flush),
	SCENE("shadow: sync, D goes", unsync, flush_write0, clean1_flush),
	SCENE("shadow: unsync by two, sync", written, remap0, remap1, flush_read1),
	SCENE("shadow: zap of the last table, other table", written, unprotect_last, relink1_flush),
	SCENE("shadow: sync by two", unsync_remapped, flush_read0, flush_read1),
	SCENE("shadow: sync, write twice", unsync, flush_read0, remap1_twice),
	SCENE("shadow: D is set, table is written", seen_clean, write0, remap1),
	SCENE("shadow: D is set, rights go", seen_clean, write0, forbid1),
	SCENE("shadow: D is set by two", seen_clean, write0, write1),
	SCENE("shadow: other table, sync", unsync, relink1_flush, flush_read0),
	SCENE("shadow: other table, fault", written, relink1_flush, write0_near),
	SCENE("shadow: link goes, fault", written, unlink1, write0_near),
	SCENE("shadow: new way to an unsync table, write", unsync_remapped, other_process0, remap1_flush),
	SCENE("shadow: new way to an unsync table, sync", unsync_remapped, other_process0, flush1),
	SCENE("shadow: new way to an unsync table, write, flush there", unsync_remapped, other_process_twice0, remap1),
	SCENE("shadow: new way, write and flush there", two_without_way, near0, remap_and_flush1),
	SCENE("shadow: second link beside, write", written, link_beside1, remap0),
	SCENE("shadow: two ways, sync of each", two_processes_unsync, flush_read0, flush_read1),
	SCENE("shadow: two ways, write, sync", two_processes, remap0, flush_read1),
	SCENE("shadow: two ways, write and flush, fault", two_processes, write0, remap1_flush),
	SCENE("shadow: two ways, one goes, sync", two_processes_unsync, unprotect_middle, flush_read1),
	SCENE("shadow: shared upper table, write, sync", shared_upper, remap0, flush_read1),
	SCENE("shadow: upper link changes, sync", shared_upper, relink_upper1, flush_read0),
	SCENE("shadow: evict, fault", written, evict_all, write0_near),
	SCENE("shadow: evict, first fault", window, evict_all, read0),
	SCENE("shadow: evict, sync", unsync_remapped, evict_all, flush_read0),
	SCENE("shadow: evict, write", written, evict_all, remap1_flush),
	SCENE("shadow: zap, write of an upper table, flush", written, unprotect_middle, relink1_flush),
	SCENE("shadow: zap, write of an upper table, flush of the address", written, unprotect_middle, relink1_invlpg),
	SCENE("shadow: evict, process switch", two_processes, evict_all, to_and_fro0),
	SCENE("shadow: zap of the last table, fault", written, unprotect_last, write0_near),
	SCENE("shadow: zap of the last table and move, first write", seen, unprotect_last_and_move, write0),
	SCENE("shadow: zap of the last table, sync", unsync_remapped, unprotect_last, flush_read0),
	SCENE("shadow: zap of a middle table, fault", written, unprotect_middle, write0_near),
	SCENE("shadow: zap of a middle table, write", written, unprotect_middle, remap1_flush),
	SCENE("shadow: zap of the root, fault", written, unprotect_root, write0_near),
	SCENE("shadow: zap of the root, switch to it", root_forgotten, back0, unprotect_root),
	SCENE("shadow: zap of the root, process switch", two_processes, unprotect_root, to_and_fro0),
	SCENE("shadow: zap, zap", written, unprotect_last, unprotect_middle),
	SCENE("shadow: zap, zap of the same", written, unprotect_middle, unprotect_middle),
	SCENE("shadow: zap all, fault", written, scene_zap_all, write0),
	SCENE("shadow: zap all, process switch", two_processes, scene_zap_all, to_and_fro0),
	SCENE("shadow: process switch by two", written, other_process0, other_process1),
	SCENE("shadow: invalidated address, fault", unsync_remapped, invlpg_read0, write1),
	SCENE("shadow: invalidated address, write", unsync, remap1_invlpg, write0),
	SCENE("shadow: invalidated address, sync", unsync, remap1_invlpg, flush_read0),
	SCENE("shadow: invalidated address, first fault", last_writable, remap1_invlpg, read0),
	SCENE("shadow: invalidated address, move", unsync, remap1_invlpg, scene_move),
	SCENE("shadow: invalidated address, flush of another, move", unsync_beside, remap1_invlpg, read0_move, unprotect_last2),
	SCENE("shadow: move, fault", window, scene_move, read0),
	SCENE("shadow: move, fault, mapped", written, scene_move, write0),
	SCENE("shadow: move, two faults", window, scene_move, read0, write1),
	SCENE("shadow: move, write of the table", written, scene_move, remap1_flush),
	SCENE("shadow: move of a table, fault", written, move_table, write0_near),
	SCENE("shadow: move of a table, sync", unsync_remapped, move_table, flush_read0),
	SCENE("shadow: copy on write, fault", written, copy_data, write0),
	SCENE("shadow: log, fault", window, scene_log_start, write0),
	SCENE("shadow: log, write", written, scene_log_start, write0),
	SCENE("shadow: harvest, write", logged, scene_harvest, write0),
	SCENE("shadow: harvest, write, write", logged, scene_harvest, write0, write1),
	SCENE("shadow: harvest, sync", unsync_remapped, scene_log_start, flush_read0),
	SCENE("shadow: age, fault", written, scene_age, write0),
	SCENE("shadow: age, sync", unsync_remapped, scene_age, flush_read0),
	SCENE("shadow: age, write of the table", written, scene_age, remap1_flush),
	SCENE("shadow: track, fault", window, track_data, write0),
	SCENE("shadow: prefetch, write of the table", prefetching, read0, remap1_flush),
	SCENE("shadow: prefetch near, move", prefetching, write0_near, scene_move),
	SCENE("shadow: prefetch, move", prefetching, read0, scene_move),
	SCENE("shadow: prefetch of a neighbour, move", neighbours, read0_before, scene_move),
	SCENE("shadow: prefetch, track", prefetching, read0, track_data),
	SCENE("shadow: PAE, fault, zap of the middle table", pae, unprotect_middle, write1),
	SCENE("shadow: PAE, fault, evict", pae, evict_all, write1),
	SCENE("shadow: PAE, write, sync", pae, remap1_flush, flush_read0),
	SCENE("shadow: sync twice, write twice", unsync, flush0_read0_twice, remap1_twice),
	SCENE("shadow: no paging, fault, fault", no_paging, straight0, straight1),
	SCENE("shadow: no paging, fault, evict", no_paging_seen, straight1_near, evict_all),
	SCENE("shadow: no paging, fault, move", no_paging_seen, straight1, scene_move),
	SCENE("shadow: split, write", big, split, big_write1),
	SCENE("shadow: split, entry goes", big, split, big_goes1),
	SCENE("shadow: split, rights go", big, split, big_protect1),
	SCENE("shadow: split, move", big, split, move_in_big),
	SCENE("shadow: split, split", big, split, split),
	SCENE("shadow: split, evict", big, split, evict_all),
	SCENE("shadow: split, harvest, write", big_logged, split, harvest_split, big_write0_twice),
	SCENE("shadow: split by a harvest, write", big_logged, harvest_split, big_write0_twice),
	SCENE("shadow: collapse, write", big_split, collapse, big_write1),
	SCENE("shadow: collapse, split", big_split, collapse, split),
	SCENE("shadow: slot goes, fault", two_slots, slot_goes, read_goes0),
	SCENE("shadow: slot goes, two faults", two_slots, slot_goes, read_goes0, write_goes1),
	SCENE("shadow: slot goes, write of its table", two_slots_seen, slot_goes, write_table_goes1),
	SCENE("shadow: slot goes, sync", two_slots_unsync, slot_goes, flush_goes0),
	SCENE("shadow: slot goes, evict", two_slots_seen, slot_goes, evict_all),
	SCENE("shadow: slot goes, zap of its table", two_slots_unsync, slot_goes, unprotect_goes),
	SCENE("shadow: zap of frames, fault", written, zap_frames, write0),
	SCENE("shadow: zap of frames, write of the table", written, zap_frames, remap1_flush),
	SCENE("nested: first L2, first write of L1", nesting, enter0, l1_writes1),
	SCENE("nested: first two L2s, first write of L1", nesting_by_three, enter0, enter1, l1_writes2),
	SCENE("nested: first L2, first write of L1, slot is replaced", nesting, enter0, l1_writes1, scene_log_start),
	SCENE("nested: fault, L1 writes the table", nested, read0, l1_remaps),
	SCENE("nested: fault, L1 can write the table", nested_writable, read0, l1_remaps),
	SCENE("nested: fault, L1 can write the table again", nested_logged, read0, l1_remaps),
	SCENE("nested: sync, L1 writes the table", nested_unsync, flush_read0, l1_remaps_twice),
	SCENE("nested: sync, first write of L1", nested_seen, flush_read0, l1_remaps_twice),
	SCENE("nested: zap, L1 writes the table", nested_seen, unprotect_last, l1_remaps),
	SCENE("shadow: write, sync, evict", written, remap1_flush, flush_read0, evict_all),
	SCENE("shadow: write, sync, zap", written, remap1_flush, flush_read0, unprotect_middle),
	SCENE("shadow: write, sync, move", written, remap1_flush, flush_read0, scene_move),
	SCENE("shadow: write, process switch, fault", two_processes, remap1_flush, to_and_fro0),
};

const struct scene *shadow_scene(unsigned int n)
{
	return n < sizeof(all) / sizeof(all[0]) ? &all[n] : NULL;
}
