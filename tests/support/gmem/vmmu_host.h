/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A host for tests of guest walks: guest memory is one array, everything a walk asks for is recorded or
 * can be made to fail. Binds the walk's part of the contract only; a core file that needs more does not build.
 *
 * A test owns one `struct gmem`, makes it current with gmem_reset(), and passes any vCPU pointer, also NULL.
 */
#ifndef VMMU_HOST_H_GMEM
#define VMMU_HOST_H_GMEM

#include <assert.h>
#include <string.h>
#include <vmmu/vm.h>
#include <vmmu/fault.h>

#define GMEM_PAGES 24u
#define GMEM_EVENTS 256u

struct gmem_event {
	enum vmmu_walk_event event;
	uint64_t a, b, c;
};

struct gmem {
	uint8_t bytes[GMEM_PAGES * 4096];
	bool hole[GMEM_PAGES];			/* no memory there */
	bool read_only[GMEM_PAGES];		/* the guest may only read it */
	bool unwritable[GMEM_PAGES];		/* said to be writable, yet a write fails */
	uint64_t base;				/* gpa of bytes[0] */

	/* Called after an entry was read with its gpa, before the walk goes on; may change memory. */
	void (*after_read)(struct gmem *g, uint64_t gpa);
	/* The nested tables. NULL: identity. Fills @why and returns VMMU_GPA_INVALID on failure. */
	vmmu_gpa_t (*nested)(struct gmem *g, vmmu_gpa_t gpa, uint64_t pf, struct vmmu_guest_fault *why);
	unsigned int nested_calls;
	uint64_t nested_pf[64];
	uint64_t nested_gpa[64];

	bool log_full;
	unsigned int logged;
	uint64_t logged_gpa;

	unsigned int reads, writes, lost;
	unsigned int events;
	struct gmem_event event[GMEM_EVENTS];
};

extern struct gmem *gmem_current;

/* Byte at @gpa, or NULL where no memory is. */
static inline uint8_t *gmem_at(struct gmem *g, uint64_t gpa)
{
	const uint64_t offset = gpa - g->base;

	if (offset >= sizeof(g->bytes) || g->hole[offset >> 12])
		return NULL;
	return g->bytes + offset;
}

static inline uint64_t gmem_load(struct gmem *g, uint64_t gpa, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, gmem_at(g, gpa), bytes);
	return value;
}

static inline void gmem_store(struct gmem *g, uint64_t gpa, unsigned int bytes, uint64_t value)
{
	memcpy(gmem_at(g, gpa), &value, bytes);
}

static inline int vmmu_host_gpte_locate(struct vmmu_vcpu *v, vmmu_gpa_t gpa, struct vmmu_gpte *at)
{
	uint8_t *byte = gmem_at(gmem_current, gpa);

	(void)v;
	if (!byte)
		return VMMU_EFAULT;
	at->host = byte;
	at->gpa = gpa;
	at->writable = !gmem_current->read_only[(gpa - gmem_current->base) >> 12];
	return 0;
}

static inline int vmmu_host_gpte_read(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	struct gmem *g = gmem_current;

	assert(bytes == 4 || bytes == 8);
	assert(!(at->gpa & (bytes - 1)));
	if (!gmem_at(g, at->gpa))
		return VMMU_EFAULT;
	*value = gmem_load(g, at->gpa, bytes);
	g->reads++;
	if (g->after_read)
		g->after_read(g, at->gpa);
	return 0;
}

static inline int vmmu_host_gpte_read_atomic(const struct vmmu_gpte *at, unsigned int bytes, uint64_t *value)
{
	return vmmu_host_gpte_read(at, bytes, value);
}

static inline int vmmu_host_gpte_cmpxchg(struct vmmu_vcpu *v, const struct vmmu_gpte *at, unsigned int bytes,
					 uint64_t old, uint64_t new_value)
{
	struct gmem *g = gmem_current;

	(void)v;
	assert(at->writable);
	assert(old != new_value);
	if (!gmem_at(g, at->gpa) || g->unwritable[(at->gpa - g->base) >> 12])
		return VMMU_EFAULT;
	if (gmem_load(g, at->gpa, bytes) != old) {
		g->lost++;
		return VMMU_EAGAIN;
	}
	gmem_store(g, at->gpa, bytes, new_value);
	g->writes++;
	return 0;
}

static inline vmmu_gpa_t vmmu_host_translate_nested(struct vmmu_vcpu *v, vmmu_gpa_t gpa, uint64_t pf,
						    struct vmmu_guest_fault *why)
{
	struct gmem *g = gmem_current;

	(void)v;
	if (g->nested_calls < 64) {
		g->nested_pf[g->nested_calls] = pf;
		g->nested_gpa[g->nested_calls] = gpa;
	}
	g->nested_calls++;
	return g->nested ? g->nested(g, gpa, pf, why) : gpa;
}

static inline int vmmu_host_log_nested_write(struct vmmu_vcpu *v, vmmu_gpa_t gpa)
{
	(void)v;
	if (gmem_current->log_full)
		return VMMU_EFAULT;
	gmem_current->logged++;
	gmem_current->logged_gpa = gpa;
	return 0;
}

static inline void vmmu_host_trace_walk(enum vmmu_walk_event event, uint64_t a, uint64_t b, uint64_t c)
{
	struct gmem *g = gmem_current;

	if (g->events < GMEM_EVENTS)
		g->event[g->events] = (struct gmem_event) { event, a, b, c };
	g->events++;
}

/* Fresh, zeroed, all-writable memory with no hook, current from here. */
static inline void gmem_reset(struct gmem *g)
{
	memset(g, 0, sizeof(*g));
	gmem_current = g;
}

#endif
