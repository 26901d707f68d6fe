// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A guest in 32 bits and less goes through all its ways of paging, again and again: none, 2 levels without and with
 * 4 MiB pages, PAE, and real mode in between. In each, accesses must be what tables and registers say.
 */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "oracle.h"
#include "print.h"
#include "report.h"

enum { RIGHTS = PTE_P | PTE_W, FRAMES = 32, TURNS = 24 };

#define WINDOW 0xc0000000u
#define RAM_TABLES 32			/* of 4 MiB: RAM, and all that is mapped to itself */

static u32 *plain, *plain_window;	/* 2 levels */
static u64 *pae, *pae_window;		/* PAE; the directory of the window's GiB follows */
static u32 *frames[FRAMES];

u16 real_run(u32 address);

static u32 random_below(u32 limit)
{
	static u32 state = 7;

	state = state * 1664525 + 1013904223;
	return (state >> 8) % limit;
}

/* RAM mapped to itself in 4 KiB pages, for a directory whose PS bits mean nothing. */
static void make_plain(void)
{
	plain = alloc_page();
	plain_window = alloc_page();
	for (u32 i = 0; i < RAM_TABLES; i++) {
		u32 *table = alloc_page();

		for (u32 n = 0; n < 1024; n++)
			table[n] = (i * 1024 + n) << 12 | RIGHTS;
		plain[i] = (uptr)table | RIGHTS;
	}
	plain[WINDOW >> 22] = (uptr)plain_window | RIGHTS;
}

static void make_pae(void)
{
	u64 *directory = alloc_pages(4, PAGE_BYTES);

	pae = alloc_page();
	pae_window = alloc_page();
	for (u32 i = 0; i < 4; i++)
		pae[i] = (uptr)(directory + 512 * i) | PTE_P;
	for (u32 i = 0; i < RAM_TABLES * 2; i++)
		directory[i] = (u64)i << 21 | RIGHTS | PTE_PS;
	directory[512 * 3] = (uptr)pae_window | RIGHTS;
}

/* While paging is off: an A that TCG has set in a PDPTE is a reserved bit for KVM, which loads them with CR0. */
static void clean_pdptes(void)
{
	for (u32 i = 0; tcg_walks() && i < 4; i++)
		WRITE_ONCE(pae[i], pae[i] & ~(u64)PTE_A);
}

static void paging_off(void)
{
	write_cr0(read_cr0() & ~(uptr)CR0_PG);
}

static void paging_on(uptr cr3, uptr cr4)
{
	clean_pdptes();
	write_cr4(cr4);
	write_cr3(cr3);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

/* Some pages of the window: as they are, changed with a flush, gone. */
static void use_window(const char *what, bool is_pae)
{
	for (u32 turn = 0; turn < TURNS; turn++) {
		u32 n = random_below(16), frame = (uptr)frames[random_below(FRAMES)];
		u32 bits = random_below(6) ? (random_below(3) ? RIGHTS : PTE_P) : 0;
		uptr at = WINDOW + n * PAGE_BYTES;

		if (is_pae)
			WRITE_ONCE(pae_window[n], frame | bits | (cpu_has_nx() && turn % 4 == 0 ? PTE_NX : 0));
		else
			WRITE_ONCE(plain_window[n], frame | bits);
		invlpg(at);
		if (turn % 3 == 2)
			oracle_access(what, at, (struct access){ .fetch = true });
		else
			oracle_access(what, at + 16, (struct access){ .write = turn % 3 });
		oracle_read(what, at + 8);
		oracle_write(what, (uptr)frames[random_below(FRAMES)] + 32);
	}
}

static void test_plain(bool pse)
{
	const char *what = pse ? "2 levels, PSE" : "2 levels, no PSE";

	report_begin(what);
	paging_on((uptr)plain, pse ? CR4_PSE : 0);
	use_window(what, false);
	/* A directory entry with PS: a table's address without PSE, and a page with it. Its low bits fit both. */
	plain[(WINDOW >> 22) + 1] = ((uptr)plain_window & 0xffc00000) | RIGHTS | PTE_PS;
	for (u32 i = 0; i < 4; i++) {
		u32 entry = plain[(WINDOW >> 22) + 1];
		u64 *first = (u64 *)(entry & 0xfffff000);
		u64 kept = *first;

		/* As a table, its first word maps a frame; as data, it is read. */
		*(u32 *)first = (uptr)frames[i] | RIGHTS;
		invlpg(WINDOW + (4 << 20));
		oracle_read(what, WINDOW + (4 << 20));
		if (pse)
			oracle_write(what, WINDOW + (4 << 20) + (uptr)frames[0] % (4 << 20) + 16);
		/* Intel's CPUs do not flush for PSE. */
		write_cr4(read_cr4() ^ CR4_PSE);
		write_cr3(read_cr3());
		oracle_read("PSE turned", WINDOW + (4 << 20) + 8);
		write_cr4(read_cr4() ^ CR4_PSE);
		write_cr3(read_cr3());
		*first = kept;
	}
	plain[(WINDOW >> 22) + 1] = 0;
	write_cr3(read_cr3());
	paging_off();
	report_end();
}

static void test_pae(void)
{
	report_begin("PAE");
	if (cpu_has_nx())
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	paging_on((uptr)pae, CR4_PAE);
	use_window("PAE", true);
	paging_off();
	paging_on((uptr)pae, CR4_PAE | CR4_PGE);
	use_window("PAE, PGE", true);
	paging_off();
	report_end();
}

static void load_cr3(void *value)
{
	write_cr3((uptr)value);
}

static u32 look(void)
{
	return *(volatile u32 *)(WINDOW + 8);
}

static void do_look(void *arg)
{
	*(u32 *)arg = look();
}

/*
 * The four PDPTEs are loaded with CR3, and with CR0 and CR4 where those matter. An Intel CPU keeps them until then; an
 * AMD one may read them from memory, under nested paging, as its manual says.
 */
static void test_pdptes(void)
{
	u64 *other = alloc_page(), *table = alloc_page(), first = pae[3];
	u32 mine, theirs, seen;
	struct trap trap = { 0 };
	bool strict = !cpu_is_amd();

	report_begin("PDPTEs are loaded with CR3");
	other[0] = (uptr)table | RIGHTS;
	table[0] = (uptr)frames[1] | RIGHTS;
	pae_window[0] = (uptr)frames[0] | RIGHTS;
	mine = frames[0][2];
	theirs = frames[1][2];
	paging_on((uptr)pae, CR4_PAE);
	for (u32 turn = 0; turn < TURNS; turn++) {
		u64 to = (turn % 2 ? first : (uptr)other) | PTE_P;
		u32 before = turn % 2 ? theirs : mine, after = turn % 2 ? mine : theirs;

		if (look() != before)
			report_wrong("turn %u: %x, not %x", turn, look(), before);
		WRITE_ONCE(pae[3], to);
		invlpg(WINDOW);
		seen = look();
		if (seen != before && (strict || seen != after))
			report_wrong("turn %u: %x in effect by INVLPG, was %x", turn, seen, before);
		switch (tcg_walks() ? 0 : turn % 4) {
		case 0:
		case 1:
			write_cr3(read_cr3());
			break;
		case 2:
			write_cr4(read_cr4() ^ CR4_PGE);
			break;
		default:
			write_cr4(read_cr4() ^ CR4_PSE);
		}
		if (look() != after)
			report_wrong("turn %u: %x after a load, not %x", turn, look(), after);
		oracle_read("PDPTE", WINDOW + 8);
	}
	/* Not present: nothing of the GiB, after the load. */
	WRITE_ONCE(pae[3], 0);
	write_cr3(read_cr3());
	oracle_read("no PDPTE", WINDOW + 8);
	WRITE_ONCE(pae[3], first);
	write_cr3(read_cr3());
	oracle_read("PDPTE again", WINDOW + 8);
	/* Reserved bits: refused by the load, or by the access that needs it. TCG does not look at all of them. */
	for (u32 bit = 1; bit < 9 && !tcg_walks(); bit++) {
		if (bit == 3 || bit == 4)		/* cache control */
			continue;
		WRITE_ONCE(pae[3], first | BIT(bit));
		if (trap_catch(load_cr3, pae, &trap)) {
			if (trap.vector != VEC_GP)
				report_wrong("bit %u: vector %u by MOV CR3", bit, trap.vector);
			WRITE_ONCE(pae[3], first);
			write_cr3(read_cr3());
			continue;
		}
		if (strict)
			report_wrong("bit %u: MOV CR3 is done", bit);
		else if (!trap_catch(do_look, &seen, &trap) || trap.vector != VEC_PF || !(trap.error & PF_RSVD))
			report_wrong("bit %u: vector %u error %x", bit, trap.vector, trap.error);
		WRITE_ONCE(pae[3], first);
		write_cr3(read_cr3());
	}
	oracle_read("PDPTE at last", WINDOW + 8);
	paging_off();
	report_end();
}

static void test_no_paging(void)
{
	report_begin("no paging");
	for (u32 i = 0; i < FRAMES; i++) {
		oracle_write("no paging", (uptr)frames[i] + 16);
		oracle_read("no paging", (uptr)frames[i] + 8);
	}
	report_end();
}

/* Real mode: a word of the first MiB is read there, doubled, and written next to it. */
static void test_real(void)
{
	report_begin("real mode and back");
	for (u32 turn = 0; turn < TURNS; turn++) {
		volatile u16 *word = (u16 *)0x9000;
		u16 seen;

		word[0] = 100 + turn;
		word[1] = 0;
		seen = real_run(0x9000);
		if (seen != 100 + turn || word[1] != 2 * (100 + turn))
			report_wrong("turn %u: read %u, wrote %u", turn, seen, word[1]);
	}
	report_end();
}

/* One mode after another, each with what the one before has left in tables that both use as memory. */
static void test_all_by_turns(void)
{
	report_begin("all modes by turns");
	for (u32 turn = 0; turn < 4 * TURNS; turn++) {
		switch (random_below(4)) {
		case 0:
			oracle_write("no paging", (uptr)frames[turn % FRAMES] + 16);
			oracle_read("no paging", (uptr)pae_window);
			real_run(0x9000);
			continue;
		case 1:
			paging_on((uptr)plain, 0);
			use_window("2 levels", false);
			break;
		case 2:
			paging_on((uptr)plain, CR4_PSE);
			use_window("PSE", false);
			break;
		default:
			paging_on((uptr)pae, CR4_PAE);
			use_window("PAE", true);
			break;
		}
		paging_off();
	}
	report_end();
}

void guest_main(void)
{
	for (u32 i = 0; i < FRAMES; i++) {
		frames[i] = alloc_page();
		fetch_target(frames[i]);
		frames[i][2] = 0x1000 + i;
	}
	make_plain();
	make_pae();
	test_no_paging();
	test_plain(false);
	if (cpu_has_pse())
		test_plain(true);
	else
		report_skip("2 levels, PSE", "this CPU has none");
	test_pae();
	test_pdptes();
	test_real();
	test_all_by_turns();
}
