// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The library's own test: what the other kernels take for granted. */
#include "boot.h"
#include "cpu.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "smp.h"
#include "trap.h"

static void undefined(void *arg)
{
	(void)arg;
	__asm__ volatile("ud2");
}

static void touch(void *address)
{
	*(volatile u8 *)address = 1;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void nest(void *result)
{
	*(bool *)result = trap_catch(undefined, NULL, &(struct trap){ 0 });
	undefined(NULL);
}

static void test_catch(void)
{
	struct trap trap = { 0 };
	bool inner = false;

	check(trap_catch(undefined, NULL, &trap) && trap.vector == VEC_UD, "catch #UD", "vector %u", trap.vector);
	check(trap_catch(touch, (void *)0x123456789000, &trap) && trap.vector == VEC_PF && trap.error == PF_W &&
	      trap.cr2 == 0x123456789000, "catch #PF", "vector %u error %x cr2 %lx", trap.vector, trap.error, trap.cr2);
	check(trap_catch(touch, (void *)(1ull << 60), &trap) && trap.vector == VEC_GP, "catch #GP", "vector %u",
	      trap.vector);
	check(!trap_catch(nothing, NULL, &trap), "catch nothing", "vector %u", trap.vector);
	check(trap_catch(nest, &inner, &trap) && inner, "catch nested", "vector %u", trap.vector);
}

/* Ring 3: reads what RDI points at, and returns it in RAX. */
extern char user_read[];
__asm__(".pushsection .text; user_read: mov (%rdi), %rax; int $0x80; .popsection");

static void test_user(void)
{
	static u64 value = 0x1122334455667788;
	struct trap trap;

	user_run(user_alias(user_read), user_alias(&value), 0, 0, &trap);
	check(trap.vector == VEC_USER_RETURN && trap.ax == value, "ring 3 returns", "vector %u rax %lx", trap.vector,
	      trap.ax);
	user_run(user_alias(user_read), (uptr)&value, 0, 0, &trap);
	check(trap.vector == VEC_PF && trap.error == (PF_P | PF_U) && trap.cr2 == (uptr)&value, "ring 3 faults",
	      "vector %u error %x cr2 %lx", trap.vector, trap.error, trap.cr2);
}

static void count(void *arg)
{
	__atomic_fetch_add((int *)arg, 1 << (8 * smp_cpu()), __ATOMIC_RELAXED);
}

static void test_cpus(void)
{
	int cpus = smp_start(), sum = 0;

	if (cpus == 1)
		return report_skip("CPUs run", "there is one");
	for (int turn = 0; turn < 3; turn++)
		smp_run(1, count, &sum);
	smp_wait(1);
	check(sum == 3 << 8, "CPUs run", "sum %x", sum);
}

void guest_main(void)
{
	u8 *page = alloc_page();

	print("memory to %lx, %d CPUs, command line '%s', address bits %d\n", boot_memory_end(), boot_cpus(),
	      boot_command_line(), cpu_address_bits());
	check((uptr)page % PAGE_BYTES == 0 && page[5] == 0, "pages", "at %p", page);
	test_catch();
	test_user();
	test_cpus();
}
