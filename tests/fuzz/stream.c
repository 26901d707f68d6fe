/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The operations of the streams (tests/support/stream.h), chosen by libFuzzer: one byte for the machine, one for what gets in
 * between, then four for each operation, the first of which says which one. Everything is looked at in the end and now and
 * then; a broken rule aborts.
 */
#include <stddef.h>
#include "../support/stream.h"

#define OPS_MAX 96u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream_plan plan = { .audit_every = 16, .check_every = 1, .small = true };

	if (size < 6)
		return 0;
	plan.guests = data[0] & 1;
	plan.config = plan.guests ? stream_guest_configs[(data[0] >> 1) % STREAM_GUEST_CONFIGS] :
				    stream_configs[(data[0] >> 1) % STREAM_CONFIGS];
	plan.nest_words = data[1] & 1 ? 150 : 0;
	plan.seed = data[0] | (uint64_t)data[1] << 8;
	plan.script = data + 2;
	plan.ops = (size - 2) / 4 < OPS_MAX ? (size - 2) / 4 : OPS_MAX;
	stream_follow(&plan);
	return 0;
}
