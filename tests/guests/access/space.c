// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Tables of the test's own, and accesses through them. */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "oracle.h"
#include "space.h"

static u8 *target;
static u8 *table[LEVELS];
static uptr base;
static enum kind kind;
static int top;

static int entry_bytes(void)
{
	return kind == PT32 ? 4 : 8;
}

static int index_of(int level)
{
	if (kind == PT32)
		return space_address() >> (12 + 10 * (level - 1)) & 1023;
	return (u64)space_address() >> (12 + 9 * (level - 1)) & 511;
}

uptr space_address(void)
{
	return base + (uptr)target;
}

u64 space_table(int level)
{
	u64 rights = PTE_P | PTE_W | PTE_U;

	return (uptr)table[level - 1] | (kind == PAE && level == 3 ? PTE_P : rights);
}

u64 space_leaf(int level)
{
	int shift = kind == PT32 ? 12 + 10 * (level - 1) : 12 + 9 * (level - 1);
	u64 address = (u64)(uptr)target >> shift << shift;

	return address | PTE_P | PTE_W | PTE_U | (level > 1 ? PTE_PS : 0);
}

u64 space_read(int level)
{
	void *at = table[level] + index_of(level) * entry_bytes();

	return kind == PT32 ? *(volatile u32 *)at : *(volatile u64 *)at;
}

void space_write(int level, u64 value)
{
	void *at = table[level] + index_of(level) * entry_bytes();

	if (kind == PT32)
		*(volatile u32 *)at = value;
	else
		*(volatile u64 *)at = value;
}

static void make_target(void)
{
	if (!target)
		target = alloc_page();
	fetch_target(target);
}

#ifdef __x86_64__
void space_begin(struct paging *p)
{
	u64 *root = space_new();

	make_target();
	kind = p->kind;
	top = p->top;
	/* Slot 37 of a top table of four levels. */
	base = 37ull << 39;
	table[4] = (u8 *)root;
	if (top == 5) {
		table[5] = alloc_page();
		*(u64 *)table[5] = (uptr)root | PTE_P | PTE_W | PTE_U;
		/* A top entry of the test's own: the address moves up, the tables below stay. */
		base += 21ull << 48;
		table[4] = alloc_page();
	}
	for (int level = 1; level < 4; level++)
		table[level] = alloc_page();
	for (int level = top; level > 1; level--)
		space_write(level, space_table(level));
	space_write(1, space_leaf(1));
	if (top == 5)
		long_restart((uptr)table[5], read_cr4() | CR4_LA57);
	else
		long_restart((uptr)table[4], read_cr4() & ~(uptr)CR4_LA57);
}

void space_apply(const struct paging *p)
{
	uptr cr4 = read_cr4() & ~(uptr)(CR4_SMEP | CR4_SMAP | CR4_PKE);

	write_cr0((read_cr0() & ~(uptr)CR0_WP) | (p->wp ? CR0_WP : 0));
	write_cr4(cr4 | (p->smep ? CR4_SMEP : 0) | (p->smap ? CR4_SMAP : 0) | (p->pke ? CR4_PKE : 0));
	if (cpu_has_nx())
		wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & ~(u64)EFER_NXE) | (p->nxe ? EFER_NXE : 0));
	if (p->pke)
		write_pkru(p->pkru);
}
#else
static void *make_identity(void)
{
	u64 *pae = alloc_pages(5, PAGE_BYTES);
	u32 *directory = (u32 *)pae;

	if (kind == PT32) {
		for (u32 i = 0; i < 1024; i++)
			directory[i] = i << 22 | PTE_PS | PTE_W | PTE_P;
		return directory;
	}
	for (u32 i = 0; i < 4; i++)
		pae[i] = (uptr)(pae + 512 * (i + 1)) | PTE_P;
	for (u32 i = 0; i < 2048; i++)
		pae[512 + i] = (u64)i << 21 | PTE_PS | PTE_W | PTE_P;
	return pae;
}

void space_begin(struct paging *p)
{
	u8 *root;

	make_target();
	kind = p->kind;
	top = p->top;
	write_cr0(read_cr0() & ~(uptr)CR0_PG);
	root = make_identity();
	base = 0xc0000000;
	table[top] = root;
	if (kind == PAE)
		table[2] = root + 4 * PAGE_BYTES;	/* of the fourth GiB */
	table[1] = alloc_page();
	space_write(2, space_table(2));
	space_write(1, space_leaf(1));
	write_cr4((read_cr4() & ~(uptr)CR4_PAE) | CR4_PSE | (kind == PAE ? CR4_PAE : 0));
	write_cr3((uptr)root);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

void space_apply(const struct paging *p)
{
	uptr cr4 = read_cr4() & ~(uptr)(CR4_SMEP | CR4_SMAP);

	/* An A that TCG has set in a PDPTE is a reserved bit for KVM, which loads them with CR4. */
	write_cr0(read_cr0() & ~(uptr)CR0_PG);
	for (u32 i = 0; p->tcg && p->kind == PAE && i < 4; i++)
		((u64 *)table[3])[i] &= ~(u64)PTE_A;
	write_cr4(cr4 | (p->smep ? CR4_SMEP : 0) | (p->smap ? CR4_SMAP : 0));
	write_cr0((read_cr0() & ~(uptr)CR0_WP) | CR0_PG | (p->wp ? CR0_WP : 0));
	if (cpu_has_nx())
		wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & ~(u64)EFER_NXE) | (p->nxe ? EFER_NXE : 0));
}
#endif

bool space_access(const struct paging *p, struct access a, struct trap *trap)
{
	return access_try(space_address() + (a.fetch ? 0 : SPACE_WORD), a, p->smap && p->ac, trap);
}
