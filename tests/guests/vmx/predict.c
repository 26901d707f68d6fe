// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The manual's reading of the tables, and the comparison. It shares nothing with what builds the tables. */
#include "boot.h"
#include "report.h"
#include "predict.h"

typedef unsigned long long ull;

enum { R = 1, W = 2, X = 4 };
enum { TOP = 4 };

static char case_name[96];

void case_begin(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprint_to(case_name, sizeof(case_name), format, list);
	va_end(list);
}

/* Bits of an EPT entry that make it a misconfiguration, as far as single bits do. */
static u64 must_be_zero(int level, bool leaf)
{
	u64 bits = 0;

	for (int bit = cpu_address_bits(); bit < 52; bit++)
		bits |= BIT(bit);
	if (level == 4)
		bits |= 0xf8;
	else if (!leaf)
		bits |= 0x78;
	else
		bits |= (BIT(9 * (level - 1)) - 1) << 12;
	return bits;
}

static bool is_misconfig(u64 entry, int level, bool leaf)
{
	int rights = entry & 7, type = entry >> 3 & 7;

	if (rights == W || rights == (W | X) || (rights == X && !(vmx_ept_caps() & EPT_CAP_EXEC_ONLY)))
		return true;
	if (level == 3 && leaf && !(vmx_ept_caps() & EPT_CAP_1G))
		return true;
	if (leaf && (type == 2 || type == 3 || type == 7))
		return true;
	return entry & must_be_zero(level, leaf);
}

static void use(struct prediction *p, u64 *entry, u64 set, bool maybe)
{
	if (p->used_count < USED_MAX)
		p->used[p->used_count++] = (struct used){ entry, set, maybe };
}

/* Put gpa through the EPT for an access to it (R, W, X). */
static enum outcome translate_gpa(const struct vm *vm, u64 gpa, int wanted, struct prediction *p, u64 *hpa)
{
	bool flags = vm->eptp & EPTP_AD;
	u64 *table = (u64 *)(vm->eptp & 0xffffffffff000), *path[TOP + 1];
	int rights = R | W | X, level;
	bool leaf;

	if (!(vm->proc2 & PROC2_EPT)) {
		*hpa = gpa;
		return DONE;
	}
	p->gpa = gpa;
	for (level = TOP; ; level--) {
		u64 entry;

		path[level] = &table[gpa >> (3 + 9 * level) & 511];
		entry = *path[level];
		leaf = level == 1 || (level < 4 && (entry & 0x80));
		rights &= entry & 7;
		if (!(entry & 7))
			break;
		if (is_misconfig(entry, level, leaf))
			return MISCONFIG;
		if (leaf) {
			u64 offset = BIT(3 + 9 * level) - 1;

			*hpa = (entry & 0xffffffffff000 & ~offset) | (gpa & offset);
			break;
		}
		table = (u64 *)(entry & 0xffffffffff000);
	}
	for (int i = TOP; i >= level; i--) {
		u64 set = 0x100 | (i == level && (wanted & W) ? 0x200 : 0);

		use(p, path[i], flags && (i > level || leaf) ? set : 0, (rights & wanted) != wanted);
	}
	if ((rights & wanted) == wanted)
		return DONE;
	p->qualification = wanted | rights << 3;
	return VIOLATION;
}

/* The last step: the address that L2's own tables gave. */
static void predict_final(const struct vm *vm, enum l2_access access, u64 gpa, struct prediction *p)
{
	p->outcome = translate_gpa(vm, gpa, (int[]){ R, W, X }[access], p, &p->hpa);
	if (p->outcome == VIOLATION)
		p->qualification |= QUAL_LINEAR_VALID | QUAL_TRANSLATED;
}

void predict(const struct vm *vm, enum l2_access access, u64 linear, struct prediction *p)
{
	/* With A and D flags in the EPT, to walk is to write, and the exit shows both. */
	int walk = vm->eptp & EPTP_AD ? R | W : R;
	u64 table = vm->cr3 & 0xffffffffff000, entry, offset;
	bool writable = true, executable = true, write = access == L2_WRITE;
	u64 *path[TOP + 1];
	int level;

	*p = (struct prediction){ 0 };
	if (vm->unpaged)
		return predict_final(vm, access, linear, p);
	for (level = TOP; ; level--) {
		u64 at;

		p->outcome = translate_gpa(vm, table + (linear >> (3 + 9 * level) & 511) * 8, walk, p, &at);
		if (p->outcome == VIOLATION)
			p->qualification |= QUAL_LINEAR_VALID;
		if (p->outcome != DONE)
			return;
		path[level] = (u64 *)at;
		entry = *path[level];
		if (!(entry & 1)) {
			p->outcome = PAGE_FAULT;
			return;
		}
		writable &= entry >> 1 & 1;
		executable &= !(entry >> 63);
		if (level == 1 || (level < 4 && (entry & 0x80)))
			break;
		table = entry & 0xffffffffff000;
	}
	if ((write && !writable) || (access == L2_FETCH && !executable)) {
		p->outcome = PAGE_FAULT;
		return;
	}
	for (int i = TOP; i >= level; i--)
		use(p, path[i], 0x20 | (i == level && write ? 0x40 : 0), false);
	offset = BIT(3 + 9 * level) - 1;
	predict_final(vm, access, (entry & 0xffffffffff000 & ~offset) | (linear & offset), p);
}

void frame_fill(void *frame, u32 tag)
{
	u8 *code = frame;

	code[0] = 0xb8;				/* mov $tag, %eax; ret */
	memcpy(code + 1, &tag, 4);
	code[5] = 0xc3;
	((u64 *)frame)[1] = tag;
}

#define wrong(format, ...) report_wrong("%s: " format, case_name, __VA_ARGS__)

static void check_exit(const struct vm *vm, const struct prediction *p, u64 linear)
{
	static const u32 reasons[] = { EXIT_VMCALL, EXIT_EPT_VIOLATION, EXIT_EPT_MISCONFIG, EXIT_EXCEPTION };
	const struct vm_exit *exit = &vm->exit;
	u64 ignored = 0;

	if (exit->reason != reasons[p->outcome]) {
		wrong("exit %u qualification %llx gpa %llx, not %u %llx %llx", exit->reason, (ull)exit->qualification,
		      (ull)exit->gpa, reasons[p->outcome], (ull)p->qualification, (ull)p->gpa);
		return;
	}
	if (p->outcome != VIOLATION && p->outcome != MISCONFIG)
		return;
	if (exit->gpa != p->gpa)
		wrong("gpa %llx, not %llx", (ull)exit->gpa, (ull)p->gpa);
	if (p->outcome == MISCONFIG)
		return;
	/* An emulated CPU below may tell of a walk that writes the write only, and L0 passes on what it is told. */
	if (!(p->qualification & QUAL_TRANSLATED) && (p->qualification & QUAL_WRITE))
		ignored = QUAL_READ;
	if ((exit->qualification | ignored) != (p->qualification | ignored))
		wrong("qualification %llx, not %llx", (ull)exit->qualification, (ull)p->qualification);
	if (exit->linear != linear)
		wrong("linear address %llx, not %llx", (ull)exit->linear, (ull)linear);
}

static void check_flags(const struct prediction *p, const u64 *before)
{
	for (int i = 0; i < p->used_count; i++) {
		const struct used *used = &p->used[i];
		u64 now = READ_ONCE(*used->entry), must = before[i];
		u64 may = 0;

		/* An entry that serves several times is set by each. */
		for (int j = 0; j < p->used_count; j++) {
			if (p->used[j].entry != used->entry)
				continue;
			may |= p->used[j].set & (p->used[j].maybe ? 0x120 : ~0ull);
			must |= p->used[j].maybe ? 0 : p->used[j].set;
		}
		if ((now | may) != (must | may) || (must & ~now))
			wrong("entry at %p is %llx after %llx, not %llx", (void *)used->entry, (ull)now, (ull)before[i],
			      (ull)must);
	}
}

/* The access, unless the program that makes it cannot even be fetched; *linear is then its address. */
static void predict_all(struct vm *vm, enum l2_access access, u64 *linear, struct prediction *p)
{
	u64 program = (uptr)vm_program(vm, access);

	predict(vm, L2_FETCH, program, p);
	if (p->outcome == DONE)
		predict(vm, access, *linear, p);
	else
		*linear = program;
}

enum outcome check_access(struct vm *vm, enum l2_access access, u64 linear)
{
	static u32 written = 0x10000000;
	u64 at = linear + (access == L2_FETCH ? 0 : 8), shown = at;
	u64 before[USED_MAX], tag = 0;
	struct prediction p;

	predict_all(vm, access, &shown, &p);
	for (int i = 0; i < p.used_count; i++)
		before[i] = *p.used[i].entry;
	if (p.outcome == DONE)
		tag = *(u64 *)((p.hpa & ~0xfffull) | 8);
	if (access == L2_FETCH && vm->width == L2_16)
		tag &= 0xffff;		/* of the number in the instruction */
	vm_access(vm, access, at, access == L2_WRITE ? ++written : 0);
	check_exit(vm, &p, shown);
	check_flags(&p, before);
	if (p.outcome != DONE || vm->exit.reason != EXIT_VMCALL)
		return p.outcome;
	if (access == L2_WRITE && *(u64 *)p.hpa != written)
		wrong("%x was written, %llx is there", written, (ull)*(u64 *)p.hpa);
	else if (access == L2_WRITE)
		*(u64 *)p.hpa = tag;
	else if (vm->gpr[RAX] != tag)
		wrong("%llx was %s, not %llx", (ull)vm->gpr[RAX], access == L2_READ ? "read" : "run", (ull)tag);
	return p.outcome;
}
