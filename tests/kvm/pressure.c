// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A host that takes memory away under a running guest, in every way a Linux host has: no vCPU may ever read or write
 * through a translation that the host has revoked.
 *
 * Each page of the guest's data holds a number, and a table of floors says which. The vCPUs scan all pages without end:
 * they read the floor, the page if the floor is not 0, the floor again; if it stood still, the page must hold just that
 * number, and the vCPU writes it back to the page's second word, and a trace of its own to the third. The host changes
 * numbers as it likes (floor to 0, page, floor) and waits until it sees them written back: a read through a stale
 * translation stops the guest, a write through one never arrives.
 *
 * usage: pressure SECONDS [WAY]      for each way, or for this one
 * Prints PASS, FAIL or SKIP for each; status 1 if one failed, where it stops, and 4 if one was skipped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum {
	VCPUS = 2,
	PAGE_BYTES = 4096,
	HUGE_BYTES = 2 << 20,

	/* Guest-physical layout; the first HUGE_BYTES are left alone by the host. */
	ROOT_GPA = 0x1000,		/* three levels of 4 KiB, each table below the one above */
	CODE_GPA = 0x10000,
	CONTROL_GPA = 0x20000,
	DATA_GPA = 2 * HUGE_BYTES,
	DATA_PAGES = 1024,
	DATA_BYTES = DATA_PAGES * PAGE_BYTES,

	STALE_PORT = 0x10,
	STRIDE = 8,
	PATIENCE_SECONDS = 60,
};

/* Shared between the host and the vCPUs. The guest's code knows the offsets. */
struct control {
	_Atomic uint64_t floors[DATA_PAGES];
	_Atomic uint64_t scans[VCPUS];
	_Atomic uint64_t restless;	/* a mask: which bits of its scan count a vCPU leaves in each page */
};

struct page {
	_Atomic uint64_t number, echo, trace;
	uint64_t rest[PAGE_BYTES / 8 - 3];
};

/*
 * A vCPU's endless scan. rdi: control, rsi: data, r9: number of pages, r10: this vCPU's scan count,
 * r11: the mask on it.
 * Loads stay in order on x86: floor, page, floor.
 */
extern const char guest_code[], guest_code_end[];
asm(".pushsection .rodata\n"
    "guest_code:\n"
    "	xor %ecx, %ecx\n"
    "	mov %rsi, %r8\n"
    "1:	mov (%rdi,%rcx,8), %rax\n"
    "	test %rax, %rax\n"
    "	jz 2f\n"
    "	mov (%r8), %rdx\n"
    "	mov (%rdi,%rcx,8), %rbx\n"
    "	cmp %rax, %rbx\n"
    "	jne 2f\n"
    "	cmp %rax, %rdx\n"
    "	jne 3f\n"
    "	mov %rax, 8(%r8)\n"
    "	mov (%r10), %rax\n"
    "	and (%r11), %rax\n"
    "	mov %rax, 16(%r8)\n"
    "2:	add $4096, %r8\n"
    "	inc %rcx\n"
    "	cmp %r9, %rcx\n"
    "	jb 1b\n"
    "	incq (%r10)\n"
    "	jmp guest_code\n"
    "3:	out %al, $0x10\n"
    "	hlt\n"
    "guest_code_end:\n"
    ".popsection\n");

static int kvm, vm;
static pthread_t threads[VCPUS];
static _Atomic int thread_ids[VCPUS];
static _Atomic long refusals[VCPUS];
static char *low;
static struct control *control;
static struct page *data;
static uint64_t round_number;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	printf("FAIL ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static int must(int result, const char *what)
{
	if (result < 0)
		die("%s: %s", what, strerror(errno));
	return result;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static long read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	long value = -1;

	if (file && fscanf(file, "%ld", &value) != 1)
		value = -1;
	if (file)
		fclose(file);
	return value;
}

/* What a guest that stands still does. */

static void show_file(const char *path)
{
	char line[200];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		printf("  %s: %s%s", path, line, strchr(line, '\n') ? "" : "\n");
	if (file)
		fclose(file);
}

/* How busy the threads are, and where they sleep. */
static void show_threads(void)
{
	char path[100];

	for (int id = 0; id < VCPUS; id++) {
		printf("  vCPU %d: %ld scans, KVM_RUN was refused %ld times\n", id, (long)control->scans[id], refusals[id]);
		snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", thread_ids[id]);
		show_file(path);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stack", thread_ids[id]);
		show_file(path);
	}
}

/* What KVM counts of this VM. */
static void show_counts(void)
{
	static const char *const counts[] = {
		"pf_taken", "pf_fixed", "pf_spurious", "exits", "irq_exits", "remote_tlb_flush",
	};
	char pattern[100];
	glob_t found;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/kvm/%d-*/%s", getpid(), counts[i]);
		if (!glob(pattern, 0, NULL, &found))
			show_file(found.gl_pathv[0]);
		globfree(&found);
	}
}

/* KVM_RUN returns, no more. */
static void wake_up(int signal)
{
	(void)signal;
}

/* Called by the vCPU's thread. */
static void tell_place(int id, int vcpu)
{
	struct kvm_regs regs;

	if (!ioctl(vcpu, KVM_GET_REGS, &regs))
		printf("  vCPU %d: rip %#llx, page %lld, rax %#llx, rdx %#llx\n", id, regs.rip, regs.rcx, regs.rax, regs.rdx);
}

static void show_standstill(void)
{
	printf("What the vCPUs do, twice, a second apart:\n");
	for (int i = 0; i < 2; i++) {
		show_threads();
		show_counts();
		for (int id = 0; id < VCPUS; id++)
			pthread_kill(threads[id], SIGUSR1);
		sleep(1);
	}
}

/* The guest. */

static void *map_aligned(size_t bytes)
{
	char *all = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return (void *)(((uintptr_t)all + HUGE_BYTES - 1) & -(uintptr_t)HUGE_BYTES);
}

static void add_slot(int slot, uint64_t gpa, void *memory, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};

	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

/* The guest's own tables map all data one to one, in pages of 2 MiB. */
static void build_tables(void)
{
	uint64_t *root = (uint64_t *)(low + ROOT_GPA);

	root[0] = (ROOT_GPA + 0x1000) | 7;
	root[512] = (ROOT_GPA + 0x2000) | 7;
	for (uint64_t i = 0; i < 512; i++)
		root[1024 + i] = (i * HUGE_BYTES) | 0x87;
}

static void enter_long_mode(int vcpu)
{
	struct kvm_segment code = { .limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
	struct kvm_segment stack = { .limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };
	struct kvm_sregs sregs;

	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cr3 = ROOT_GPA;
	sregs.cr4 = 1 << 5;
	sregs.cr0 = 0x80010033;
	sregs.efer = 0x500;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = stack;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

static void *run_vcpu(void *argument)
{
	int id = (intptr_t)argument;
	int vcpu = must(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
	struct kvm_run *run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	struct kvm_regs regs = {
		.rip = CODE_GPA,
		.rflags = 2,
		.rdi = CONTROL_GPA,
		.rsi = DATA_GPA,
		.r9 = DATA_PAGES,
		.r10 = CONTROL_GPA + offsetof(struct control, scans[id]),
		.r11 = CONTROL_GPA + offsetof(struct control, restless),
	};

	enter_long_mode(vcpu);
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	thread_ids[id] = gettid();
	for (;;) {
		/* EFAULT: the page is out of reach just now, which is what some of the ways do. */
		if (!ioctl(vcpu, KVM_RUN, 0))
			break;
		if (errno != EFAULT && errno != EINTR && errno != EAGAIN)
			die("KVM_RUN: %s", strerror(errno));
		refusals[id]++;
		if (errno == EINTR)
			tell_place(id, vcpu);
	}
	must(ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == STALE_PORT)
		die("vCPU %d read %#llx from page %lld, where %#llx should be", id, regs.rdx, regs.rcx, regs.rax);
	die("vCPU %d stopped: exit reason %d at %#llx", id, run->exit_reason, regs.rip);
}

static void start_guest(void)
{
	kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	low = map_aligned(HUGE_BYTES);
	data = map_aligned(DATA_BYTES);
	control = (struct control *)(low + CONTROL_GPA);
	build_tables();
	memcpy(low + CODE_GPA, guest_code, guest_code_end - guest_code);
	add_slot(0, 0, low, HUGE_BYTES);
	add_slot(1, DATA_GPA, data, DATA_BYTES);
	signal(SIGUSR1, wake_up);
	for (intptr_t id = 0; id < VCPUS; id++)
		if (pthread_create(&threads[id], NULL, run_vcpu, (void *)id))
			die("no thread for vCPU %ld", (long)id);
}

/* What the host does between two disturbances. */

static void retract(void)
{
	for (int i = 0; i < DATA_PAGES; i++)
		control->floors[i] = 0;
}

/* Give each page a number of its own, or the same number to all. */
static void publish(int all_equal)
{
	round_number++;
	for (int i = 0; i < DATA_PAGES; i++) {
		uint64_t number = round_number << 16 | (all_equal ? 1 : i + 1);

		control->floors[i] = 0;
		data[i].number = number;
		control->floors[i] = number;
	}
}

static void await_echo(const char *way)
{
	double deadline = now() + PATIENCE_SECONDS;

	for (int i = 0; i < DATA_PAGES; i++)
		while (data[i].echo != control->floors[i]) {
			if (now() > deadline) {
				show_standstill();
				die("%s: what the vCPUs write to page %d does not arrive: %#lx, not %#lx", way, i,
				    (long)data[i].echo, (long)control->floors[i]);
			}
			usleep(100);
		}
}

static void await_scan(const char *way)
{
	double deadline = now() + PATIENCE_SECONDS;

	for (int id = 0; id < VCPUS; id++) {
		/* The scan that runs now may have begun before the disturbance. */
		uint64_t enough = control->scans[id] + 2;

		while (control->scans[id] < enough) {
			if (now() > deadline) {
				show_standstill();
				die("%s: vCPU %d makes no progress", way, id);
			}
			usleep(100);
		}
	}
}

/* Ways to take memory away. Each returns a sentence if it cannot be had here, or NULL. */

static const char *drop(void)
{
	must(madvise(data, DATA_BYTES, MADV_DONTNEED), "MADV_DONTNEED");
	return NULL;
}

static const char *drop_some(void)
{
	for (int i = round_number % STRIDE; i < DATA_PAGES; i += STRIDE)
		must(madvise(&data[i], PAGE_BYTES, MADV_DONTNEED), "MADV_DONTNEED");
	return NULL;
}

static const char *map_anew(void)
{
	if (mmap(data, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != data)
		die("mmap over the guest's memory: %s", strerror(errno));
	return NULL;
}

/* The pages go on to live elsewhere, with what they hold: only the address has lost them. */
static const char *move_away(void)
{
	static void *elsewhere;

	if (!elsewhere)
		elsewhere = map_aligned(DATA_BYTES);
	if (mremap(data, DATA_BYTES, DATA_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) == MAP_FAILED)
		die("mremap: %s", strerror(errno));
	return map_anew();
}

static const char *forbid(void)
{
	must(mprotect(data, DATA_BYTES, PROT_NONE), "mprotect");
	usleep(2000);
	must(mprotect(data, DATA_BYTES, PROT_READ), "mprotect");
	usleep(2000);
	must(mprotect(data, DATA_BYTES, PROT_READ | PROT_WRITE), "mprotect");
	return NULL;
}

/* Every page becomes copy-on-write: of what the vCPUs go on to write a child must see nothing. */
static const char *fork_child(void)
{
	static uint64_t seen[DATA_PAGES];
	int status;
	pid_t child = must(fork(), "fork");

	if (!child) {
		for (int i = 0; i < DATA_PAGES; i++)
			seen[i] = data[i].trace;
		usleep(20000);
		for (int i = 0; i < DATA_PAGES; i++)
			if (data[i].trace != seen[i])
				_exit(1);
		_exit(0);
	}
	await_scan("fork");
	if (waitpid(child, &status, 0) != child || status)
		die("fork: a vCPU wrote to a child's memory");
	return NULL;
}

static const char *page_out(void)
{
	char line[200];
	FILE *swaps = fopen("/proc/swaps", "r");
	int lines = 0;

	while (swaps && fgets(line, sizeof(line), swaps))
		lines++;
	if (swaps)
		fclose(swaps);
	if (lines < 2)
		return "no swap";
	must(madvise(data, DATA_BYTES, MADV_PAGEOUT), "MADV_PAGEOUT");
	return NULL;
}

static const char *collapse(void)
{
	/* EAGAIN and its like: the kernel may decline; split what it took on, one page in each half. */
	if (madvise(data, DATA_BYTES, MADV_COLLAPSE) && errno == EINVAL)
		return "no MADV_COLLAPSE";
	await_scan("collapse");
	for (char *huge = (char *)data; huge < (char *)data + DATA_BYTES; huge += HUGE_BYTES) {
		must(mprotect(huge, PAGE_BYTES, PROT_READ), "mprotect");
		must(mprotect(huge, PAGE_BYTES, PROT_READ | PROT_WRITE), "mprotect");
	}
	return NULL;
}

/* Pages that are equal become one, while the vCPUs only read them; their next writes part them again. */
static const char *merge(void)
{
	double deadline = now() + PATIENCE_SECONDS;
	uint64_t number = data[0].number;

	if (read_number("/sys/kernel/mm/ksm/run") != 1)
		return "KSM does not run";
	must(madvise(data, DATA_BYTES, MADV_MERGEABLE), "MADV_MERGEABLE");
	retract();
	while (read_number("/sys/kernel/mm/ksm/pages_sharing") < DATA_PAGES / 4) {
		if (now() > deadline)
			die("merge: KSM merges nothing");
		usleep(1000);
	}
	for (int i = 0; i < DATA_PAGES; i++)
		control->floors[i] = number;
	return NULL;
}

static const struct way {
	const char *name;
	const char *(*disturb)(void);
	int loses_content;	/* after it the pages hold nothing that was there before */
	int all_equal;		/* it wants pages that are equal */
} ways[] = {
	{ "drop", drop, 1, 0 },
	{ "drop-some", drop_some, 1, 0 },
	{ "map-anew", map_anew, 1, 0 },
	{ "move-away", move_away, 1, 0 },
	{ "forbid", forbid, 0, 0 },
	{ "fork", fork_child, 0, 0 },
	{ "collapse", collapse, 0, 0 },
	{ "page-out", page_out, 0, 0 },
	{ "merge", merge, 0, 1 },
};

/* One way, over and over. Returns 0 if it was skipped. */
static int press(const struct way *way, int seconds)
{
	double end = now() + seconds;
	uint64_t before = control->scans[0];
	int rounds = 0;

	control->restless = way->all_equal ? 0 : ~0ul;
	do {
		const char *refusal;

		publish(way->all_equal);
		await_echo(way->name);
		if (way->loses_content)
			retract();
		refusal = way->disturb();
		if (refusal) {
			printf("SKIP %s: %s\n", way->name, refusal);
			return 0;
		}
		/* What it left alone must still be there, to the vCPUs and to us. */
		await_scan(way->name);
		if (!way->loses_content)
			await_echo(way->name);
		publish(0);
		await_echo(way->name);
		rounds++;
	} while (now() < end);
	printf("PASS %s: %d rounds, %ld scans\n", way->name, rounds, (long)(control->scans[0] - before));
	fflush(stdout);
	return 1;
}

int main(int argc, char **argv)
{
	int seconds = argc == 2 || argc == 3 ? atoi(argv[1]) : 0;
	int status = 0;

	if (seconds <= 0)
		die("usage: pressure SECONDS [WAY]");
	start_guest();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if ((argc == 2 || !strcmp(argv[2], ways[i].name)) && !press(&ways[i], seconds))
			status = 4;
	return status;
}
