/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random streams for a while:  stream_main SECONDS [SEED]
 * With a seed, that stream alone, as a failure names it; without one, fixed seeds by turns with fresh ones.
 * With SHADOW=1 in the environment: streams of guests whose tables are mirrored.
 */
#include "stream.h"

#define OPS 2000ul
#define GUEST_OPS 20000ul
#define GUEST_AUDIT 200

static bool guests;

/* Every other seed lets threads in between single words, which takes longer. */
static unsigned long run(uint64_t seed)
{
	if (guests)
		return stream_run(&stream_guest_configs[seed % STREAM_GUEST_CONFIGS], seed,
				  seed / STREAM_GUEST_CONFIGS % 2 ? 400 : 0, GUEST_OPS, GUEST_AUDIT);
	return stream_run(&stream_configs[seed % STREAM_CONFIGS], seed, seed / STREAM_CONFIGS % 2 ? 150 : 0, OPS, 1);
}

int main(int argc, char **argv)
{
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 60, ops = 0, streams = 0;
	uint64_t fresh;
	time_t start = time(NULL);

	guests = getenv("SHADOW") && atoi(getenv("SHADOW"));
	if (argc > 2) {
		ops = run(strtoull(argv[2], NULL, 0));
		printf("%lu operations\n1 passed, 0 failed, 0 skipped\n", ops);
		return 0;
	}
	fresh = ((uint64_t)start << 20) ^ (uint64_t)clock();
	printf("fresh seeds from %llu\n", (unsigned long long)fresh);
	fflush(stdout);
	for (; time(NULL) < start + (time_t)seconds || streams < 2 * STREAM_CONFIGS; streams++)
		ops += run(streams % 2 ? fresh + streams : streams / 2);
	printf("%lu operations in %lu streams\n%lu passed, 0 failed, 0 skipped\n", ops, streams, streams);
	return 0;
}
