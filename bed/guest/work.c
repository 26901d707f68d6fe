// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The work of a guest: use processes, memory, files and the clock in ways that a wrong translation would spoil, and
 * check every result. Prints one line of summary; exits with 0 if all was as it should be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, WORDS_PER_PAGE = PAGE_BYTES / 8, WORKERS = 2 };

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* A value that depends on every bit of its input: no two places may be taken for each other. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static pid_t fork_or_die(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	return pid;
}

static void expect_exit(pid_t pid, int code)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != code)
		die("child %d ended with status %#x, not %d", pid, status, code);
}

/* Run the same work in WORKERS processes at once. */
static void in_parallel(void (*work)(int worker, long amount), long amount)
{
	pid_t workers[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		workers[i] = fork_or_die();
		if (!workers[i]) {
			work(i, amount);
			_exit(0);
		}
	}
	for (int i = 0; i < WORKERS; i++)
		expect_exit(workers[i], 0);
}

static void spawn_children(int worker, long count)
{
	for (long i = 0; i < count; i++) {
		char number[24];
		pid_t pid = fork_or_die();

		if (!pid) {
			snprintf(number, sizeof(number), "%ld", i + worker);
			execl("/proc/self/exe", "work", "child", number, NULL);
			die("exec: %s", strerror(errno));
		}
		expect_exit(pid, (i + worker) % 100);
	}
}

static void fill(uint64_t *page, uint64_t seed)
{
	for (int i = 0; i < WORDS_PER_PAGE; i++)
		page[i] = mix(seed + i);
}

static void check(const uint64_t *page, uint64_t seed, const char *when)
{
	for (int i = 0; i < WORDS_PER_PAGE; i++)
		if (page[i] != mix(seed + i))
			die("%s: %p holds %#" PRIx64 ", not %#" PRIx64, when, (void *)&page[i], page[i], mix(seed + i));
}

/* Fill all, rewrite every third page, drop every fifth, check all. */
static void use_memory(int worker, long pages)
{
	uint64_t seed = (uint64_t)(worker + 1) << 40;
	uint64_t *memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (long i = 0; i < pages; i++)
		fill(memory + i * WORDS_PER_PAGE, seed + i * WORDS_PER_PAGE);
	for (long i = 0; i < pages; i++)
		check(memory + i * WORDS_PER_PAGE, seed + i * WORDS_PER_PAGE, "memory as filled");
	for (long i = 0; i < pages; i += 3)
		fill(memory + i * WORDS_PER_PAGE, ~seed + i * WORDS_PER_PAGE);
	for (long i = 0; i < pages; i += 5)
		if (madvise(memory + i * WORDS_PER_PAGE, PAGE_BYTES, MADV_DONTNEED))
			die("madvise: %s", strerror(errno));
	for (long i = 0; i < pages; i++) {
		const uint64_t *page = memory + i * WORDS_PER_PAGE;

		if (i % 5 == 0) {
			for (int word = 0; word < WORDS_PER_PAGE; word++)
				if (page[word])
					die("dropped memory: %p holds %#" PRIx64, (void *)&page[word], page[word]);
		} else {
			check(page, (i % 3 ? seed : ~seed) + i * WORDS_PER_PAGE, "memory as rewritten");
		}
	}
}

enum { FILE_PAGES = 128 };

static void use_files(int worker, long count)
{
	uint64_t page[WORDS_PER_PAGE];
	char name[32];
	int fd;

	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d.%ld", worker, i);
		fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		for (int n = 0; n < FILE_PAGES; n++) {
			fill(page, mix(worker) + i * FILE_PAGES * WORDS_PER_PAGE + n * WORDS_PER_PAGE);
			if (write(fd, page, PAGE_BYTES) != PAGE_BYTES)
				die("write %s: %s", name, strerror(errno));
		}
		close(fd);
	}
	for (long i = 0; i < count; i++) {
		const uint64_t *mapped;

		snprintf(name, sizeof(name), "%d.%ld", worker, i);
		fd = open(name, O_RDONLY);
		mapped = mmap(NULL, FILE_PAGES * PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
		if (mapped == MAP_FAILED)
			die("mmap %s: %s", name, strerror(errno));
		for (int n = 0; n < FILE_PAGES; n++) {
			uint64_t seed = mix(worker) + i * FILE_PAGES * WORDS_PER_PAGE + n * WORDS_PER_PAGE;

			if (read(fd, page, PAGE_BYTES) != PAGE_BYTES)
				die("read %s: %s", name, strerror(errno));
			check(page, seed, "file as read");
			check(mapped + n * WORDS_PER_PAGE, seed, "file as mapped");
		}
		munmap((void *)mapped, FILE_PAGES * PAGE_BYTES);
		close(fd);
		if (unlink(name))
			die("unlink %s: %s", name, strerror(errno));
	}
}

static void move_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("no CPU %d: %s", cpu, strerror(errno));
}

/* Time must never go back, on whatever CPU it is read, and must pass while the machine sleeps. */
static void read_clock(long readings)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct timespec nap = { .tv_nsec = 200 * 1000 * 1000 };
	double before = now();

	for (long i = 0; i < readings; i++) {
		double t = now();

		if (i % 1000 == 0)
			move_to_cpu(i / 1000 % cpus);
		if (t < before)
			die("the clock went back by %g s", before - t);
		before = t;
	}
	nanosleep(&nap, NULL);
	if (now() - before < 0.2 || now() - before > 10)
		die("a nap of 0.2 s took %g s", now() - before);
	if (time(NULL) < 1577836800)
		die("the clock says it is before 2020");
	printf("%ld readings on %d CPUs in order\n", readings, cpus);
}

int main(int argc, char **argv)
{
	const char *what = argc == 3 ? argv[1] : "";
	long amount = argc == 3 ? atol(argv[2]) : 0;

	if (!strcmp(what, "child"))
		return amount % 100;
	if (!strcmp(what, "clock")) {
		read_clock(amount);
	} else if (!strcmp(what, "fork")) {
		in_parallel(spawn_children, amount / WORKERS);
		printf("%ld processes\n", amount);
	} else if (!strcmp(what, "memory")) {
		in_parallel(use_memory, amount * 256 / WORKERS);
		printf("%ld MiB filled, rewritten, dropped and checked\n", amount);
	} else if (!strcmp(what, "files")) {
		in_parallel(use_files, amount / WORKERS);
		printf("%ld files of %d KiB written and checked\n", amount, FILE_PAGES * PAGE_BYTES / 1024);
	} else {
		die("usage: work fork|memory|files|clock AMOUNT");
	}
	return 0;
}
