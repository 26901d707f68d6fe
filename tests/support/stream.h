/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A stream of random operations on a simulated machine, each followed by a look at everything (audit.h). One number,
 * the seed, makes the whole stream again. At the points where another thread could get in, operations of others are run
 * in between.
 */
#ifndef TESTS_SUPPORT_STREAM_H
#define TESTS_SUPPORT_STREAM_H

#include "stream_state.h"
#include "stream_direct.h"
#include "stream_host.h"
#include "stream_guest.h"
#include "stream_l2.h"

static inline bool stream_can(pthread_mutex_t *mutex)
{
	if (pthread_mutex_trylock(mutex))
		return false;
	pthread_mutex_unlock(mutex);
	return true;
}

/* What another vCPU, or a device, does in between. */
static inline void stream_guest_between(struct stream *s, bool shared_only)
{
	(void)shared_only;
	switch (stream_below(s, 5)) {
	case 0:
	case 1:
		stream_guest_write(s);
		break;
	case 2:
		stream_guest_flush(s);
		break;
	default:
		stream_guest_access(s);
	}
}

/* Another thread gets in. */
static inline void stream_interfere(struct stream *s, bool shared_only)
{
	struct machine_thread *other = s->others[s->depth], *self;
	const char *op = s->op;

	s->depth++;
	s->nested++;
	s->nest_left--;
	s->interfered = true;
	self = machine_thread_become(other);
	other->shared_only = shared_only;
	if (!shared_only && stream_one_in(s, 3) && stream_can(&s->m.change_lock))
		stream_change(s);
	else if (stream_one_in(s, 4))
		stream_shared_op(s);
	else if (s->guests)
		stream_guest_between(s, shared_only);
	else
		stream_access(s, 12);
	machine_thread_become(self);
	s->op = op;
	s->depth--;
}

static inline void stream_hook(enum machine_point point)
{
	struct stream *s = stream_now;
	enum machine_held held = machine_lock_held(&s->m.lock);

	if (s->depth >= 2 || s->starved || !s->nest_left)
		return;
	if (point == MACHINE_AT_WORD) {
		if (!s->nest_words || held == MACHINE_HELD_EXCL || machine_holds_from(MACHINE_LOCK_PAGE) ||
		    machine_holds_class(MACHINE_LOCK_WORDS) || machine_holds_class(MACHINE_LOCK_RAM) ||
		    !stream_one_in(s, s->nest_words))
			return;
		stream_interfere(s, true);
		return;
	}
	if (stream_one_in(s, point == MACHINE_AT_YIELD ? s->nest_yields : 4))
		stream_interfere(s, s->depth > 0 || held != MACHINE_NOT_HELD);
}

static inline void stream_guest_slot(struct stream *s)
{
	/* Most guests keep their memory. */
	stream_slot(s);
	if (machine_slot(&s->m, 0, 0) && machine_slot(&s->m, 0, 0)->start != 0x10 && !stream_one_in(s, 8))
		machine_slot_move(&s->m, 0, 0, 0x10);
	for (int id = 0; id < 3 && !stream_one_in(s, 8); id++)
		stream_slot_add(s, 0, id);
}

static inline void stream_guest_zap(struct stream *s)
{
	if (stream_one_in(s, 3))
		stream_zap(s);
}

struct stream_op {
	const char *name;
	unsigned int weight;
	void (*run)(struct stream *s);
};

static const struct stream_op stream_guest_ops[] = {
	{ "guest map", 24, stream_guest_map },	   { "guest write", 18, stream_guest_write },
	{ "guest switch", 8, stream_guest_switch },  { "guest mode", 5, stream_guest_mode },
	{ "guest flush", 10, stream_guest_flush },   { "guest host", 4, stream_guest_host },
	{ "change", 3, stream_change },	   { "age", 1, stream_age },
	{ "slot", 1, stream_guest_slot },	   { "log", 1, stream_log },
	{ "huge", 1, stream_huge },	   { "nx", 1, stream_nx },
	{ "guest roots", 3, stream_guest_roots },	   { "guest emulated", 4, stream_guest_emulated },
	{ "guest l2", 7, stream_guest_l2 },
	{ "zap", 1, stream_guest_zap },	   { "track", 1, stream_track },
};

static const struct stream_op stream_direct_ops[] = {
	{ "switch", 6, stream_switch },	 { "prefetch", 4, stream_prefetch },
	{ "change", 12, stream_change }, { "age", 4, stream_age },
	{ "zap", 3, stream_zap },	 { "slot", 3, stream_slot },
	{ "log", 8, stream_log },	 { "track", 3, stream_track },
	{ "huge", 5, stream_huge },	 { "split", 2, stream_split_check },
	{ "nx", 3, stream_nx },		 { "vcpu", 1, stream_vcpu },
	{ "starve", 2, stream_starve },
};

static inline void stream_any_access(struct stream *s) { stream_access(s, s->nest_words ? 40 : 10); }

/* @pick chooses the operation; beyond all of them lies an access. */
static inline void stream_step(struct stream *s, unsigned int pick)
{
	static const struct stream_op guest_access_op = { "guest access", 0, stream_guest_access };
	static const struct stream_op access_op = { "access", 0, stream_any_access };
	const struct stream_op *op = s->guests ? &guest_access_op : &access_op;
	const struct stream_op *ops = s->guests ? stream_guest_ops : stream_direct_ops;
	unsigned int count = s->guests ? sizeof(stream_guest_ops) / sizeof(*ops) : sizeof(stream_direct_ops) / sizeof(*ops);

	s->interfered = false;
	s->nest_yields = stream_one_in(s, 2) ? 4 : stream_one_in(s, 2) ? 30 : 1000;
	s->nest_left = 8;
	s->m.yield = (enum machine_yield)stream_below(s, 3);
	for (unsigned int i = 0; i < count; i++) {
		if (pick < ops[i].weight) {
			op = &ops[i];
			break;
		}
		pick -= ops[i].weight;
	}
	s->op = op->name;
	op->run(s);
}

static inline unsigned int stream_picks(const struct stream *s) { return s->guests ? 160 : 112; }

/* One stream. */
struct stream_plan {
	struct machine_config config;
	uint64_t seed;
	bool guests;			/* with tables that are mirrored */
	bool small;			/* without the slot that is larger than all others, and slow to make */
	unsigned int nest_words;
	unsigned long ops;
	unsigned int audit_every;	/* how many operations between two looks at everything */
	unsigned int check_every;	/* guests: the same for what CPUs hold; 0: never */
	const bool *skip;		/* by number of an operation: leave it out. May be NULL */
	const uint8_t *script;		/* four bytes for each operation: which one, and its chances; NULL: by the seed */
	void (*at_end)(const struct stream *s);	/* before all is taken down; may be NULL */
};

static inline void stream_begin(struct stream *s, const struct stream_plan *plan)
{
	struct machine_config c = plan->config;
	static struct machine_thread *others[3];
	uint64_t seed = plan->seed;

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->random = seed * 0x9e3779b97f4a7c15ull | 1;
	s->nest_words = plan->nest_words;
	s->guests = plan->guests;
	s->op = "start";
	stream_now = s;
	machine_on_bug = stream_bug;
	for (unsigned int i = 0; i < 3; i++) {
		if (!others[i])
			others[i] = machine_thread_new();
		s->others[i] = others[i];
	}
	c.seed = seed;
	c.generation = (VMMU_MMIO_GEN_MASK - 40) & ~1ull;
	c.invalidations = ~0ull - 200;
	if (!c.guest_phys_bits)
		c.guest_phys_bits = seed % 3 ? c.phys_bits : 40 < c.phys_bits ? 40 : c.phys_bits;
	c.guest_gb = c.huge_level_max == 3 || c.shadow;
	c.guest_amd = !c.ept;
	machine_vm_init(&s->m, &c);
	/* What counts up begins next to its end. */
	s->m.vm.guest_flushes = ~0ull - 100;
	machine_hook = stream_hook;
	for (int id = 0; id < 6; id++) {
		if (id == 2 && plan->small)
			continue;
		stream_slot_add(s, 0, id);
		if (id < 3)
			stream_slot_add(s, 1, id);
	}
	for (int i = 0; i < 3; i++)
		machine_vcpu_add(&s->m);
	for (uint64_t page = 0x40; page < 0x44; page++)
		ram_set_flags(&s->m.ram, page, RAM_DEVICE);
	if (s->guests) {
		s->m.vm.shadow_quota = 1000;
		guest_start(s);
	}
}

static inline void stream_end(struct stream *s)
{
	s->op = "end";
	machine_hook = NULL;
	while (s->m.vcpus)
		machine_vcpu_remove(&s->m);
	machine_vm_destroy(&s->m);
	machine_on_bug = NULL;
}

/* Each operation has chances of its own, so that others can be left out. Return: which one it is. */
static inline unsigned int stream_seed_step(struct stream *s, const struct stream_plan *plan)
{
	const uint8_t *bytes = plan->script ? plan->script + 4 * (s->ops - 1) : NULL;

	s->random = ((s->seed + 1) * 0x9e3779b97f4a7c15ull) ^ (s->ops * 0xd1342543de82ef95ull);
	if (bytes)
		s->random = (1 + bytes[1] + 256ull * bytes[2] + 65536ull * bytes[3]) * 0x9e3779b97f4a7c15ull;
	machine_random(&s->random);
	s->random |= 1;
	for (unsigned int i = 0; i < s->m.vcpus; i++)
		s->m.vcpu[i]->random = (s->random ^ (i + 1) * 0x2545f4914f6cdd1dull) | 1;
	s->m.yield_random = machine_random(&s->random) | 1;
	return bytes ? bytes[0] : (unsigned int)stream_below(s, stream_picks(s));
}

/* What CPUs hold is looked at more often than all the tables. */
static inline void stream_check_cpus(struct stream *s)
{
	machine_mutex_lock(MACHINE_LOCK_SLOTS, &s->m.slots_lock);
	for (unsigned int i = 0; i < s->m.vcpus; i++)
		machine_cpu_check(s->m.vcpu[i]);
	machine_mutex_unlock(&s->m.slots_lock);
}

static inline unsigned long stream_follow(const struct stream_plan *plan)
{
	static struct stream s;
	unsigned long all;

	stream_begin(&s, plan);
	for (s.ops = 1; s.ops <= plan->ops; s.ops++) {
		if (!plan->skip || !plan->skip[s.ops]) {
			unsigned int pick = stream_seed_step(&s, plan);

			stream_step(&s, pick);
		}
		if (s.guests && plan->check_every && !(s.ops % plan->check_every))
			stream_check_cpus(&s);
		/* What grows too large to be looked at goes. */
		if (!(s.ops % plan->audit_every) && audit(&s.m).tables > 1500)
			stream_zap_all_fast(&s);
	}
	s.ops--;
	all = s.ops + s.nested;
	if (plan->at_end)
		plan->at_end(&s);
	stream_end(&s);
	return all;
}

static inline unsigned long stream_run(const struct machine_config *config, uint64_t seed, unsigned int nest_words,
				       unsigned long ops, unsigned int audit_every)
{
	return stream_follow(&(struct stream_plan){
		.config = *config, .seed = seed, .nest_words = nest_words, .ops = ops, .audit_every = audit_every,
	});
}

#endif
