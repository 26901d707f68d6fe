// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The manuals' rules, as slowly and plainly as they are written. */
#include "cpu.h"
#include "memory.h"
#include "model.h"
#include "report.h"

enum { KEY_SHIFT = 59 };

bool tcg_walks(void)
{
	return option("tcg");
}

static u64 bits(int first, int last)
{
	u64 mask = 0;

	for (int i = first; i <= last; i++)
		mask |= BIT(i);
	return mask;
}

bool model_is_leaf(const struct paging *p, int level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS) || (p->kind == PT32 && p->no_pse))
		return false;
	return level == 2 || (level == 3 && p->kind == PT64 && p->gigabyte);
}

static u64 reserved_bits(const struct paging *p, int level, u64 entry)
{
	int pse36_end = 13 + (p->address_bits < 40 ? p->address_bits - 32 : 8);
	u64 reserved;

	if (p->kind == PT32) {
		if (model_is_leaf(p, level, entry) && level == 2)
			return bits(p->pse36 ? pse36_end : 13, 21);
		return 0;
	}
	reserved = bits(p->address_bits, p->kind == PAE ? 62 : 51);
	if (!p->nxe)
		reserved |= PTE_NX;
	if (p->kind == PT64 && (level > 3 || (level == 3 && !p->gigabyte)))
		reserved |= PTE_PS;
	if (level == 2 && (entry & PTE_PS))
		reserved |= bits(13, 20);
	if (level == 3 && model_is_leaf(p, level, entry))
		reserved |= bits(13, 29);
	return reserved;
}

static u32 access_error(const struct paging *p, struct access a)
{
	u32 error = 0;

	if (a.write)
		error |= PF_W;
	if (a.user)
		error |= PF_U;
	if (a.fetch && (p->smep || (p->nxe && p->kind != PT32)))
		error |= PF_FETCH;
	return error;
}

static bool key_forbids(const struct paging *p, u64 leaf, struct access a)
{
	u32 key_rights = p->pkru >> (2 * (leaf >> KEY_SHIFT & 15)) & 3;

	if (!p->pke || p->kind != PT64 || a.fetch)
		return false;
	if (key_rights & 1)
		return true;
	return (key_rights & 2) && a.write && (a.user || p->wp);
}

/* An access to a page with these rights, of all levels together. */
static bool rights_forbid(const struct paging *p, bool writable, bool user, bool no_execute, struct access a)
{
	if (a.fetch && no_execute)
		return true;
	if (a.user)
		return !user || (a.write && !writable);
	if (a.write && !writable && p->wp)
		return true;
	if (user && a.fetch && p->smep)
		return true;
	return user && !a.fetch && p->smap && !p->ac;
}

struct outcome model_access(const struct paging *p, const u64 *entry, struct access a)
{
	struct outcome outcome = { .error = access_error(p, a) };
	bool writable = true, user = true, no_execute = false;
	int level;

	for (level = p->top;; level--) {
		bool pdpte = p->kind == PAE && level == 3;

		outcome.last = level;
		if (!(entry[level] & PTE_P)) {
			outcome.fault = true;
			return outcome;
		}
		if (pdpte)		/* Checked when CR3 was loaded, and without rights. */
			continue;
		if (entry[level] & reserved_bits(p, level, entry[level])) {
			outcome.fault = true;
			outcome.error |= p->tcg ? PF_RSVD : PF_P | PF_RSVD;
			return outcome;
		}
		writable &= !!(entry[level] & PTE_W);
		user &= !!(entry[level] & PTE_U);
		no_execute |= p->kind != PT32 && (entry[level] & PTE_NX);
		if (model_is_leaf(p, level, entry[level]))
			break;
	}
	outcome.fault = rights_forbid(p, writable, user, no_execute, a);
	if (user && key_forbids(p, entry[level], a)) {
		outcome.fault = true;
		outcome.error |= PF_PK;
	}
	outcome.error |= PF_P;
	return outcome;
}

bool model_flags_right(const struct paging *p, int level, u64 before, u64 after, struct access a, struct outcome o)
{
	if (p->kind == PAE && level == 3)
		return before == after || (p->tcg && (before | PTE_A) == after);
	if (level < o.last)
		return before == after;
	if (o.fault && p->tcg && level == 3)
		return (before | PTE_A) == (after | PTE_A);
	if (o.fault)
		return before == after || (level > o.last && (before | PTE_A) == after);
	return after == (before | PTE_A | (level == o.last && a.write ? PTE_D : 0));
}
