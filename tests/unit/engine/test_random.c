/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The direct engine, in every format of entries, against the memslots and the host's memory: random operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../support/stream.h"

/* Fixed seeds, and one that is new each time; a failure prints it. */
static void test_streams(void **state)
{
	const unsigned int config = (unsigned int)(uintptr_t)*state;

	stream_run(&stream_configs[config], config, 0, 600, 1);
	stream_run(&stream_configs[config], config + 8, 150, 400, 1);
	stream_run(&stream_configs[config], ((uint64_t)time(NULL) << 20) + config, config % 2 ? 150 : 0, 300, 1);
}

#define STREAM_TEST(n) { "streams of configuration " #n, test_streams, NULL, NULL, (void *)(uintptr_t)(n) }

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(0), STREAM_TEST(1), STREAM_TEST(2), STREAM_TEST(3),
		STREAM_TEST(4), STREAM_TEST(5), STREAM_TEST(6), STREAM_TEST(7),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
