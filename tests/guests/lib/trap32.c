// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Where 32-bit C begins, and its exceptions. One CPU, ring 0: they arrive on the stack in use. */
#include "boot.h"
#include "cpu.h"
#include "print.h"
#include "report.h"
#include "trap.h"

struct frame {
	u32 di, si, bp, sp, bx, dx, cx, ax;
	u32 vector, error, ip, cs, flags;
};

struct gate {
	u16 offset_low, selector;
	u8 zero, type;
	u16 offset_high;
};

struct catch {
	struct catch *outer;
	uptr esp;
	struct trap trap;
};

enum { GATE_INTERRUPT = 0x8e, STUB_BYTES = 16 };

extern char vector_stubs[];
bool call_catching(void (*fn)(void *), void *arg, uptr *esp);
NORETURN void trap_resume(uptr esp);
void trap_dispatch(struct frame *frame);
void start32(void);

static struct gate idt[256] __attribute__((aligned(16)));
static struct catch *innermost;

void trap_dispatch(struct frame *f)
{
	if (!innermost)
		guest_panic("vector %u error %x cr2 %lx eip %x cs %x flags %x cr0 %lx cr3 %lx cr4 %lx", f->vector,
			    f->error, read_cr2(), f->ip, f->cs, f->flags, read_cr0(), read_cr3(), read_cr4());
	innermost->trap = (struct trap){
		.vector = f->vector,
		.error = f->error,
		.cr2 = read_cr2(),
		.rip = f->ip,
		.flags = f->flags,
		.ax = f->ax,
	};
	trap_resume(innermost->esp);
}

bool trap_catch(void (*fn)(void *), void *arg, struct trap *trap)
{
	struct catch catch = { .outer = innermost };
	bool caught;

	innermost = &catch;
	write_cr2(CR2_UNUSED);
	caught = call_catching(fn, arg, &catch.esp);
	innermost = catch.outer;
	if (caught)
		*trap = catch.trap;
	return caught;
}

void trap_init(void)
{
	struct { u16 limit; u32 base; } __attribute__((packed)) pointer = { sizeof(idt) - 1, (uptr)idt };

	for (int i = 0; i < 256; i++) {
		uptr stub = (uptr)vector_stubs + STUB_BYTES * i;

		idt[i] = (struct gate){ stub, SEL_CODE32, 0, GATE_INTERRUPT, stub >> 16 };
	}
	__asm__ volatile("lidt %0" :: "m"(pointer));
}

void start32(void)
{
	boot_copy();
	trap_init();
	guest_main();
	report_finish();
}
