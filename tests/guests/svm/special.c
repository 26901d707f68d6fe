// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Nested tables of odd shapes, and what guests do to them: in the kernel's own mode, 4 levels. */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "setting.h"

#define LARGE 0x200000ull
#define SCRATCH (L2_TEST + 64 * LARGE)		/* where nothing is mapped unless a test says so */

static u64 frame_of(int number)
{
	return setting_frames() + number * PAGE_BYTES;
}

static uptr table_of(struct setting *s, u64 gpa, int level)
{
	return nested_get(&s->nested, gpa, level + 1) & ENTRY_ADDRESS;
}

/* A guest writes 64 bits. */
static bool write_quad(struct setting *s, u64 address, u64 value)
{
	for (int half = 0; half < 2; half++) {
		s->l2.registers.rdi = address + 4 * half;
		s->l2.registers.rsi = (u32)(value >> 32 * half);
		l2_start(&s->l2, l2_write);
		if (s->l2.vmcb->exit_code != EXIT_VMMCALL) {
			report_wrong("a write at %lx ends with exit %lx, info %lx %lx", address + 4 * half,
				     s->l2.vmcb->exit_code, s->l2.vmcb->exit_info1, s->l2.vmcb->exit_info2);
			return false;
		}
	}
	return true;
}

/* A guest reads 32 bits: false if it cannot. */
static bool read_word(struct setting *s, u64 address, u32 *value)
{
	s->l2.registers.rdi = address;
	s->l2.registers.rdx = 0;
	l2_start(&s->l2, l2_read);
	*value = s->l2.registers.rdx;
	return s->l2.vmcb->exit_code == EXIT_VMMCALL;
}

static void flush(struct setting *s)
{
	setting_flush(s, 0, 0);
}

static void begin(struct setting *s, const char *name)
{
	*s = (struct setting){ 0 };
	setting_make(s, NESTED_4, L2_FLAT);
	nested_map(&s->nested, SCRATCH, frame_of(0), 1, ENTRY_ALL);
	report_begin(name);
}

/* --- The guest can write its nested tables --------------------------------------------------- */

static void test_tables_in_guest(void)
{
	const u64 window = SCRATCH + 8 * LARGE;
	struct setting s;
	uptr table;

	begin(&s, "the guest writes its nested tables");
	table = table_of(&s, SCRATCH, 1);
	nested_map(&s.nested, window, table, 1, ENTRY_ALL);
	for (int i = 1; i < 64; i++) {
		u64 gpa = SCRATCH + i * PAGE_BYTES;

		write_quad(&s, window + 8 * i, frame_of(i) | ENTRY_ALL);
		/* It was absent: there is nothing to flush. */
		setting_check(&s, i % ACCESSES, gpa, "an entry that the guest made");
	}
	for (int i = 1; i < 64; i++) {
		u64 gpa = SCRATCH + i * PAGE_BYTES;

		write_quad(&s, window + 8 * i, frame_of(100 + i) | ENTRY_P | ENTRY_U);
		flush(&s);
		setting_check(&s, ACCESS_READ, gpa, "an entry that the guest changed");
		setting_check(&s, ACCESS_WRITE, gpa, "an entry that the guest changed");
		write_quad(&s, window + 8 * i, frame_of(100 + i) | ENTRY_ALL);
		setting_check(&s, ACCESS_WRITE, gpa, "an entry that the guest gave more rights");
	}
	report_end();
}

static void test_directory_in_guest(void)
{
	const u64 window = SCRATCH + 8 * LARGE;
	struct setting s;
	uptr other = (uptr)alloc_page();

	begin(&s, "the guest writes a nested directory");
	nested_map(&s.nested, window, table_of(&s, SCRATCH, 2), 1, ENTRY_ALL);
	setting_check(&s, ACCESS_WRITE, SCRATCH, "before");
	for (int i = 0; i < 512; i++)
		((u64 *)other)[i] = frame_of(200 + i) | ENTRY_ALL;
	for (int i = 0; i < 16; i++) {
		u64 entry = i & 1 ? other : setting_frames() | ENTRY_LARGE;

		write_quad(&s, window + 8 * (SCRATCH / LARGE % 512), entry | ENTRY_ALL);
		flush(&s);
		setting_check(&s, i % ACCESSES, SCRATCH + 3 * PAGE_BYTES, i & 1 ? "a small page" : "a large page");
		write_quad(&s, window + 8 * (SCRATCH / LARGE % 512 + 1), i & 1 ? 0 : entry | ENTRY_ALL);
		flush(&s);
		setting_check(&s, i % ACCESSES, SCRATCH + LARGE + 7 * PAGE_BYTES, "the next entry");
	}
	report_end();
}

/* --- Tables that are found in more than one place --------------------------------------------- */

/* The directory of the second GiB as its own last table: the last 2 MiB there show all the tables below it. */
static void test_self(void)
{
	const u64 window = 2 * L2_TEST - LARGE, directory_at = window + 511 * PAGE_BYTES;
	const unsigned int slot = SCRATCH / LARGE % 512;
	struct setting s;
	uptr directory, table;
	u32 value;

	begin(&s, "a directory that maps itself");
	directory = table_of(&s, SCRATCH, 2);
	table = table_of(&s, SCRATCH, 1);
	((u64 *)directory)[511] = directory | ENTRY_ALL;
	setting_check(&s, ACCESS_WRITE, SCRATCH, "before");
	if (!read_word(&s, directory_at + 8 * slot, &value) || (value & ~0xfffu) != table)
		report_wrong("the guest reads %x in the directory and not %lx", value, table);
	if (!read_word(&s, window + slot * PAGE_BYTES, &value) || (value & ~0xfffu) != frame_of(0))
		report_wrong("the guest reads %x in the table and not %lx", value, frame_of(0));
	for (int i = 1; i < 64; i++) {
		write_quad(&s, window + slot * PAGE_BYTES + 8 * i, frame_of(i) | ENTRY_ALL);
		setting_check(&s, i % ACCESSES, SCRATCH + i * PAGE_BYTES, "an entry made through the window");
	}
	if (!(((u64 *)directory)[511] & ENTRY_A) || !(((u64 *)directory)[slot] & ENTRY_D))
		report_wrong("not marked: %lx %lx", ((u64 *)directory)[511], ((u64 *)directory)[slot]);
	for (int i = 0; i < 8; i++) {
		write_quad(&s, directory_at + 8 * (slot + 1 + i),
			   (i & 1 ? table : setting_frames() | ENTRY_LARGE) | ENTRY_ALL);
		setting_check(&s, i % ACCESSES, SCRATCH + (1 + i) * LARGE + 5 * PAGE_BYTES,
			      "a directory entry made through it");
	}
	/* Its own entry goes: nothing of the window may be left. */
	s.l2.registers.rdi = directory_at + 8 * 511;
	s.l2.registers.rsi = 0;
	l2_start(&s.l2, l2_write);
	flush(&s);
	setting_check(&s, ACCESS_READ, window + slot * PAGE_BYTES, "the window");
	setting_check(&s, ACCESS_WRITE, SCRATCH, "after");
	report_end();
}

/* One table as a directory in one place and as a last table in another. */
static void test_two_levels(void)
{
	const u64 small = SCRATCH, upper = L2_TEST + 4 * BIT(30);
	uptr table = (uptr)alloc_page(), below = (uptr)alloc_page();
	struct setting s;

	begin(&s, "one table at two levels");
	s.l2 = l2_make(L2_LONG, &s.nested, 2);
	for (int i = 0; i < 512; i++)
		((u64 *)below)[i] = frame_of(i) | ENTRY_ALL;
	((u64 *)table)[0] = below | ENTRY_ALL;
	((u64 *)table)[1] = frame_of(1) | ENTRY_ALL;
	nested_set(&s.nested, small, 2, table | ENTRY_ALL);
	nested_set(&s.nested, upper, 3, table | ENTRY_ALL);
	/* The guest's own tables go there, too. */
	nested_map(&s.l2.own, upper, upper, 3, ENTRY_ALL);
	nested_map(&s.l2.own, small, small, 2, ENTRY_ALL);
	for (int i = 0; i < 48; i++) {
		u64 page = upper + i * PAGE_BYTES;

		setting_check(&s, i % ACCESSES, page, "through the directory");
		/* What is a table there is memory here. */
		write_quad(&s, small + 8 * i, frame_of(300 + i) | ENTRY_ALL);
		flush(&s);
		setting_check(&s, i % ACCESSES, page, "changed through the last table");
		setting_check(&s, i % ACCESSES, small + PAGE_BYTES, "through the last table");
	}
	nested_set(&s.nested, small, 2, 0);
	flush(&s);
	setting_check(&s, ACCESS_WRITE, small, "gone in one place");
	setting_check(&s, ACCESS_WRITE, upper, "there in the other");
	report_end();
}

/* The root of one guest is the second table of another's: each entry means something else, one level lower. */
static void test_root_and_child(void)
{
	struct setting s, lower;
	u64 gpa = setting_frames() / LARGE * PAGE_BYTES;

	begin(&s, "a root that is another root's child");
	/* Large pages become small ones, at page i the frame at i * 2 MiB: the code is at the bottom of memory. */
	memcpy((void *)0x600, l2_begin, l2_end - l2_begin);
	lower = s;
	lower.l2 = l2_make(L2_FLAT, &s.nested, 2);
	lower.nested.root = (uptr)alloc_page();
	lower.l2.vmcb->nested_cr3 = lower.nested.root;
	((u64 *)lower.nested.root)[0] = s.nested.root | ENTRY_ALL;
	for (int i = 0; i < 32; i++) {
		s.l2.vmcb->tlb_control = TLB_CONTROL_ALL;
		setting_check(&s, i % ACCESSES, SCRATCH, "by the root");
		lower.l2.vmcb->tlb_control = TLB_CONTROL_ALL;
		lower.l2.registers.rdi = gpa + FRAME_TAG;
		lower.l2.vmcb->rip = 0x600 + (l2_read - l2_begin);
		l2_resume(&lower.l2);
		if (lower.l2.vmcb->exit_code != EXIT_VMMCALL || lower.l2.registers.rdx != setting_frames())
			report_wrong("one level lower: exit %lx info %lx %lx, %lx and not %lx",
				     lower.l2.vmcb->exit_code, lower.l2.vmcb->exit_info1, lower.l2.vmcb->exit_info2,
				     lower.l2.registers.rdx, setting_frames());
		/* In turn both see what changes. */
		nested_set(&s.nested, SCRATCH, 1, frame_of(400 + i) | ENTRY_ALL);
	}
	report_end();
}

static void test_two_gpas(void)
{
	struct setting s;
	u32 value;

	begin(&s, "one frame at two addresses, and moved");
	nested_map(&s.nested, SCRATCH + PAGE_BYTES, frame_of(0), 1, ENTRY_ALL);
	for (int i = 0; i < 16; i++) {
		setting_check(&s, ACCESS_WRITE, SCRATCH, "at the first");
		if (!read_word(&s, SCRATCH + PAGE_BYTES + FRAME_WORD, &value) ||
		    value != *(u32 *)(frame_of(i) + FRAME_WORD))
			report_wrong("the second shows %x and not %x", value, *(u32 *)(frame_of(i) + FRAME_WORD));
		nested_map(&s.nested, SCRATCH, frame_of(i + 1), 1, ENTRY_ALL);
		nested_map(&s.nested, SCRATCH + PAGE_BYTES, frame_of(i + 1), 1, ENTRY_ALL);
		setting_flush(&s, i, SCRATCH + (i & 1) * PAGE_BYTES);
		if (i % 5 == 4)
			svm_invlpga(SCRATCH + !(i & 1) * PAGE_BYTES, s.l2.vmcb->asid);
	}
	report_end();
}

/* --- The guest's own tables under nested ones -------------------------------------------------- */

/* Address of an entry in a table at `table`, for the first address that is translated through it. */
static u64 entry_of_walk(struct setting *s, u64 table, int level, u64 gpa)
{
	bool wide = s->l2.own.format != NESTED_32;
	/* The guest's code comes first, where it is in the same tables. */
	u64 address = level >= 3 || level == s->l2.own.levels ? (uptr)l2_read : gpa;

	return table + (address >> nested_shift(&s->l2.own, level) & (wide ? 511 : 1023)) * (wide ? 8 : 4);
}

/* Have the guest find one of its tables at another physical address. */
static void place_table(struct setting *s, u64 gpa, int level, u64 table)
{
	u64 parent;

	if (level == s->l2.own.levels) {
		s->l2.vmcb->cr3 = table;
	} else {
		parent = nested_get(&s->l2.own, gpa, level + 1);
		nested_set(&s->l2.own, gpa, level + 1, table | (parent & ~ENTRY_ADDRESS));
	}
	flush(s);
}

/* An access through a table of the guest's in a page for which rights are missing, and once more with all of them. */
static void check_walk(struct setting *s, int level, u64 take, u64 info)
{
	u64 gpa = L2_TEST + setting_frames(), moved = L2_TEST + 200 * LARGE + level * PAGE_BYTES, entry;
	u64 table = nested_slot(&s->l2.own, gpa, level) & ENTRY_ADDRESS, at = entry_of_walk(s, moved, level, gpa);
	const struct svm_vmcb *vmcb = s->l2.vmcb;

	nested_map(&s->nested, moved, table, 1, ENTRY_ALL & ~take);
	place_table(s, gpa, level, moved);
	access_do(&s->l2, ACCESS_READ, gpa);
	info |= NPF_WALK | NPF_U | NPF_W;
	if (vmcb->exit_code != EXIT_NPF || vmcb->exit_info1 != info || vmcb->exit_info2 != at)
		report_wrong("level %d without %lx: exit %lx info %lx %lx, and not %lx %lx", level, take,
			     vmcb->exit_code, vmcb->exit_info1, vmcb->exit_info2, info, at);
	nested_map(&s->nested, moved, table, 1, ENTRY_ALL);
	access_do(&s->l2, ACCESS_READ, gpa);
	entry = nested_get(&s->nested, moved, 1);
	if (vmcb->exit_code != EXIT_VMMCALL)
		report_wrong("level %d, repaired: exit %lx info %lx %lx", level, vmcb->exit_code, vmcb->exit_info1,
			     vmcb->exit_info2);
	else if (!(entry & ENTRY_A) || !(entry & ENTRY_D))
		report_wrong("level %d: the nested entry %lx of a table is not marked by a walk", level, entry);
	place_table(s, gpa, level, table);
}

static void test_walks(enum l2_paging paging, const char *name)
{
	u64 frames = setting_frames();
	struct setting s = { 0 };

	setting_make(&s, NESTED_4, paging);
	report_begin(name);
	/* Small pages of the guest's lead there. */
	nested_set(&s.l2.own, L2_TEST + frames, 2, 0);
	nested_map(&s.l2.own, L2_TEST + frames, L2_TEST + frames, 1, ENTRY_ALL);
	nested_map(&s.nested, L2_TEST + frames, frames, 1, ENTRY_ALL);
	for (int level = 1; level <= s.l2.own.levels; level++) {
		/* The four entries at the top of the PAE format are read when the guest begins. */
		if (paging == L2_PAE && level == 3)
			continue;
		check_walk(&s, level, ENTRY_P, 0);
		check_walk(&s, level, ENTRY_W, NPF_P);
		check_walk(&s, level, ENTRY_U, NPF_P);
		check_walk(&s, level, ENTRY_W | ENTRY_U, NPF_P);
	}
	report_end();
}

/* --- What is no memory -------------------------------------------------------------------------- */

enum { APIC = 0xfee00000, APIC_VERSION = 0x30, IOAPIC = 0xfec00000, IOAPIC_WINDOW = 0x10, HPET = 0xfed00000 };

static u32 read_here(u64 address)
{
	return *(volatile u32 *)address;
}

static void check_device(struct setting *s, u64 device, u32 offset, int level, const char *what)
{
	u64 inside = device & (BIT(nested_shift(&s->nested, level)) - 1);
	u64 gpa = level == 3 ? device & (BIT(30) - 1) : inside;
	u32 value;

	gpa += level == 3 ? L2_TEST : SCRATCH + 16 * LARGE;
	nested_map(&s->nested, gpa - inside, device - inside, level, ENTRY_ALL);
	flush(s);
	for (int i = 0; i < 3; i++)
		if (!read_word(s, gpa + offset, &value) || value != read_here(device + offset))
			report_wrong("%s at level %d: %x and not %x, exit %lx info %lx %lx", what, level, value,
				     read_here(device + offset), s->l2.vmcb->exit_code, s->l2.vmcb->exit_info1,
				     s->l2.vmcb->exit_info2);
	if (!(nested_get(&s->nested, gpa, level) & ENTRY_A))
		report_wrong("%s at level %d: not marked, %lx", what, level, nested_get(&s->nested, gpa, level));
	/* Without the right to write: the hypervisor's own fault, not a device's. */
	nested_map(&s->nested, gpa - inside, device - inside, level, ENTRY_P | ENTRY_U);
	flush(s);
	s->l2.registers.rdi = gpa + offset;
	l2_start(&s->l2, l2_write);
	if (s->l2.vmcb->exit_code != EXIT_NPF ||
	    s->l2.vmcb->exit_info1 != (NPF_FINAL | NPF_P | NPF_U | NPF_W) ||
	    s->l2.vmcb->exit_info2 != gpa + offset)
		report_wrong("%s at level %d, read-only: exit %lx info %lx %lx", what, level, s->l2.vmcb->exit_code,
			     s->l2.vmcb->exit_info1, s->l2.vmcb->exit_info2);
	if (!read_word(s, gpa + offset, &value) || value != read_here(device + offset))
		report_wrong("%s at level %d, read-only: %x", what, level, value);
	nested_set(&s->nested, gpa, level, 0);
	flush(s);
	if (read_word(s, gpa + offset, &value) || s->l2.vmcb->exit_code != EXIT_NPF)
		report_wrong("%s at level %d, gone: exit %lx, %x", what, level, s->l2.vmcb->exit_code, value);
}

/*
 * Not with PAE in the guest: QEMU's emulated CPU sets A in its highest entries, where the bit is reserved; KVM, which
 * has to walk the guest's tables to emulate the access, finds that.
 */
static void test_devices(enum l2_paging paging, const char *name)
{
	struct setting s = { 0 };

	setting_make(&s, NESTED_4, paging);
	report_begin(name);
	for (int level = 1; level <= 2; level++) {
		check_device(&s, APIC, APIC_VERSION, level, "APIC");
		check_device(&s, HPET, 0, level, "HPET");
		check_device(&s, IOAPIC, IOAPIC_WINDOW, level, "I/O APIC");
		check_device(&s, 0xd0000000, 8, level, "a hole");
	}
	if (cpu_has_1g())
		check_device(&s, APIC, APIC_VERSION, 3, "APIC");
	report_end();
}

/* --- What the tables do not reach ------------------------------------------------------------------ */

/*
 * A large page of the guest's lies above 4 GiB, where nested tables of a host outside long mode translate nothing: neither
 * for the CPU nor for KVM, which carries out what the guest does with a device. The same lower bits lead to memory.
 */
static void check_beyond(enum nested_format format, const char *name)
{
	const u64 large = BIT(22), frame = frame_of(3), beyond = BIT(32) + frame, device = SCRATCH + 16 * LARGE;
	const u64 linear = 2 * L2_TEST + frame % large;
	volatile u32 *word = (volatile u32 *)(uptr)(frame + FRAME_WORD);
	struct setting s = { 0 };
	u32 before = *word;

	setting_make(&s, format, L2_32);
	report_begin(name);
	nested_set(&s.l2.own, linear, 2, (frame - frame % large) | BIT(13) | ENTRY_USED | ENTRY_LARGE);
	for (enum access access = 0; access < ACCESSES; access++) {
		struct outcome o = access_do(&s.l2, access, linear);
		u64 info = NPF_FINAL | NPF_U;

		info |= access == ACCESS_WRITE ? NPF_W : access == ACCESS_FETCH && s.nx ? NPF_FETCH : 0;
		if (o.code != EXIT_NPF || o.info1 != info || o.info2 - beyond >= PAGE_BYTES)
			report_wrong("%s: exit %lx info %lx %lx, and not info %lx at %lx", access_names[access], o.code, o.info1,
				     o.info2, info, beyond);
	}
	nested_map(&s.nested, device, APIC, 1, ENTRY_ALL);
	s.l2.registers.rsi = device + APIC_VERSION;
	s.l2.registers.rdi = linear + FRAME_WORD;
	l2_start(&s.l2, l2_copy);
	/* KVM says in info2 why it was called, and not what it found. */
	if (s.l2.vmcb->exit_code != EXIT_NPF || s.l2.vmcb->exit_info1 != (NPF_FINAL | NPF_U | NPF_W))
		report_wrong("copied from a device: exit %lx info %lx %lx", s.l2.vmcb->exit_code, s.l2.vmcb->exit_info1,
			     s.l2.vmcb->exit_info2);
	if (*word != before)
		report_wrong("memory with the same lower bits was written: %x", *word);
	report_end();
}

void test_beyond(void)
{
	check_beyond(NESTED_PAE, "addresses beyond nested tables of PAE");
	check_beyond(NESTED_32, "addresses beyond nested tables of 2 levels");
}

/* The CPU finds no table: whatever comes of it is the guest's end and not the hypervisor's. */
static void test_no_tables(void)
{
	struct setting s;

	begin(&s, "nested tables where no memory is");
	for (int level = 4; level >= 2; level--) {
		u64 entry = nested_get(&s.nested, SCRATCH, level);

		nested_set(&s.nested, SCRATCH, level, 0xd0000000 | ENTRY_ALL);
		flush(&s);
		access_do(&s.l2, ACCESS_READ, SCRATCH);
		if (s.l2.vmcb->exit_code != EXIT_NPF && s.l2.vmcb->exit_code != EXIT_SHUTDOWN)
			report_wrong("no table below level %d: exit %lx", level, s.l2.vmcb->exit_code);
		nested_set(&s.nested, SCRATCH, level, entry);
		flush(&s);
		setting_check(&s, ACCESS_WRITE, SCRATCH, "the table is back");
	}
	report_end();
}

/* --- The host's registers ------------------------------------------------------------------------ */

/* Bits of CR4 that mean nothing for accesses of guests, which are the user's; and EFER.NXE, which does. */
static void test_host_registers(void)
{
	static const u32 bits[] = { CR4_SMEP, CR4_SMAP, CR4_PGE, CR4_PCIDE, CR4_PKE, CR4_FSGSBASE };
	const bool has[] = { cpu_has_smep(), cpu_has_smap(), true, cpu_has_pcid(), cpu_has_pku(), false };
	u64 cr4 = read_cr4(), efer = rdmsr(MSR_EFER);
	struct setting s;

	begin(&s, "CR4 and EFER of the host");
	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
		if (!has[i])
			continue;
		write_cr4(cr4 | bits[i]);
		for (enum access access = 0; access < ACCESSES; access++)
			setting_check(&s, access, SCRATCH, "with a bit of CR4");
		write_cr4(cr4);
		for (enum access access = 0; access < ACCESSES; access++)
			setting_check(&s, access, SCRATCH, "without it");
	}
	nested_map(&s.nested, SCRATCH, frame_of(0), 1, ENTRY_ALL | ENTRY_NX);
	for (int i = 0; i < 12; i++) {
		s.nx = i & 1;
		wrmsr(MSR_EFER, s.nx ? efer | EFER_NXE : efer & ~(u64)EFER_NXE);
		flush(&s);
		setting_check(&s, i / 2 % ACCESSES, SCRATCH, s.nx ? "NXE" : "no NXE");
	}
	wrmsr(MSR_EFER, efer);
	s.nx = true;
	nested_map(&s.nested, SCRATCH, frame_of(0), 1, ENTRY_ALL);
	flush(&s);
	wrmsr(MSR_EFER, efer & ~(u64)EFER_NXE);
	s.nx = false;
	for (enum access access = 0; access < ACCESSES; access++)
		setting_check(&s, access, SCRATCH, "no NXE and no NX");
	wrmsr(MSR_EFER, efer);
	report_end();
}

void test_special(void)
{
	test_tables_in_guest();
	test_directory_in_guest();
	test_self();
	test_two_levels();
	test_root_and_child();
	test_two_gpas();
	test_walks(L2_LONG, "nested faults of walks, guest with 4 levels");
	test_walks(L2_PAE, "nested faults of walks, guest with PAE");
	test_walks(L2_32, "nested faults of walks, guest with 2 levels");
	test_devices(L2_FLAT, "devices, guest with no paging");
	test_devices(L2_LONG, "devices, guest with 4 levels");
	test_devices(L2_32, "devices, guest with 2 levels");
	test_no_tables();
	test_host_registers();
}
