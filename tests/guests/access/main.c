// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Accesses through page tables with every combination of bits, against a model of the manuals.
 *
 * A case is: rights and flags of the leaf, of the entry above it, of the top; the level of the leaf; the kind of
 * access. First all combinations of leaf and access with generous entries above, and the other way round, A and D
 * thrown; then random ones. After a case the same access is made again, and sometimes an entry gets more rights
 * without a flush: then one fault with the old reason is allowed, and no more.
 *
 * Options: cases=N random ones for each setting (20000 for "full"); seed=N; full: all combinations of leaf and parent.
 */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "space.h"

enum { FLAG_RESERVED_HIGH = 6, FLAG_RESERVED_LOW, FLAG_RESERVED_SIZE, FLAGS };

struct test {
	u64 entry[LEVELS];
	int leaf;
	struct access access;
};

static struct paging paging;
static u64 random_state;
static unsigned long cases;

static u32 next_random(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return random_state >> 33;
}

/* An entry made of a rightful one and a number whose bits stand for bits of it. */
static u64 with_flags(u64 rightful, u32 flags, int level, bool leaf)
{
	static const u64 plain[] = { PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_NX };
	u64 entry = rightful & ~(u64)(PTE_P | PTE_W | PTE_U);

	for (u32 i = 0; i < ARRAY_SIZE(plain); i++) {
		if (flags & BIT(i) && (plain[i] != PTE_NX || paging.kind != PT32))
			entry |= plain[i];
	}
	if (flags & BIT(FLAG_RESERVED_HIGH) && paging.kind != PT32)
		entry |= BIT(51);
	if (flags & BIT(FLAG_RESERVED_LOW) && paging.kind != PT32 && paging.address_bits < 51)
		entry |= BIT(paging.address_bits);
	if (flags & BIT(FLAG_RESERVED_SIZE)) {
		if (leaf && level > 1)
			entry |= paging.kind == PT32 ? BIT(21) : BIT(13);
		else if (level > 3)
			entry |= PTE_PS;
	}
	if (leaf && paging.pke)
		entry |= BIT(59);
	return entry;
}

static const char *access_name(struct access a)
{
	static const char *const names[] = { "read", "write", "fetch" };

	return names[a.fetch ? 2 : a.write];
}

static void wrong(const struct test *t, const char *when, struct outcome o, bool done, const struct trap *trap)
{
	report_wrong("%s: %s %s, top %llx %llx %llx %llx: wanted %s %x, got %s %x cr2 %lx", when,
		     t->access.user ? "user" : "supervisor", access_name(t->access), (unsigned long long)t->entry[4],
		     (unsigned long long)t->entry[3], (unsigned long long)t->entry[2], (unsigned long long)t->entry[1],
		     o.fault ? "fault" : "done", o.fault ? o.error : 0, done ? "done" : "vector",
		     done ? 0 : trap->vector << 16 | trap->error, done ? 0 : trap->cr2);
}

static bool matches(struct access a, struct outcome o, bool done, const struct trap *trap)
{
	uptr address = space_address() + (a.fetch ? 0 : SPACE_WORD);

	if (!o.fault || done)
		return !o.fault && done;
	return trap->vector == VEC_PF && trap->error == o.error && trap->cr2 == address;
}

/* The access, with entries as they are; true if all is as the model says. */
static bool try_access(struct test *t, const char *when, const struct outcome *spurious)
{
	struct outcome outcome;
	struct trap trap;
	bool done;

	for (int level = 1; level <= paging.top; level++)
		t->entry[level] = space_read(level);
	outcome = model_access(&paging, t->entry, t->access);
	done = space_access(&paging, t->access, &trap);
	cases++;
	if (spurious && spurious->fault && !done && matches(t->access, *spurious, done, &trap))
		done = space_access(&paging, t->access, &trap);
	if (!matches(t->access, outcome, done, &trap)) {
		wrong(t, when, outcome, done, &trap);
		return false;
	}
	for (int level = 1; level <= paging.top; level++) {
		u64 now = space_read(level);

		if (!model_flags_right(&paging, level, t->entry[level], now, t->access, outcome)) {
			report_wrong("%s: %s %s %x: level %d was %llx, is %llx", when,
				     t->access.user ? "user" : "supervisor", access_name(t->access), outcome.error,
				     level, (unsigned long long)t->entry[level], (unsigned long long)now);
			return false;
		}
	}
	return true;
}

/* More rights for one entry, without a flush. Returns what a fault by the old rights would be. */
static struct outcome widen(struct test *t)
{
	int level = t->leaf + next_random() % (paging.top - t->leaf + 1);
	struct outcome before;
	u64 entry;

	for (int i = 1; i <= paging.top; i++)
		t->entry[i] = space_read(i);
	before = model_access(&paging, t->entry, t->access);
	if (paging.kind == PAE && level == 3)
		level = 2;
	entry = t->entry[level] | PTE_W;
	/* With SMEP, SMAP or PKE a user's page gives a supervisor less. */
	if (!paging.smep && !paging.smap && !paging.pke)
		entry |= PTE_U;
	if (paging.kind != PT32)
		entry &= ~PTE_NX;
	/* What was not present or reserved is not cached: no fault is allowed for that. */
	if (!(before.error & PF_P) || (before.error & PF_RSVD)) {
		entry |= PTE_P;
		before.fault = false;
	}
	space_write(level, entry);
	return before;
}

static void run_case(struct test *t)
{
	struct outcome before;

	for (int level = 1; level <= paging.top; level++) {
		if (space_read(level) != t->entry[level])
			space_write(level, t->entry[level]);
	}
	invlpg(space_address());
	if (!try_access(t, "first", NULL) || !try_access(t, "again", NULL))
		return;
	if (next_random() % 4 == 0) {
		before = widen(t);
		try_access(t, "wider", &before);
	}
}

/* leaf, parent, top: flags as of with_flags(). */
static void make_case(int leaf, u32 leaf_flags, u32 parent_flags, u32 top_flags, int access)
{
	struct test t = { .leaf = leaf };

	for (int level = 1; level <= paging.top; level++)
		t.entry[level] = level > leaf ? space_table(level) : space_leaf(level);
	t.entry[leaf] = with_flags(space_leaf(leaf), leaf_flags, leaf, true);
	if (leaf < paging.top && !(paging.kind == PAE && leaf == 2))
		t.entry[leaf + 1] = with_flags(space_table(leaf + 1), parent_flags, leaf + 1, false);
	if (leaf + 1 < paging.top && paging.kind == PT64)
		t.entry[paging.top] = with_flags(space_table(paging.top), top_flags, paging.top, false);
	t.access = (struct access){ .write = access % 3 == 1, .fetch = access % 3 == 2, .user = access >= 3 };
	run_case(&t);
}

enum { GENEROUS = 7, ACCESSES = sizeof(uptr) == 8 ? 6 : 3 };

/* The first setting of each way of paging goes through the entry above the leaf, too. */
static void run_systematic(int leaf, bool first, bool full)
{
	enum { A_AND_D = 0x18 };

	for (int access = 0; access < ACCESSES; access++) {
		for (u32 flags = 0; flags < BIT(FLAGS); flags++) {
			u32 reserved = flags >> FLAG_RESERVED_HIGH, chosen = flags;

			/* The full variant has them all, else A and D are thrown, and one bit is reserved at most. */
			if (!full && (flags & A_AND_D || reserved & (reserved - 1)))
				continue;
			if (!full)
				chosen |= next_random() & A_AND_D;
			make_case(leaf, chosen, GENEROUS, GENEROUS, access);
			if (first || full)
				make_case(leaf, GENEROUS, chosen, GENEROUS, access);
			for (u32 parent = 0; full && parent < BIT(FLAG_RESERVED_LOW); parent++)
				make_case(leaf, flags, parent, GENEROUS, access);
		}
	}
}

/* Flags that let most accesses pass, and sometimes break everything. */
static u32 random_flags(void)
{
	u32 flags = GENEROUS | (next_random() & 0x18);

	switch (next_random() % 8) {
	case 0:
		return flags & ~BIT(next_random() % 3);
	case 1:
		return flags | BIT(5);
	case 2:
		return flags ^ (next_random() & next_random() & 0x1ff);
	case 3:
		return next_random() & 0x3f;
	default:
		return flags;
	}
}

static void run_random(unsigned long count, int leaves)
{
	while (count--)
		make_case(1 + next_random() % leaves, random_flags(), random_flags(), random_flags(),
			  next_random() % ACCESSES);
}

static void run_setting(const char *name, struct paging setting, bool full)
{
	bool first = paging.top != setting.top;
	static const char *const kinds[] = { "32-bit", "PAE", "long" };
	int leaves = setting.kind == PT64 ? 3 : 2;
	char title[64];
	unsigned long before = cases;

	paging = setting;
	print_to(title, sizeof(title), "%s %d levels, %s", kinds[paging.kind], paging.top, name);
	report_begin(title);
	space_apply(&paging);
	for (int leaf = 1; leaf <= leaves; leaf++)
		run_systematic(leaf, first, full);
	run_random(option_number("cases", full ? 20000 : 300), leaves);
	print("  %lu accesses\n", cases - before);
	report_end();
}

static void run_paging(enum kind kind, int top, bool full)
{
	bool nx = cpu_has_nx() && kind != PT32;
	struct paging s = {
		.kind = kind, .top = top, .wp = true, .nxe = nx, .pse36 = cpu_has_pse36(), .gigabyte = cpu_has_1g(),
		.address_bits = cpu_address_bits(), .tcg = tcg_walks(),
	};

	space_begin(&s);
	run_setting("WP NXE", s, full);
	/* What other ways change is in the entries, not in the settings. */
	if (top != 4 && !full) {
		s.smap = cpu_has_smap();
		s.smep = cpu_has_smep();
		run_setting("WP NXE, SMAP and SMEP if there", s, full);
		s.wp = s.smap = s.smep = s.nxe = false;
		run_setting("nothing", s, full);
		return;
	}
	s.wp = false;
	run_setting("NXE", s, full);
	s.nxe = false;
	if (nx)
		run_setting("no WP, no NXE", s, full);
	s.nxe = nx;
	s.wp = s.smep = true;
	if (cpu_has_smep())
		run_setting("WP NXE SMEP", s, full);
	s.nxe = s.wp = false;
	if (cpu_has_smep())
		run_setting("SMEP", s, full);
	s.nxe = nx;
	s.smep = false;
	s.smap = s.wp = true;
	if (cpu_has_smap()) {
		run_setting("WP NXE SMAP", s, full);
		s.ac = true;
		run_setting("WP NXE SMAP AC", s, full);
		s.ac = s.wp = false;
		run_setting("NXE SMAP", s, full);
	}
	s.ac = s.smap = false;
	s.pke = kind == PT64;
	s.wp = true;
	if (cpu_has_pku() && s.pke) {
		s.pkru = 4;
		run_setting("WP NXE PKE, access disabled", s, full);
		s.pkru = 8;
		run_setting("WP NXE PKE, write disabled", s, full);
		s.wp = false;
		run_setting("NXE PKE, write disabled", s, full);
	}
}

void guest_main(void)
{
	bool full = option("full");

	random_state = option_number("seed", 1);
	if (!cpu_has_smep())
		report_skip("SMEP", "this CPU has none");
	if (!cpu_has_smap())
		report_skip("SMAP", "this CPU has none");
#ifdef __x86_64__
	if (!cpu_has_pku())
		report_skip("PKE", "this CPU has none");
	if (!option("5"))
		run_paging(PT64, 4, full);
	if (!cpu_has_la57())
		report_skip("5 levels", "this CPU has 4");
	else if (!option("4"))
		run_paging(PT64, 5, full);
#else
	run_paging(PT32, 2, full);
	run_paging(PAE, 3, full);
#endif
}
