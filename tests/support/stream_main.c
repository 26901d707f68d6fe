/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * vmmu-machine run SECONDS [SEED]    random streams for a while: fixed seeds by turns with fresh ones; or that one alone
 * vmmu-machine replay FILE           the operations that a failure came down to
 *
 * With SHADOW=1 in the environment: streams of guests whose tables are mirrored. Each stream is a process of its own. One
 * that fails is run again with fewer and fewer operations, for SHRINK_SECONDS (30), and what is left of it is written to
 * FAILURE (vmmu-machine.failure).
 */
#include <sys/wait.h>
#include <unistd.h>
#include "stream.h"

#define OPS 2000ul
#define GUEST_OPS 20000ul
#define GUEST_AUDIT 200u

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

/* Every other seed lets threads in between single words, which takes longer. */
static struct stream_plan plan_of(uint64_t seed, bool guests)
{
	struct stream_plan plan = { .seed = seed, .ops = guests ? GUEST_OPS : OPS, .audit_every = guests ? GUEST_AUDIT : 1 };
	unsigned int configs = guests ? STREAM_GUEST_CONFIGS : STREAM_CONFIGS;

	plan.config = guests ? &stream_guest_configs[seed % configs] : &stream_configs[seed % configs];
	plan.nest_words = seed / configs % 2 ? guests ? 400 : 150 : 0;
	return plan;
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
		_exit(write(ends[1], &v, sizeof(v)) != sizeof(v));
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

static void write_failure(const struct stream_plan *plan, bool guests, const char *what)
{
	const char *name = getenv("FAILURE") ? getenv("FAILURE") : "vmmu-machine.failure";
	unsigned long left = 0;
	FILE *file = fopen(name, "w");

	if (!file)
		return;
	fprintf(file, "# %s\nseed %llu\nguests %d\nlast %lu\noperations", what, (unsigned long long)plan->seed, guests,
		plan->ops);
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
static void shrink(struct stream_plan *plan, const struct verdict *first, bool guests)
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
	write_failure(plan, guests, first->what);
	free(skip);
	free(before);
}

/* Return: operations; 0 after a failure, which has been reported. */
static unsigned long run_seed(uint64_t seed, bool guests)
{
	struct stream_plan plan = plan_of(seed, guests);
	struct verdict v = run(&plan, false);

	if (!v.failed)
		return v.done;
	printf("seed %llu fails\n", (unsigned long long)seed);
	shrink(&plan, &v, guests);
	return 0;
}

static int run_seconds(unsigned long seconds, bool guests)
{
	unsigned long ops = 0, streams = 0, done;
	time_t start = time(NULL);
	uint64_t fresh = ((uint64_t)start << 20) ^ (uint64_t)clock();

	printf("fresh seeds from %llu\n", (unsigned long long)fresh);
	for (; time(NULL) < start + (time_t)seconds || streams < 2 * STREAM_CONFIGS; streams++) {
		done = run_seed(streams % 2 ? fresh + streams : streams / 2, guests);
		if (!done) {
			printf("%lu passed, 1 failed, 0 skipped\n", streams);
			return 1;
		}
		ops += done;
	}
	printf("%lu operations in %lu streams\n%lu passed, 0 failed, 0 skipped\n", ops, streams, streams);
	return 0;
}

static int replay(const char *name)
{
	unsigned long long seed;
	unsigned long last, n;
	struct stream_plan plan;
	FILE *file = fopen(name, "r");
	bool *skip;
	int guests;

	if (!file || fscanf(file, "#%*[^\n] seed %llu guests %d last %lu operations", &seed, &guests, &last) != 3) {
		fprintf(stderr, "%s is not what a failure leaves\n", name);
		return 2;
	}
	skip = malloc(last + 1);
	if (!skip)
		abort();
	memset(skip, true, last + 1);
	while (fscanf(file, "%lu", &n) == 1)
		if (n <= last)
			skip[n] = false;
	fclose(file);
	plan = plan_of(seed, guests);
	plan.ops = last;
	plan.skip = skip;
	stream_follow(&plan);
	free(skip);
	printf("1 passed, 0 failed, 0 skipped\n");
	return 0;
}

int main(int argc, char **argv)
{
	bool guests = getenv("SHADOW") && atoi(getenv("SHADOW"));

	if (argc == 3 && !strcmp(argv[1], "replay"))
		return replay(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "run")) {
		unsigned long ops = run_seed(strtoull(argv[3], NULL, 0), guests);

		printf("%lu operations\n%s\n", ops, ops ? "1 passed, 0 failed, 0 skipped" : "0 passed, 1 failed, 0 skipped");
		return !ops;
	}
	if (argc == 3 && !strcmp(argv[1], "run"))
		return run_seconds(strtoul(argv[2], NULL, 0), guests);
	fprintf(stderr, "usage: %s run SECONDS [SEED] | replay FILE\n", argv[0]);
	return 2;
}
