/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The state of a stream, and the VM it works on. See stream.h. */
#ifndef TESTS_SUPPORT_STREAM_STATE_H
#define TESTS_SUPPORT_STREAM_STATE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "audit.h"

#define STREAM_CONFIGS 8

/* Guests whose tables are mirrored: L1's own, and L1's nested ones. */
#define STREAM_GUEST_CONFIGS 9

static const struct machine_config stream_guest_configs[STREAM_GUEST_CONFIGS] = {
	{ .shadow = true, .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .ept = true, .ad = true, .phys_bits = 46, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .shadow = true, .phys_bits = 52, .level = 5, .huge_level_max = 3, .root_cache = 3, .prefetch = 0 },
	{ .phys_bits = 52, .level = 5, .huge_level_max = 3, .root_cache = 2, .prefetch = 16 },
	{ .ept = true, .ad = true, .exec_only = true, .pml = true, .phys_bits = 52, .level = 5, .huge_level_max = 2, .root_cache = 3, .prefetch = 0 },
	{ .shadow = true, .phys_bits = 40, .level = 4, .huge_level_max = 2, .root_cache = 1, .prefetch = 4, .encrypted = true },
	{ .ept = true, .exec_only = true, .phys_bits = 39, .l1tf_cache_bits = 39, .level = 4, .huge_level_max = 3, .root_cache = 0, .prefetch = 8 },
	{ .shadow = true, .phys_bits = 36, .l1tf_cache_bits = 36, .level = 4, .huge_level_max = 1, .root_cache = 0, .prefetch = 2 },
};

static const struct machine_config stream_configs[STREAM_CONFIGS] = {
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 16, .prefetch = 8 },
	{ .phys_bits = 52, .level = 5, .huge_level_max = 3, .root_cache = 3, .prefetch = 16 },
	{ .phys_bits = 48, .level = 4, .huge_level_max = 3, .root_cache = 1, .prefetch = 0, .encrypted = true },
	{ .ept = true,
	  .ad = true,
	  .pml = true,
	  .phys_bits = 46,
	  .l1tf_cache_bits = 46,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 16,
	  .prefetch = 8 },
	{ .ept = true,
	  .ad = true,
	  .exec_only = true,
	  .phys_bits = 39,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 2,
	  .prefetch = 4 },
	{ .ept = true,
	  .phys_bits = 46,
	  .l1tf_cache_bits = 46,
	  .level = 4,
	  .huge_level_max = 3,
	  .root_cache = 0,
	  .prefetch = 8 },
	{ .ept = true,
	  .exec_only = true,
	  .phys_bits = 52,
	  .level = 5,
	  .huge_level_max = 2,
	  .root_cache = 16,
	  .prefetch = 8 },
	{ .phys_bits = 36, .level = 4, .huge_level_max = 1, .root_cache = 16, .prefetch = 8 },
};

#define STREAM_RECENT 12

/* Another machine of the same kind: widths, levels, sizes and policy are left to chance. */
static inline void stream_vary(struct machine_config *config, uint64_t seed)
{
	uint64_t random = (seed * 0xd1342543de82ef95ull) | 1;
	uint8_t least = config->encrypted ? 37 : 36;

	config->phys_bits = (uint8_t)(least + machine_random_below(&random, 53u - least));
	config->guest_phys_bits = (uint8_t)(36 + machine_random_below(&random, config->phys_bits - 35u));
	/* A CPU with the bug keeps 5 bits apart to tell what is no memory. */
	config->l1tf_cache_bits = config->phys_bits <= 46 && machine_random_below(&random, 2) ? config->phys_bits : 0;
	config->level = (uint8_t)(4 + machine_random_below(&random, 2));
	config->huge_level_max = (uint8_t)(1 + machine_random_below(&random, 3));
	config->root_cache = (uint8_t)machine_random_below(&random, 17);
	config->prefetch = (uint8_t)((2u << machine_random_below(&random, 5)) & 31);
	if (config->ept) {
		config->ad = machine_random_below(&random, 3);
		config->exec_only = machine_random_below(&random, 2);
		config->pml = config->ad && machine_random_below(&random, 2);
	}
	config->odd_policy = machine_random_below(&random, 2);
	config->sync_patience = (uint8_t)((1u << machine_random_below(&random, 8)) - 1);
	config->write_flood = (uint8_t)machine_random_below(&random, 6);
	config->frame_leaves = (uint16_t)(VMMU_FRAME_LEAVES_MIN + machine_random_below(&random, 30));
}

struct stream {
	struct machine_vm m;
	uint64_t seed, random;
	unsigned long ops, nested;
	const char *op;
	vmmu_gfn_t hot;			/* what the operation at the top is about */
	bool busy[MACHINE_VCPUS];
	unsigned int depth;		/* of operations inside operations */
	unsigned int nest_words;	/* one in so many accesses to shared words lets another thread in; 0: none */
	struct machine_thread *others[3];
	unsigned int nest_yields, nest_left;	/* the same for yields; how often still in this operation */
	bool interfered;		/* something else ran since the operation began */
	bool starved;			/* allocations are made to fail */
	bool guests;			/* they have tables that are mirrored */
	uint64_t hot_addr;		/* the address the operation at the top is about */
	uint64_t recent[STREAM_RECENT];	/* addresses that were used not long ago */
	unsigned long injected, came_through;
};

static struct stream *stream_now;

static inline uint64_t stream_below(struct stream *s, uint64_t n)
{
	return machine_random_below(&s->random, n);
}

static inline bool stream_one_in(struct stream *s, uint64_t n)
{
	return !stream_below(s, n);
}

/* Who runs a stream to see how it ends hears what was wrong. */
static void (*stream_tell)(const struct stream *s, const char *what);

static inline void stream_bug(const char *what)
{
	struct stream *s = stream_now;

	if (stream_tell)
		stream_tell(s, what);
	fprintf(stderr, "machine: %s\n  seed %llu, operation %lu (%s), %s\n", what, (unsigned long long)s->seed, s->ops,
		s->op, machine_config_name(&s->m.config));
	abort();
}

#define STREAM_CHECK(condition) ((condition) ? (void)0 : machine_bug("%s does not hold", #condition))

/* --- The VM's memory ------------------------------------------------------------------------- */

static inline vmmu_gfn_t stream_top(const struct machine_vm *m)
{
	unsigned int bits = m->config.phys_bits - 12 < 36 ? m->config.phys_bits - 12u : 36;

	return 1ull << bits;
}

/* Slots with every kind of border: inside and at the edge of large pages, aligned with the host's and not. */
static inline void stream_slot_add(struct stream *s, int space, int id)
{
	static const struct {
		vmmu_gfn_t start;
		uint64_t frames, page;
		bool read_only;
	} slots[] = {
		{ 0x10, 0x90, 0x10, false },
		{ 0x303, 0x900, 0x1303, false },
		{ 0x3fe00, 0x40323, 0x3fe00, false },
		{ 0x100000, 0x600, 0x90001, false },
		{ 0, 0x400, 0xa0000, false },		/* ends where the tree does */
		{ 0x200000, 0x400, 0xa0400, true },
	};
	vmmu_gfn_t start = id == 4 ? stream_top(&s->m) - 0x400 : slots[id].start;

	if (machine_slot(&s->m, space, id))
		return;
	machine_slot_add(&s->m, space, id, start, slots[id].frames, slots[id].page, slots[id].read_only);
}

static inline struct vmmu_slot *stream_any_slot(struct stream *s)
{
	return machine_slot(&s->m, stream_one_in(s, 3) ? 1 : 0, (int)stream_below(s, 6));
}

/* Where two threads may meet: the frame another one works on, or one in the same tables. */
static inline vmmu_gfn_t stream_gfn_close(struct stream *s)
{
	return stream_one_in(s, 3) ? s->hot ^ stream_below(s, 0x800) : s->hot ^ stream_below(s, 2);
}

static inline vmmu_gfn_t stream_gfn_in(struct stream *s, const struct vmmu_slot *slot)
{
	uint64_t frames = slot->end - slot->start;

	switch (stream_below(s, 6)) {
	case 0:
		return slot->start + stream_below(s, 8);
	case 1:
		return slot->end - 1 - stream_below(s, 8);
	case 2:
		return slot->start + frames / 2 + stream_below(s, 64);
	case 3:
		return slot->start + (frames > 0x1000 ? 0x200 + stream_below(s, 0x800) : stream_below(s, frames));
	case 4:
		return stream_one_in(s, 8) ? slot->start - 1 - stream_below(s, 3)
					   : slot->start + 16 + stream_below(s, 32);
	default:
		return slot->start + stream_below(s, frames > 0x1000 ? 0x1000 : frames);
	}
}

/* A frame in or near a slot; some are met often. */
static inline vmmu_gfn_t stream_gfn_near(struct stream *s, const struct vmmu_slot *slot)
{
	vmmu_gfn_t gfn;

	if (s->depth && s->hot >= slot->start && s->hot < slot->end && !stream_one_in(s, 4))
		return stream_gfn_close(s);
	gfn = stream_gfn_in(s, slot);
	if (!s->depth)
		s->hot = gfn;
	return gfn;
}

static inline vmmu_gfn_t stream_gfn(struct stream *s)
{
	struct vmmu_slot *slot = stream_any_slot(s);

	if (s->depth && !stream_one_in(s, 4))
		return stream_gfn_close(s) & (stream_top(&s->m) - 1);
	if (!slot || stream_one_in(s, 32))
		return stream_below(s, stream_top(&s->m));
	return stream_gfn_near(s, slot) & (stream_top(&s->m) - 1);
}

static inline struct machine_vcpu *stream_idle_vcpu(struct stream *s, unsigned int *i)
{
	*i = (unsigned int)stream_below(s, s->m.vcpus);
	return s->busy[*i] ? NULL : s->m.vcpu[*i];
}

#endif
