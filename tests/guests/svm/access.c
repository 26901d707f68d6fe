// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One access of a guest: see access.h. */
#include "access.h"
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"

#define VMMCALL_CODE 0xf4d9010fu		/* and HLT */

const char *const access_names[ACCESSES] = { "read", "write", "fetch" };

uptr frames_make(size_t pages, size_t align)
{
	uptr start = (uptr)alloc_pages(pages, align);

	for (uptr at = start; at < start + pages * PAGE_BYTES; at += PAGE_BYTES) {
		*(u32 *)(at + FRAME_CODE) = VMMCALL_CODE;
		*(u32 *)(at + FRAME_TAG) = at;
	}
	return start;
}

static u64 offset_of(enum access access)
{
	static const u8 offsets[] = { FRAME_TAG, FRAME_WORD, FRAME_CODE };

	return offsets[access];
}

struct outcome access_do(struct l2 *l2, enum access access, u64 address)
{
	static const u8 *const codes[] = { l2_read, l2_write, l2_jump };
	static u32 next_value = 0x1000;
	struct svm_vmcb *vmcb = l2->vmcb;
	u32 value = __atomic_add_fetch(&next_value, 1, __ATOMIC_RELAXED);

	l2->registers.rdi = address + offset_of(access);
	l2->registers.rsi = value;
	l2->registers.rdx = 0;
	l2_start(l2, codes[access]);
	return (struct outcome){
		vmcb->exit_code, vmcb->exit_info1, vmcb->exit_info2, vmcb->rip,
		access == ACCESS_READ ? l2->registers.rdx : value,
	};
}

/* --- What the manual says ------------------------------------------------------------------- */

static u64 bits(int high, int low)
{
	return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

static bool may_be_large(const struct nested *n, int level)
{
	return level == 2 || (level == 3 && n->format >= NESTED_4 && cpu_has_1g());
}

static u64 reserved_bits(const struct nested *n, bool nx, int level, bool large)
{
	u64 reserved;

	if (n->format == NESTED_32)
		return large ? BIT(21) : 0;
	reserved = bits(n->format == NESTED_PAE ? 62 : 51, cpu_address_bits());
	if (!nx)
		reserved |= ENTRY_NX;
	if (large)
		reserved |= bits(nested_shift(n, level) - 1, 13);
	else if (level > 2)
		reserved |= ENTRY_LARGE;
	return reserved;
}

/* The four entries of the PAE format's highest table have no rights and no A bit. */
static bool has_rights(const struct nested *n, int level)
{
	return n->format != NESTED_PAE || level < 3;
}

struct expected access_expect(const struct nested *n, bool nx, u64 address, enum access access)
{
	struct expected e = { .info1 = NPF_FINAL | NPF_U };
	bool may_write = true, may_user = true, may_fetch = true;
	u64 entry = 0;

	if (access == ACCESS_WRITE)
		e.info1 |= NPF_W;
	if (access == ACCESS_FETCH && nx)
		e.info1 |= NPF_FETCH;
	for (int level = n->levels; level && !e.leaf; level--) {
		bool large;

		e.last = level;
		entry = nested_get(n, address, level);
		if (!(entry & ENTRY_P))
			return e;
		large = (entry & ENTRY_LARGE) && may_be_large(n, level);
		if (has_rights(n, level) && (entry & reserved_bits(n, nx, level, large))) {
			e.info1 |= NPF_P | NPF_RSVD;
			return e;
		}
		if (has_rights(n, level)) {
			may_write &= !!(entry & ENTRY_W);
			may_user &= !!(entry & ENTRY_U);
			may_fetch &= !(entry & ENTRY_NX);
		}
		if (level == 1 || large)
			e.leaf = level;
	}
	e.allowed = may_user && (access != ACCESS_WRITE || may_write) && (access != ACCESS_FETCH || may_fetch);
	if (!e.allowed)
		e.info1 |= NPF_P;
	e.frame = (entry & ENTRY_ADDRESS & ~(BIT(nested_shift(n, e.leaf)) - 1)) |
		  (address & (BIT(nested_shift(n, e.leaf)) - 1));
	return e;
}

/* --- What is there --------------------------------------------------------------------------- */

static void check_done(const struct outcome *o, const struct expected *e, enum access access, u64 address,
		       const char *what)
{
	u32 *frame = (u32 *)(uptr)e->frame;

	if (o->code != EXIT_VMMCALL) {
		report_wrong("%s, %s: allowed, but exit %lx info %lx %lx", what, access_names[access], o->code,
			     o->info1, o->info2);
		return;
	}
	if (access == ACCESS_READ && o->value != frame[FRAME_TAG / 4])
		report_wrong("%s, read: %x and not %x", what, o->value, frame[FRAME_TAG / 4]);
	if (access == ACCESS_WRITE && o->value != READ_ONCE(frame[FRAME_WORD / 4]))
		report_wrong("%s, write: memory has %x and not %x", what, READ_ONCE(frame[FRAME_WORD / 4]), o->value);
	if (access == ACCESS_FETCH && o->rip != address)
		report_wrong("%s, fetch: ended at %lx and not %lx", what, o->rip, address);
}

static void check_fault(const struct outcome *o, const struct expected *e, enum access access, u64 gpa,
			const char *what)
{
	u64 at = gpa + offset_of(access);

	if (o->code != EXIT_NPF || o->info1 != e->info1 || o->info2 != at)
		report_wrong("%s, %s: exit %lx info %lx %lx, and not %x %lx %lx", what, access_names[access],
			     o->code, o->info1, o->info2, EXIT_NPF, e->info1, at);
}

/*
 * A and D after an access, given the entry before. A may be set by a walk that ended in a fault, or where it has no
 * meaning.
 */
static void check_entry(const struct nested *n, const struct expected *e, enum access access, int level, u64 before,
			u64 after, const char *what)
{
	u64 wanted = before;

	if (e->allowed && has_rights(n, level) && level >= e->leaf)
		wanted |= ENTRY_A | (level == e->leaf && access == ACCESS_WRITE ? ENTRY_D : 0);
	if (!e->allowed || !has_rights(n, level))
		after = (after & ~(u64)ENTRY_A) | (before & ENTRY_A);
	if (after != wanted)
		report_wrong("%s, %s: entry of level %d is %lx and not %lx", what, access_names[access], level, after,
			     wanted);
}

bool access_check(struct l2 *l2, const struct nested *n, bool nx, enum access access, u64 address, u64 gpa,
		  const char *what)
{
	struct expected e = access_expect(n, nx, gpa, access);
	unsigned long wrongs = report_wrongs();
	u64 before[6] = { 0 };
	struct outcome o;

	for (int level = n->levels; level >= e.last; level--)
		before[level] = nested_get(n, gpa, level);
	o = access_do(l2, access, address);
	if (e.allowed)
		check_done(&o, &e, access, address, what);
	else
		check_fault(&o, &e, access, gpa, what);
	for (int level = n->levels; level >= e.last; level--)
		check_entry(n, &e, access, level, before[level], nested_get(n, gpa, level), what);
	return report_wrongs() == wrongs;
}
