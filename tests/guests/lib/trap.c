// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Exceptions and interrupts of a 64-bit kernel. All arrive on stacks of the interrupt stack table, whatever RSP is. */
#include "boot.h"
#include "cpu.h"
#include "percpu.h"
#include "print.h"
#include "smp.h"
#include "trap.h"

struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, flags, rsp, ss;
};

struct gate {
	u16 offset_low, selector;
	u8 stack, type;
	u16 offset_middle;
	u32 offset_high, zero;
};

struct catch {
	struct catch *outer;
	uptr rsp;
	struct trap trap;
};

enum { GATE_INTERRUPT = 0x8e, GATE_USER = 0xee, STUB_BYTES = 16 };

extern char vector_stubs[];
bool call_catching(void (*fn)(void *), void *arg, uptr *rsp);
void user_enter(u64 rip, u64 arg, u64 rsp, u64 flags, uptr *saved);
NORETURN void trap_resume(uptr rsp);
void trap_dispatch(struct frame *frame);

static struct gate idt[256] __attribute__((aligned(16)));
static void (*irq_handlers[256])(void);

void trap_init(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) pointer = { sizeof(idt) - 1, (uptr)idt };

	for (int i = 0; i < 256; i++) {
		uptr stub = (uptr)vector_stubs + STUB_BYTES * i;

		idt[i] = (struct gate){
			.offset_low = stub,
			.offset_middle = stub >> 16,
			.offset_high = stub >> 32,
			.selector = SEL_CODE64,
			.stack = i < 32 || i == VEC_USER_RETURN ? 1 : 2,
			.type = i == VEC_USER_RETURN ? GATE_USER : GATE_INTERRUPT,
		};
	}
	__asm__ volatile("lidt %0" :: "m"(pointer));
}

static NORETURN void die(const struct frame *f)
{
	print("rsp %lx flags %lx rax %lx rdi %lx cr0 %lx cr3 %lx cr4 %lx\n", f->rsp, f->flags, f->rax, f->rdi,
	      read_cr0(), read_cr3(), read_cr4());
	guest_panic("vector %lu error %lx cr2 %lx rip %lx cs %lx", f->vector, f->error, read_cr2(), f->rip, f->cs);
}

void trap_dispatch(struct frame *f)
{
	struct catch *catch = this_cpu()->catch;

	if (f->vector >= 32 && f->vector != VEC_USER_RETURN) {
		if (!irq_handlers[f->vector])
			die(f);
		irq_handlers[f->vector]();
		apic_eoi();
		return;
	}
	if (!catch)
		die(f);
	catch->trap = (struct trap){
		.vector = f->vector,
		.error = f->error,
		.cr2 = read_cr2(),
		.rip = f->rip,
		.rsp = f->rsp,
		.flags = f->flags,
		.ax = f->rax,
	};
	trap_resume(catch->rsp);
}

bool trap_catch(void (*fn)(void *), void *arg, struct trap *trap)
{
	struct cpu *cpu = this_cpu();
	struct catch catch = { .outer = cpu->catch };
	bool caught;

	cpu->catch = &catch;
	write_cr2(CR2_UNUSED);
	caught = call_catching(fn, arg, &catch.rsp);
	cpu->catch = catch.outer;
	if (caught)
		*trap = catch.trap;
	return caught;
}

void user_run(u64 rip, u64 arg, u64 rsp, u64 flags, struct trap *trap)
{
	struct cpu *cpu = this_cpu();
	struct catch catch = { .outer = cpu->catch };

	cpu->catch = &catch;
	write_cr2(CR2_UNUSED);
	user_enter(rip, arg, rsp, flags | FLAGS_FIXED, &catch.rsp);
	cpu->catch = catch.outer;
	*trap = catch.trap;
}

void irq_handle(int vector, void (*handler)(void))
{
	WRITE_ONCE(irq_handlers[vector], handler);
}
