// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Addresses without memory behind them, and ROM: accesses of every size, across the border to RAM, through entries with
 * and without rights; pages that are one thing now and another one then; tables where none can be.
 */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "oracle.h"
#include "print.h"
#include "report.h"

#define WINDOW 0x100000000000ull
#define NOTHING 0xd0000000ull			/* no device there, as QEMU is started */
#define APIC_VERSION 0xfee00030ull

enum {
	RIGHTS = PTE_P | PTE_W | PTE_U, TURNS = 50,
	SHADOWED = 0xf0000,			/* the BIOS's segment: ROM, or RAM in its place */
	PORT_PCI_ADDRESS = 0xcf8, PORT_PCI_DATA = 0xcfc, PAM_ROM = 0x00, PAM_RAM = 0x30,
};

static u64 *table;
static u8 none;					/* a byte of nothing, as it is read: QEMU's choice */

static u64 all_none(void)
{
	return none * 0x0101010101010101ull;
}

static uptr page_at(u32 n)
{
	return WINDOW + n * PAGE_BYTES;
}

static void map(u32 n, u64 entry)
{
	WRITE_ONCE(table[n], entry);
	invlpg(page_at(n));
}

/* Reads of nothing are the same always; writes go nowhere. */
static void test_sizes(void)
{
	report_begin("reads and writes of nothing");
	for (u32 n = 0; n < 8; n++)
		map(n, (NOTHING + n * PAGE_BYTES) | RIGHTS);
	for (u32 turn = 0; turn < TURNS; turn++) {
		uptr at = page_at(turn % 8) + turn * 40 % 4000;
		u64 seen[4] = { 0 };
		u8 block[64];
		void *from = (void *)at, *to = block;
		size_t count = sizeof(block);

		*(volatile u8 *)at = 1;
		*(volatile u16 *)at = 2;
		*(volatile u32 *)at = 3;
		*(volatile u64 *)at = 4;
		seen[0] = *(volatile u8 *)at;
		seen[1] = *(volatile u16 *)at;
		seen[2] = *(volatile u32 *)at;
		seen[3] = *(volatile u64 *)at;
		if (seen[0] != none || seen[1] != (u16)all_none() || seen[2] != (u32)all_none() ||
		    seen[3] != all_none())
			report_wrong("%lx: %llx %llx %llx %llx", at, (unsigned long long)seen[0],
				     (unsigned long long)seen[1], (unsigned long long)seen[2],
				     (unsigned long long)seen[3]);
		memset(block, 0x77, sizeof(block));
		__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) :: "memory");
		for (u32 i = 0; i < sizeof(block); i++) {
			if (block[i] != none)
				report_wrong("%lx: byte %u of a string is %x", at, i, block[i]);
		}
	}
	report_end();
}

/* An access that begins in RAM and ends in nothing, and the other way round. */
static void test_borders(void)
{
	u8 *frame = alloc_page();

	report_begin("accesses across the border of RAM and nothing");
	map(0, (uptr)frame | RIGHTS);
	map(1, NOTHING | RIGHTS);
	map(2, (uptr)frame | RIGHTS);
	for (u32 offset = 1; offset < 8; offset++) {
		uptr in = page_at(1) - offset, out = page_at(2) - offset;
		u64 want, seen;

		memset(frame, 0x11, PAGE_BYTES);
		*(volatile u64 *)in = 0x2222222222222222;
		want = all_none() << 8 * offset | (0x2222222222222222 & (BIT(8 * offset) - 1));
		seen = *(volatile u64 *)in;
		if (seen != want || frame[PAGE_BYTES - offset] != 0x22 || frame[PAGE_BYTES - offset - 1] != 0x11)
			report_wrong("%u bytes of RAM first: %llx, not %llx", offset, (unsigned long long)seen,
				     (unsigned long long)want);
		*(volatile u64 *)out = 0x3333333333333333;
		want = (0x3333333333333333 << 8 * offset) | (all_none() & (BIT(8 * offset) - 1));
		seen = *(volatile u64 *)out;
		if (seen != want || frame[7 - offset] != 0x33 || frame[8 - offset] != 0x11)
			report_wrong("%u bytes of nothing first: %llx, not %llx", offset, (unsigned long long)seen,
				     (unsigned long long)want);
	}
	report_end();
}

/* What the entry forbids is a fault, whatever is behind it; what it allows sets A and D. */
static void test_rights(void)
{
	static const struct access accesses[] = {
		{ 0 }, { .write = true }, { .user = true }, { .write = true, .user = true },
	};
	struct paging p = paging_now();

	report_begin("rights to nothing");
	for (u32 turn = 0; turn < 8 * ARRAY_SIZE(accesses); turn++) {
		struct access a = accesses[turn % ARRAY_SIZE(accesses)];
		u32 n = 16 + turn % 5;
		u64 entry[LEVELS];
		struct outcome want;
		struct trap trap = { 0 };
		bool done;

		map(n, NOTHING | turn / ARRAY_SIZE(accesses));
		entries_of(&p, page_at(n), entry);
		want = model_access(&p, entry, a);
		done = access_try(page_at(n), a, false, &trap);
		if (done == want.fault || (want.fault && (trap.vector != VEC_PF || trap.error != want.error ||
							  trap.cr2 != page_at(n))))
			report_wrong("entry %llx: %s %x, vector %u error %x cr2 %lx",
				     (unsigned long long)entry[1], done ? "done" : "fault", want.error, trap.vector,
				     trap.error, trap.cr2);
		if (!model_flags_right(&p, 1, entry[1], table[n], a, want))
			report_wrong("entry %llx became %llx", (unsigned long long)entry[1],
				     (unsigned long long)table[n]);
	}
	report_end();
}

/* One address is nothing, RAM, a device, RAM again: after each flush it is what the entry says. */
static void test_turns(void)
{
	u64 *frame[2] = { alloc_page(), alloc_page() };
	u32 version = *(volatile u32 *)APIC_VERSION;

	report_begin("nothing, RAM and a device by turns");
	frame[0][6] = 111;
	frame[1][6] = 222;
	for (u32 turn = 0; turn < 4 * TURNS; turn++) {
		const u64 entry[] = { (uptr)frame[0], NOTHING, (uptr)frame[1], APIC_VERSION & PTE_ADDRESS };
		const u32 want[] = { 111, all_none(), 222, version };
		u32 kind = (turn * 7 + turn / 5) % 4, seen;

		if (turn % 3 == 2) {
			map(3, 0);
			oracle_read("not there", page_at(3));
		}
		map(3, entry[kind] | RIGHTS);
		seen = *(volatile u32 *)(page_at(3) + 48);
		if (seen != want[kind])
			report_wrong("turn %u: kind %u is %u, not %u", turn, kind, seen, want[kind]);
		if (kind % 2 == 0)
			oracle_write("RAM", page_at(3) + 8);
	}
	report_end();
}

/* What the chipset shows in the segment of the BIOS: PAM0 in the host bridge. */
static void shadowed_segment(u8 how)
{
	outl(PORT_PCI_ADDRESS, BIT(31) | 0x58);
	outb(PORT_PCI_DATA + 1, how);
}

/* The segment is ROM and RAM by turns, while it is mapped: the one is never written, the other keeps what it was. */
static void test_rom(void)
{
	volatile u64 *at = (u64 *)page_at(4), *same = (u64 *)SHADOWED;
	u64 rom;

	report_begin("ROM and RAM by turns");
	map(4, SHADOWED | RIGHTS);
	shadowed_segment(PAM_ROM);
	rom = *at;
	for (u32 turn = 1; turn <= TURNS / 2; turn++) {
		shadowed_segment(PAM_RAM);
		at[0] = turn;
		same[1] = ~(u64)turn;
		shadowed_segment(PAM_ROM);
		at[0] = same[0] + 1;
		if (at[0] != rom || same[0] != rom)
			report_wrong("turn %u: the ROM is %llx, and was %llx", turn, (unsigned long long)at[0],
				     (unsigned long long)rom);
		shadowed_segment(PAM_RAM);
		if (at[0] != turn || at[1] != ~(u64)turn)
			report_wrong("turn %u: RAM has %llx %llx", turn, (unsigned long long)at[0],
				     (unsigned long long)at[1]);
	}
	report_end();
}

/* A table where none can be: its entries, as they are read, are not present or reserved, and the access faults. */
static void test_no_table(const char *name, u64 address)
{
	uptr region = WINDOW + 5 * LARGE_BYTES;
	struct paging p = paging_now();
	u64 *upper = pt_entry((u64 *)read_cr3(), 4, region, 2, RIGHTS);
	u32 tried = 0;

	report_begin(name);
	WRITE_ONCE(*upper, address | RIGHTS);
	for (u32 n = 0; n < 512; n += 3) {
		u64 entry[LEVELS];

		entries_of(&p, region + n * PAGE_BYTES, entry);
		if (!model_access(&p, entry, (struct access){ 0 }).fault)
			continue;
		tried++;
		oracle_read(name, region + n * PAGE_BYTES);
		oracle_write(name, region + n * PAGE_BYTES + 8);
	}
	WRITE_ONCE(*upper, 0);
	write_cr3(read_cr3());
	print("  %u entries\n", tried);
	report_end();
}

void guest_main(void)
{
	u64 *root = space_new();

	table = pt_entry(root, 4, WINDOW, 1, RIGHTS);
	write_cr3((uptr)root);
	none = *(volatile u8 *)NOTHING;
	test_sizes();
	test_borders();
	test_rights();
	test_turns();
	test_rom();
	/* Under nested paging the CPU walks there by itself, and the hypervisor has no access to emulate: it hangs. */
	if (option("nested")) {
		report_skip("a table in ROM", "nested paging");
		report_skip("a table in nothing", "nested paging");
		return;
	}
	test_no_table("a table in ROM", 0xfffff000);
	test_no_table("a table in nothing", NOTHING);
}
