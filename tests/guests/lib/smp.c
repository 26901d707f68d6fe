// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Starting CPUs, and handing them work. */
#include "boot.h"
#include "cpu.h"
#include "percpu.h"
#include "print.h"
#include "report.h"
#include "smp.h"
#include "trap.h"

enum {
	APIC = 0xfee00000, APIC_ID = 0x20, APIC_EOI = 0xb0, APIC_SPURIOUS = 0xf0, APIC_COMMAND = 0x300,
	APIC_COMMAND_HIGH = 0x310, APIC_ENABLED = 1 << 8, COMMAND_BUSY = 1 << 12, COMMAND_ASSERT = 1 << 14,
	COMMAND_INIT = 5 << 8, COMMAND_STARTUP = 6 << 8, COMMAND_TO_OTHERS = 3 << 18,
	AP_PAGE = 0x8000, VEC_SPURIOUS = 0xff,
};

extern u64 gdt[];
extern u32 cpus_started;
extern char ap_begin[], ap_end[];
extern struct { u16 limit; u64 base; } __attribute__((packed)) gdt_pointer;
void cpu_begin(int number);

struct cpu cpus[CPUS_MAX];

static u32 apic_read(u32 at)
{
	return *(volatile u32 *)(uptr)(APIC + at);
}

static void apic_write(u32 at, u32 value)
{
	*(volatile u32 *)(uptr)(APIC + at) = value;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static void apic_command(u32 to, u32 command)
{
	while (apic_read(APIC_COMMAND) & COMMAND_BUSY)
		pause();
	apic_write(APIC_COMMAND_HIGH, to << 24);
	apic_write(APIC_COMMAND, command);
}

static void ignore(void)
{
}

/* The task state: where stacks are. */
static void load_task(int number)
{
	struct cpu *cpu = &cpus[number];
	u64 base = (uptr)cpu->tss, limit = sizeof(cpu->tss) - 1;
	u64 *descriptor = &gdt[SEL_TSS / 8 + 2 * number];

	for (int i = 0; i < 2; i++) {
		uptr top = (uptr)cpu->trap_stacks[i] + TRAP_STACK_BYTES;

		memcpy(&cpu->tss[9 + 2 * i], &top, sizeof(top));	/* interrupt stacks 1 and 2 */
		memcpy(&cpu->tss[1], &top, sizeof(top));		/* RSP0 */
	}
	cpu->tss[25] = sizeof(cpu->tss) << 16;				/* no I/O permission map */
	descriptor[0] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	descriptor[1] = base >> 32;
	__asm__ volatile("ltr %w0" :: "r"(SEL_TSS + 16 * number));
}

/* Here every CPU enters C, each with a stack of its own. */
void cpu_begin(int number)
{
	struct cpu *cpu = &cpus[number];

	if (number == 0)
		boot_copy();
	__asm__ volatile("lgdt %0" :: "m"(gdt_pointer));
	load_task(number);
	trap_init();
	if (cpu_has_nx())
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	apic_write(APIC_SPURIOUS, APIC_ENABLED | VEC_SPURIOUS);
	cpu->apic_id = apic_read(APIC_ID) >> 24;
	irq_handle(VEC_WAKE, ignore);
	if (number == 0) {
		guest_main();
		report_finish();
	}
	__atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
	for (;;) {
		while (!__atomic_load_n(&cpu->fn, __ATOMIC_ACQUIRE))
			irq_await();
		cpu->fn(cpu->arg);
		__atomic_store_n(&cpu->fn, NULL, __ATOMIC_RELEASE);
	}
}

int smp_start(void)
{
	static int started = 1;
	int wanted = boot_cpus();

	if (started > 1 || wanted == 1)
		return started;
	if (wanted > CPUS_MAX)
		guest_panic("%d CPUs, and room for %d", wanted, CPUS_MAX);
	memcpy((void *)AP_PAGE, ap_begin, ap_end - ap_begin);
	apic_command(0, COMMAND_TO_OTHERS | COMMAND_ASSERT | COMMAND_INIT);
	apic_command(0, COMMAND_TO_OTHERS | COMMAND_ASSERT | COMMAND_STARTUP | AP_PAGE >> 12);
	for (int i = 1; i < wanted; i++) {
		while (!__atomic_load_n(&cpus[i].online, __ATOMIC_ACQUIRE))
			pause();
	}
	return started = wanted;
}

int smp_cpu(void)
{
	return cpu_number();
}

void smp_run(int number, void (*fn)(void *), void *arg)
{
	smp_wait(number);
	cpus[number].arg = arg;
	__atomic_store_n(&cpus[number].fn, fn, __ATOMIC_RELEASE);
	smp_interrupt(number, VEC_WAKE);
}

void smp_wait(int number)
{
	while (__atomic_load_n(&cpus[number].fn, __ATOMIC_ACQUIRE))
		pause();
}

void smp_interrupt(int number, int vector)
{
	apic_command(cpus[number].apic_id, COMMAND_ASSERT | vector);
}
