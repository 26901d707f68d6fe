// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A 64-bit guest switches what its paging has to switch: control bits, address spaces with and without PCID, flushes of
 * every kind, 4 and 5 levels. After each step accesses must be what the tables and registers say by now.
 *
 * Options: switches=N.
 */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "oracle.h"
#include "print.h"
#include "report.h"

#define WINDOW 0x100000000000ull

enum { RIGHTS = PTE_P | PTE_W | PTE_U, PAGES = 8, TURNS = 200 };

static u32 random_below(u32 limit)
{
	static u64 state = 99;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 33) % limit;
}

static uptr page_at(u32 n)
{
	return WINDOW + n * PAGE_BYTES;
}

/* A frame that says which it is, and can be executed. */
static u64 new_frame(void)
{
	static u64 number;
	u64 *frame = alloc_page();

	fetch_target(frame);
	frame[1] = ++number;
	return (uptr)frame;
}

static struct access random_access(void)
{
	u32 kind = random_below(3);

	return (struct access){ .write = kind == 1, .fetch = kind == 2, .user = random_below(2) };
}

/* Pages with all rights there are, below one table. */
static u64 *make_all_rights(void)
{
	u64 *root = space_new(), *table = pt_entry(root, 4, WINDOW, 1, RIGHTS);

	for (u32 i = 0; i < 2 * PAGES; i++) {
		u64 rights = PTE_P | (i & 1 ? PTE_W : 0) | (i & 2 ? PTE_U : 0) | (i & 8 ? PTE_G : 0);

		table[i] = new_frame() | rights | (cpu_has_nx() && i & 4 ? PTE_NX : 0);
	}
	return root;
}

static void use_all_rights(const char *what)
{
	for (u32 i = 0; i < 6; i++) {
		struct access access = random_access();
		uptr at = page_at(random_below(2 * PAGES));

		oracle_access(what, access.fetch ? at : at + 16, access);
	}
}

/* Every bit that changes what rights mean is turned at random. */
static void test_control_bits(void)
{
	uptr bits4 = (cpu_has_smep() ? CR4_SMEP : 0) | (cpu_has_smap() ? CR4_SMAP : 0) | CR4_PGE;
	uptr cr4 = read_cr4();

	report_begin("WP, SMEP, SMAP, PGE back and forth");
	write_cr3((uptr)make_all_rights());
	for (u32 turn = 0; turn < 2 * TURNS && report_wrongs() < 20; turn++) {
		if (turn % 3 == 0)
			write_cr0(read_cr0() ^ CR0_WP);
		else
			write_cr4(cr4 | (bits4 & (random_below(2) ? CR4_SMEP : 0)) |
				  (bits4 & (random_below(2) ? CR4_SMAP : 0)) | (random_below(2) ? CR4_PGE : 0));
		use_all_rights("control bits");
	}
	write_cr4(cr4);
	write_cr0(read_cr0() | CR0_WP);
	report_end();
}

/* Without NXE the bit that forbids to execute is a reserved one. What was cached before is flushed. */
static void test_no_execute(void)
{
	uptr cr4 = read_cr4();

	if (!cpu_has_nx())
		return report_skip("NXE back and forth", "this CPU has none");
	report_begin("NXE back and forth");
	write_cr3((uptr)make_all_rights());
	for (u32 turn = 0; turn < TURNS / 2 && report_wrongs() < 20; turn++) {
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) ^ EFER_NXE);
		write_cr4(read_cr4() ^ CR4_PGE);
		use_all_rights("NXE");
	}
	write_cr4(cr4);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	report_end();
}

/* A register write that must fault, and change nothing. */
struct refused {
	const char *name;
	int cr;
	uptr value;
};

static void write_register(void *arg)
{
	const struct refused *r = arg;

	switch (r->cr) {
	case 0:
		return write_cr0(r->value);
	case 3:
		return write_cr3(r->value);
	case 4:
		return write_cr4(r->value);
	default:
		return wrmsr(MSR_EFER, r->value);
	}
}

static void test_refused(void)
{
	const struct refused refused[] = {
		{ "CR0 with PG and no PE", 0, read_cr0() & ~(uptr)CR0_PE },
		{ "CR0 without PG in 64-bit mode", 0, read_cr0() & ~(uptr)CR0_PG },
		{ "CR0 with NW and no CD", 0, read_cr0() | CR0_NW },
		{ "CR4 without PAE in long mode", 4, read_cr4() & ~(uptr)CR4_PAE },
		{ "CR4.LA57 turned in long mode", 4, read_cr4() ^ CR4_LA57 },
		{ "CR4 with a reserved bit", 4, read_cr4() | BIT(31) },
		{ "CR3 with a bit above the address", 3, read_cr3() | BIT(cpu_address_bits()) },
		{ "EFER without LME in long mode", 5, rdmsr(MSR_EFER) & ~(u64)EFER_LME },
	};

	/* Under nested paging CR0 and CR3 are written without a hypervisor's help. */
	if (tcg_walks())
		return report_skip("register values that are refused", "TCG takes them");
	report_begin("register values that are refused");
	for (u32 i = 0; i < ARRAY_SIZE(refused); i++) {
		struct trap trap = { 0 };
		uptr before = read_cr0() ^ read_cr3() ^ read_cr4() ^ rdmsr(MSR_EFER);

		if (!trap_catch(write_register, (void *)&refused[i], &trap) || trap.vector != VEC_GP || trap.error)
			report_wrong("%s: vector %u error %x", refused[i].name, trap.vector, trap.error);
		if ((read_cr0() ^ read_cr3() ^ read_cr4() ^ rdmsr(MSR_EFER)) != before)
			report_wrong("%s: something changed", refused[i].name);
	}
	report_end();
}

/* Global pages may stay when CR3 is loaded; they go with INVLPG and with CR4.PGE. Others go with CR3. */
static void test_global(void)
{
	u64 *root = space_new(), *table = pt_entry(root, 4, WINDOW, 1, RIGHTS);
	uptr cr4 = read_cr4();
	u32 kept = 0;

	report_begin("global pages");
	write_cr3((uptr)root);
	write_cr4(cr4 | CR4_PGE);
	for (u32 turn = 0; turn < TURNS; turn++) {
		u64 old = table[0] & PTE_ADDRESS, frame = new_frame(), seen;

		WRITE_ONCE(table[0], frame | RIGHTS | PTE_G);
		WRITE_ONCE(table[1], frame | RIGHTS);
		if (old) {
			write_cr3((uptr)root);
			seen = ((volatile u64 *)page_at(0))[1];
			kept += seen == ((u64 *)old)[1];
			if (seen != ((u64 *)old)[1] && seen != ((u64 *)frame)[1])
				report_wrong("neither the old nor the new frame, but %llx", (unsigned long long)seen);
		}
		if (turn % 3 == 0)
			invlpg(page_at(0));
		else
			write_cr4(cr4 ^ CR4_PGE);
		write_cr4(cr4 | CR4_PGE);
		if (!old)
			write_cr3((uptr)root);
		oracle_read("global", page_at(0) + 8);
		oracle_write("not global", page_at(1) + 16);
		if (turn % 2 && old)
			free_page((void *)old);
	}
	write_cr4(cr4);
	print("  kept %u times of %u\n", kept, TURNS);
	report_end();
}

/* 4 and 5 levels by turns, each with a page at one address, and a page at another that only one of them reaches. */
static void test_levels(void)
{
	u64 *four, *five, *upper;
	uptr far = WINDOW + (3ull << 48), cr4 = read_cr4();

	if (!cpu_has_la57())
		return report_skip("4 and 5 levels by turns", "this CPU has 4");
	report_begin("4 and 5 levels by turns");
	four = space_new();
	upper = space_new();
	five = alloc_page();
	*pt_entry(four, 4, WINDOW, 1, RIGHTS) = new_frame() | RIGHTS;
	*pt_entry(upper, 4, WINDOW, 1, RIGHTS) = new_frame() | RIGHTS;
	five[0] = (uptr)upper | RIGHTS;
	*pt_entry(five, 5, far, 1, RIGHTS) = new_frame() | RIGHTS;
	for (u32 turn = 0; turn < TURNS / 4; turn++) {
		bool more = turn % 2;

		long_restart((uptr)(more ? five : four), cr4 | (more ? CR4_LA57 : 0));
		oracle_read("levels", WINDOW + 8);
		oracle_write("levels", WINDOW + 16);
		if (more) {
			oracle_write("far", far + 16);
			oracle_read("far, not there", far + LARGE_BYTES);
			/* The table that is the root of one is a lower one of the other. */
			five[0] = (uptr)(turn % 4 == 1 ? four : upper) | RIGHTS;
			write_cr3(read_cr3());
			oracle_read("the other root below", WINDOW + 8);
		}
	}
	long_restart(boot_root(), cr4);
	report_end();
}

struct space {
	u64 *root, *table;
};

static struct space new_space(void)
{
	struct space s = { .root = space_new() };

	s.table = pt_entry(s.root, 4, WINDOW, 1, RIGHTS);
	for (u32 i = 0; i < PAGES; i++)
		s.table[i] = new_frame() | RIGHTS;
	return s;
}

static u64 frame_number(const struct space *s, u32 page)
{
	return ((u64 *)(READ_ONCE(s->table[page]) & PTE_ADDRESS))[1];
}

/*
 * PCIDs: a switch with the no-flush bit may leave old translations of that PCID, and only those; a switch without it,
 * and INVPCID, leave none.
 */
static void test_pcid(void)
{
	enum { SPACES = 12 };
	struct space space[SPACES];
	u64 old[SPACES][PAGES];
	uptr cr4 = read_cr4();
	bool has_invpcid = cpu_has_invpcid();
	u32 now = 0, stale = 0;

	if (!cpu_has_pcid())
		return report_skip("PCID", "this CPU has none");
	report_begin(has_invpcid ? "PCID, the no-flush bit, INVPCID" : "PCID, the no-flush bit");
	for (u32 i = 0; i < SPACES; i++) {
		space[i] = new_space();
		for (u32 n = 0; n < PAGES; n++)
			old[i][n] = 0;
	}
	write_cr3((uptr)space[0].root);
	write_cr4(cr4 | CR4_PCIDE);
	for (u32 turn = 0; turn < 5 * TURNS && report_wrongs() < 20; turn++) {
		u32 to = random_below(SPACES), page = random_below(PAGES), kind = random_below(8);
		bool flush = kind == 0;

		/* An entry of a space changes while another one is current: its PCID may remember the old one. */
		if (turn % 3 == 0 && to != now) {
			if (!old[to][page])
				old[to][page] = frame_number(&space[to], page);
			else
				old[to][page] = ~0ull;		/* more than one: not told apart */
			WRITE_ONCE(space[to].table[page], new_frame() | RIGHTS);
		}
		if (has_invpcid && kind == 1) {
			invpcid(INVPCID_ADDRESS, to + 1, page_at(page));
			if (to)
				old[to][page] = 0;
		} else if (has_invpcid && kind == 2) {
			invpcid(INVPCID_CONTEXT, to + 1, 0);
			flush = to;
		} else if (has_invpcid && kind == 3) {
			invpcid(turn % 2 ? INVPCID_ALL : INVPCID_ALL_BUT_GLOBAL, 0, 0);
			for (u32 i = 0; i < SPACES; i++) {
				for (u32 n = 0; n < PAGES; n++)
					old[i][n] = 0;
			}
		}
		/* Space 0 has PCID 0, the others a PCID one above their number. */
		write_cr3((uptr)space[to].root | (to ? to + 1 : 0) | (kind ? CR3_NO_FLUSH : 0));
		now = to;
		for (u32 n = 0; n < PAGES; n++) {
			u64 seen = ((volatile u64 *)page_at(n))[1], new = frame_number(&space[to], n);

			if (flush)
				old[to][n] = 0;
			stale += seen != new;
			if (seen != new && old[to][n] != ~0ull && (!old[to][n] || seen != old[to][n]))
				report_wrong("space %u page %u: frame %llu, not %llu or %llu, kind %u", to, n,
					     (unsigned long long)seen, (unsigned long long)new,
					     (unsigned long long)old[to][n], kind);
			/* Looked at and right: what was before is forgotten only by a flush. */
			if (n == page) {
				invlpg(page_at(n));
				old[to][n] = 0;
				oracle_read("flushed", page_at(n) + 8);
			}
		}
		if (turn % 64 == 63) {
			write_cr4(read_cr4() ^ CR4_PGE);
			for (u32 i = 0; i < SPACES * PAGES; i++)
				old[i / PAGES][i % PAGES] = 0;
		}
	}
	write_cr3((uptr)space[0].root);
	write_cr4(cr4);
	write_cr3(boot_root());
	print("  %u stale translations seen\n", stale);
	report_end();
}

static void do_invpcid(void *arg)
{
	u64 *a = arg;

	invpcid(a[0], a[1], a[2]);
}

static void test_pcid_refused(void)
{
	static u64 wrong[][3] = { { 4, 0, 0 }, { 0, 0x1000, 0 }, { 0, 1, 1ull << 60 } };
	const struct refused unaligned = { "CR4.PCIDE with a PCID in CR3", 4, read_cr4() | CR4_PCIDE };
	struct trap trap = { 0 };

	if (!cpu_has_pcid() || !cpu_has_invpcid())
		return report_skip("PCID, what is refused", "this CPU has none, or no INVPCID");
	report_begin("PCID, what is refused");
	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (!trap_catch(do_invpcid, wrong[i], &trap) || trap.vector != VEC_GP)
			report_wrong("INVPCID %llu %llx %llx: vector %u", (unsigned long long)wrong[i][0],
				     (unsigned long long)wrong[i][1], (unsigned long long)wrong[i][2], trap.vector);
	}
	write_cr3(read_cr3() | PTE_PWT);
	if (!trap_catch(write_register, (void *)&unaligned, &trap) || trap.vector != VEC_GP)
		report_wrong("%s: vector %u", unaligned.name, trap.vector);
	write_cr3(read_cr3() & ~(uptr)PTE_PWT);
	report_end();
}

void guest_main(void)
{
	test_control_bits();
	test_no_execute();
	write_cr3(boot_root());
	test_refused();
	test_global();
	write_cr3(boot_root());
	test_levels();
	test_pcid();
	test_pcid_refused();
}
