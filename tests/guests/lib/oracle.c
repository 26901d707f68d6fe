// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Accesses, and the tables read as slowly as can be. */
#include "cpu.h"
#include "memory.h"
#include "oracle.h"
#include "print.h"
#include "report.h"

struct word {
	uptr address, value;
};

void fetch_target(void *frame)
{
	static const u8 code[] = { 0xcd, VEC_USER_RETURN };	/* int */

	memcpy(frame, code, sizeof(code));
}

static void do_read(void *at)
{
	struct word *word = at;

	word->value = *(volatile uptr *)word->address;
}

static void do_write(void *at)
{
	struct word *word = at;

	*(volatile uptr *)word->address = word->value;
}

static void do_fetch(void *at)
{
	struct word *word = at;

	((void (*)(void))word->address)();
}

static bool supervisor_access(struct word *word, struct access a, bool ac, struct trap *trap)
{
	bool caught;

	if (ac)
		stac();
	caught = trap_catch(a.fetch ? do_fetch : a.write ? do_write : do_read, word, trap);
	if (ac)
		clac();
	return !caught || trap->vector == VEC_USER_RETURN;
}

#ifdef __x86_64__
extern char oracle_user_read[], oracle_user_write[];
__asm__(".pushsection .text\n"
	"oracle_user_read: mov (%rdi), %rax\n mov (%rax), %rax\n mov %rax, 8(%rdi)\n int $0x80\n"
	"oracle_user_write: mov (%rdi), %rax\n mov 8(%rdi), %rcx\n mov %rcx, (%rax)\n int $0x80\n"
	".popsection");

static bool user_access(struct word *word, struct access a, struct trap *trap)
{
	char *code = a.write ? oracle_user_write : oracle_user_read;

	user_run(a.fetch ? word->address : user_alias(code), user_alias(word), 0, 0, trap);
	return trap->vector == VEC_USER_RETURN;
}
#else
static bool user_access(struct word *word, struct access a, struct trap *trap)
{
	(void)word, (void)a, (void)trap;
	guest_panic("no ring 3 in 32 bits");
}
#endif

static bool word_access(struct word *word, struct access a, bool ac, struct trap *trap)
{
	return a.user ? user_access(word, a, trap) : supervisor_access(word, a, ac, trap);
}

bool access_try(uptr address, struct access access, bool ac, struct trap *trap)
{
	struct word word = { address, address };

	return word_access(&word, access, ac, trap);
}

struct paging paging_now(void)
{
	uptr cr0 = read_cr0(), cr4 = read_cr4();
	u64 efer = cpu_has_nx() ? rdmsr(MSR_EFER) : 0;
	struct paging p = {
		.wp = cr0 & CR0_WP, .nxe = efer & EFER_NXE, .smep = cr4 & CR4_SMEP, .smap = cr4 & CR4_SMAP,
		.pke = cr4 & CR4_PKE, .no_pse = !(cr4 & CR4_PSE), .pse36 = cpu_has_pse36(), .gigabyte = cpu_has_1g(),
		.address_bits = cpu_address_bits(), .off = !(cr0 & CR0_PG),
		.tcg = tcg_walks(),
	};

	p.kind = efer & EFER_LMA ? PT64 : cr4 & CR4_PAE ? PAE : PT32;
	p.top = p.kind == PT64 ? (cr4 & CR4_LA57 ? 5 : 4) : p.kind == PAE ? 3 : 2;
	if (p.pke)
		p.pkru = read_pkru();
	return p;
}

static uptr entry_place(const struct paging *p, u64 table, uptr address, int level)
{
	if (p->kind == PT32)
		return table + 4 * (address >> (12 + 10 * (level - 1)) & 1023);
	return table + 8 * ((u64)address >> (12 + 9 * (level - 1)) & 511);
}

static u64 load_entry(const struct paging *p, u64 table, uptr address, int level)
{
	uptr place = entry_place(p, table, address, level);

	return p->kind == PT32 ? READ_ONCE(*(u32 *)place) : READ_ONCE(*(u64 *)place);
}

/* True if an entry serves at more than one level of this way. */
static bool entry_serves_twice(const struct paging *p, uptr address, const u64 *entry)
{
	u64 mask = p->kind == PT32 ? 0xfffff000 : PTE_ADDRESS, table = read_cr3() & mask;
	uptr place[LEVELS] = { 0 };

	for (int level = p->top; level && p->kind == PT64; level--) {
		place[level] = entry_place(p, table, address, level);
		for (int above = p->top; above > level; above--) {
			if (place[above] == place[level])
				return true;
		}
		if (!(entry[level] & PTE_P) || (entry[level] & PTE_PS))
			return false;
		table = entry[level] & mask;
	}
	return false;
}

void entries_of(const struct paging *p, uptr address, u64 *entry)
{
	u64 table = read_cr3() & (p->kind == PAE ? 0xffffffe0 : PTE_ADDRESS);

	memset(entry, 0, LEVELS * sizeof(*entry));
	for (int level = p->top; level; level--) {
		entry[level] = load_entry(p, table, address, level);
		if (!(entry[level] & PTE_P) || model_is_leaf(p, level, entry[level]))
			return;
		if (p->kind == PT64 && (entry[level] & PTE_PS))		/* reserved: it leads nowhere */
			return;
		table = entry[level] & (p->kind == PT32 ? 0xfffff000 : PTE_ADDRESS);
	}
}

u64 leaf_address(const struct paging *p, const u64 *entry, uptr address)
{
	int level = p->top, shift;

	while (!model_is_leaf(p, level, entry[level]))
		level--;
	shift = p->kind == PT32 ? 12 + 10 * (level - 1) : 12 + 9 * (level - 1);
	if (p->kind == PT32 && level == 2)
		return (entry[2] & 0xffc00000) | (entry[2] >> 13 & 0xff) << 32 | (address & 0x3fffff);
	return (entry[level] & PTE_ADDRESS) >> shift << shift | (address & (BIT(shift) - 1));
}

static bool trap_matches(uptr address, struct outcome o, bool done, const struct trap *trap)
{
	if (!o.fault || done)
		return !o.fault && done;
	return trap->vector == VEC_PF && trap->error == o.error && trap->cr2 == address;
}

static bool memory_matches(const char *what, const struct word *word, struct access a, u64 physical, uptr before)
{
	uptr now = READ_ONCE(*(uptr *)(uptr)physical);

	if (a.write && now == word->value)
		return true;
	if (!a.write && word->value == before)
		return true;
	report_wrong("%s: %s at %lx, which is %llx: %lx, and should be %lx", what, a.write ? "write" : "read",
		     word->address, (unsigned long long)physical, a.write ? now : word->value,
		     a.write ? word->value : before);
	return false;
}

bool oracle_access(const char *what, uptr address, struct access a)
{
	struct paging p = paging_now();
	u64 entry[LEVELS], after[LEVELS], physical = address;
	struct outcome o = { .fault = false };
	struct word word = { address, 0 };
	uptr before = 0;
	struct trap trap = { 0 };
	bool done;

	if (!p.off) {
		entries_of(&p, address, entry);
		o = model_access(&p, entry, a);
	}
	if (!o.fault) {
		physical = p.off ? address : leaf_address(&p, entry, address);
		before = READ_ONCE(*(uptr *)(uptr)physical);
		word.value = a.write ? before ^ address ^ 0x5555 : ~before;
	}
	done = word_access(&word, a, false, &trap);
	if (!trap_matches(address, o, done, &trap)) {
		report_wrong("%s: %s %s at %lx wanted %s %x, got %s %u error %x cr2 %lx", what,
			     a.user ? "user" : "supervisor", a.fetch ? "fetch" : a.write ? "write" : "read", address,
			     o.fault ? "fault" : "done", o.fault ? o.error : 0, done ? "done" : "vector",
			     done ? 0 : trap.vector, done ? 0 : trap.error, done ? 0 : trap.cr2);
		return false;
	}
	if (done && !a.fetch && !memory_matches(what, &word, a, physical, before))
		return false;
	/* An entry that serves at two levels of one way gets the flags of both: not told apart here. */
	if (p.off || entry_serves_twice(&p, address, entry))
		return true;
	entries_of(&p, address, after);
	for (int level = p.top; level >= o.last; level--) {
		if (!model_flags_right(&p, level, entry[level], after[level], a, o)) {
			report_wrong("%s: %lx: level %d was %llx, is %llx", what, address, level,
				     (unsigned long long)entry[level], (unsigned long long)after[level]);
			return false;
		}
	}
	return true;
}

bool oracle_read(const char *what, uptr address)
{
	return oracle_access(what, address, (struct access){ 0 });
}

bool oracle_write(const char *what, uptr address)
{
	return oracle_access(what, address, (struct access){ .write = true });
}
