/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * vmmu-machine run SECONDS [-j JOBS] [-n OPERATIONS]    random streams for a while, and until there were so many
 *                                                       operations: fixed seeds by turns with fresh ones
 * vmmu-machine run SECONDS SEED                         that one alone
 * vmmu-machine replay FILE [--trace] [--graph]          the operations that a failure came down to; in words; with
 *                                                       FILE.svg, the tables where it ended
 *
 * Streams of guests whose tables are mirrored and of guests on direct tables take turns. Each stream is a process of its
 * own. One that fails is run again with fewer and fewer operations, for SHRINK_SECONDS (30), and what is left of it is
 * written to FAILURE (vmmu-machine.failure).
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stream.h"
#include "stream_plan.h"
#include "graph.h"

/* Built to be measured: what a process has counted is written before it ends without a word. */
#ifdef MACHINE_COVERAGE
void __gcov_dump(void);
#else
static void __gcov_dump(void) { }
#endif

/* How a stream ended. */
struct verdict {
	bool failed;
	unsigned long done;		/* operations, or the number of the one that failed */
	char what[64];			/* the beginning of what was wrong */
};

static int tell_to;

static void tell(const struct stream *s, const char *what)
{
	struct verdict v = { .failed = true, .done = s->ops };

	strncpy(v.what, what, sizeof(v.what) - 1);
	if (write(tell_to, &v, sizeof(v)) != sizeof(v))
		_exit(2);
}

static struct verdict run(const struct stream_plan *plan, bool quiet)
{
	struct verdict v = { .failed = true, .what = "it died" };
	int ends[2], status;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) || (pid = fork()) < 0)
		abort();
	if (!pid) {
		close(ends[0]);
		tell_to = ends[1];
		stream_tell = tell;
		if (quiet && !freopen("/dev/null", "w", stderr))
			_exit(2);
		v = (struct verdict){ .done = stream_follow(plan) };
		status = write(ends[1], &v, sizeof(v)) != sizeof(v);
		__gcov_dump();
		_exit(status);
	}
	close(ends[1]);
	/* A stream that dies without a word has failed, too. */
	if (read(ends[0], &v, sizeof(v)) != sizeof(v))
		v = (struct verdict){ .failed = true, .done = plan->ops, .what = "it died" };
	close(ends[0]);
	waitpid(pid, &status, 0);
	v.failed |= status != 0;
	return v;
}

/* --- Fewer operations ------------------------------------------------------------------------------ */

static bool fails_alike(const struct stream_plan *plan, const struct verdict *first)
{
	struct verdict v = run(plan, true);

	return v.failed && !strncmp(v.what, first->what, 16);
}

static void write_failure(const struct stream_plan *plan, const char *what)
{
	const char *name = getenv("FAILURE") ? getenv("FAILURE") : "vmmu-machine.failure";
	unsigned long left = 0;
	FILE *file = fopen(name, "w");

	if (!file)
		return;
	fprintf(file, "# %s\nseed %llu\nlast %lu\noperations", what, (unsigned long long)plan->seed, plan->ops);
	for (unsigned long n = 1; n <= plan->ops; n++)
		if (!plan->skip[n]) {
			fprintf(file, " %lu", n);
			left++;
		}
	fprintf(file, "\n");
	fclose(file);
	printf("%lu operations are left of it: %s replays them\n", left, name);
}

/* Leave out as large parts as can be, then smaller ones. */
static void shrink(struct stream_plan *plan, const struct verdict *first)
{
	time_t end = time(NULL) + (getenv("SHRINK_SECONDS") ? atoi(getenv("SHRINK_SECONDS")) : 30);
	bool *skip = calloc(plan->ops + 1, sizeof(*skip)), *before = calloc(plan->ops + 1, sizeof(*skip));

	if (!skip || !before)
		abort();
	if (first->done && first->done < plan->ops)
		plan->ops = first->done;
	plan->skip = skip;
	for (unsigned long part = plan->ops / 2; part && time(NULL) < end; part /= 2)
		for (unsigned long n = 1; n < plan->ops && time(NULL) < end; n += part) {
			memcpy(before, skip, plan->ops + 1);
			for (unsigned long i = n; i < n + part && i < plan->ops; i++)
				skip[i] = true;
			if (memcmp(before, skip, plan->ops + 1) && !fails_alike(plan, first))
				memcpy(skip, before, plan->ops + 1);
		}
	write_failure(plan, first->what);
	free(skip);
	free(before);
}

/* Return: operations; 0 after a failure, which has been reported. */
static unsigned long run_seed(uint64_t seed)
{
	struct stream_plan plan = stream_plan_of(seed);
	struct verdict v = run(&plan, false);

	if (!v.failed)
		return v.done;
	printf("seed %llu fails\n", (unsigned long long)seed);
	shrink(&plan, &v);
	return 0;
}

/* --- Many streams ---------------------------------------------------------------------------------- */

/* What all jobs work on. Atomic. */
struct work {
	unsigned long next, streams, ops, failed;
};

/* Every way to configure a machine twice at least, by a fixed seed and by a fresh one. */
#define STREAMS_MIN (4ul * (STREAM_GUEST_CONFIGS > STREAM_CONFIGS ? STREAM_GUEST_CONFIGS : STREAM_CONFIGS))

static bool is_done(const struct work *w, time_t end, unsigned long least)
{
	return __atomic_load_n(&w->failed, __ATOMIC_RELAXED) ||
	       (time(NULL) >= end && __atomic_load_n(&w->next, __ATOMIC_RELAXED) >= STREAMS_MIN &&
		__atomic_load_n(&w->ops, __ATOMIC_RELAXED) >= least);
}

static void work_on(struct work *w, time_t end, unsigned long least, uint64_t fresh)
{
	while (!is_done(w, end, least)) {
		unsigned long n = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
		unsigned long done = run_seed(n % 2 ? fresh + n / 2 : n / 2);

		__atomic_fetch_add(done ? &w->streams : &w->failed, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&w->ops, done, __ATOMIC_RELAXED);
	}
}

static int run_for(unsigned long seconds, unsigned int jobs, unsigned long least)
{
	struct work *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	time_t start = time(NULL);
	uint64_t fresh = ((uint64_t)start << 20) ^ (uint64_t)clock();

	if (w == MAP_FAILED)
		abort();
	printf("fresh seeds from %llu\n", (unsigned long long)fresh);
	fflush(stdout);
	for (unsigned int job = 1; job < jobs; job++)
		if (!fork()) {
			work_on(w, start + (time_t)seconds, least, fresh);
			fflush(stdout);
			_exit(0);
		}
	work_on(w, start + (time_t)seconds, least, fresh);
	while (wait(NULL) > 0)
		;
	printf("%lu operations in %lu streams, %ld seconds\n", w->ops, w->streams, (long)(time(NULL) - start));
	printf("%lu passed, %lu failed, 0 skipped\n", w->streams, w->failed);
	return w->failed != 0;
}

/* --- One again --------------------------------------------------------------------------------------- */

static const char *graph_name;

/* What other threads do in between is further in. */
static void say(const char *what)
{
	static unsigned long last;

	if (stream_now && stream_now->ops != last) {
		last = stream_now->ops;
		printf("%lu (%s)\n", last, stream_now->op);
	}
	printf("%*s%s\n", stream_now ? 2 + 8 * (int)stream_now->depth : 2, "", what);
}

static void draw(const struct stream *s)
{
	/* What is taken down after the end says nothing. */
	machine_sayer = NULL;
	if (graph_name)
		graph_write(&s->m, graph_name);
}

static void tell_and_draw(const struct stream *s, const char *what)
{
	(void)what;
	draw(s);
}

/* Fills @plan but for what a seed says already. Return: false if the file is not what a failure leaves. */
static bool read_failure(const char *name, struct stream_plan *plan)
{
	FILE *file = fopen(name, "r");
	unsigned long long seed;
	unsigned long last, n;
	bool *skip;

	if (!file)
		return false;
	if (fscanf(file, "#%*[^\n] seed %llu last %lu operations", &seed, &last) != 2 || !(skip = malloc(last + 1))) {
		fclose(file);
		return false;
	}
	memset(skip, true, last + 1);
	while (fscanf(file, "%lu", &n) == 1)
		if (n <= last)
			skip[n] = false;
	fclose(file);
	*plan = stream_plan_of(seed);
	plan->ops = last;
	plan->skip = skip;
	return true;
}

static int replay(const char *name, bool trace, bool graph)
{
	struct stream_plan plan;
	char svg[512];

	if (!read_failure(name, &plan)) {
		fprintf(stderr, "%s is not what a failure leaves\n", name);
		return 2;
	}
	snprintf(svg, sizeof(svg), "%s.svg", name);
	graph_name = graph ? svg : NULL;
	stream_tell = tell_and_draw;
	plan.at_end = draw;
	machine_sayer = trace ? say : NULL;
	/* A failure aborts. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	stream_follow(&plan);
	free((void *)plan.skip);
	printf("1 passed, 0 failed, 0 skipped\n");
	return 0;
}

static int usage(const char *program)
{
	fprintf(stderr, "usage: %s run SECONDS [-j JOBS] [-n OPERATIONS] | run SECONDS SEED | replay FILE [--trace] [--graph]\n",
		program);
	return 2;
}

int main(int argc, char **argv)
{
	unsigned long least = 0, jobs = 1, ops;
	bool trace = false, graph = false;
	int n = 3;

	if (argc < 3)
		return usage(argv[0]);
	if (!strcmp(argv[1], "replay")) {
		for (; n < argc; n++) {
			trace |= !strcmp(argv[n], "--trace");
			graph |= !strcmp(argv[n], "--graph");
		}
		return replay(argv[2], trace, graph);
	}
	if (strcmp(argv[1], "run"))
		return usage(argv[0]);
	if (argc == 4) {
		ops = run_seed(strtoull(argv[3], NULL, 0));
		printf("%lu operations\n%s\n", ops, ops ? "1 passed, 0 failed, 0 skipped" : "0 passed, 1 failed, 0 skipped");
		return !ops;
	}
	for (; n + 1 < argc; n += 2) {
		if (!strcmp(argv[n], "-j"))
			jobs = strtoul(argv[n + 1], NULL, 0);
		else if (!strcmp(argv[n], "-n"))
			least = strtoul(argv[n + 1], NULL, 0);
		else
			return usage(argv[0]);
	}
	return run_for(strtoul(argv[2], NULL, 0), (unsigned int)jobs, least);
}
