/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a seed stands for: which machine, what guests, how much of it, how often everything is looked at. */
#ifndef TESTS_SUPPORT_STREAM_PLAN_H
#define TESTS_SUPPORT_STREAM_PLAN_H

#include "stream.h"

/*
 * Odd seeds are streams of guests whose tables are mirrored. The first seeds take the configurations in turn, later ones vary
 * them. Every other round lets threads in between single words, which takes longer. Everything is looked at after each
 * operation in one stream of four; the others go further in the same time.
 */
static inline struct stream_plan stream_plan_of(uint64_t seed)
{
	bool guests = seed % 2, often;
	unsigned int configs = guests ? STREAM_GUEST_CONFIGS : STREAM_CONFIGS;
	uint64_t n = seed / 2, round = n / configs;
	struct stream_plan plan = { .seed = seed, .guests = guests };

	plan.config = guests ? stream_guest_configs[n % configs] : stream_configs[n % configs];
	if (round >= 2)
		stream_vary(&plan.config, seed);
	plan.nest_words = round % 2 ? guests ? 400 : 150 : 0;
	often = (n + round) % 4 == 0;
	plan.audit_every = guests ? (often ? 50 : 400) : often ? 1 : 40;
	plan.check_every = often ? 1 : 10;
	plan.ops = guests ? (often ? 10000 : 40000) : often ? 2000 : 20000;
	return plan;
}

#endif
