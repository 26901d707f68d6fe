/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The CPU's page walker, written from the manuals with bit names of its own: it must not share any with the code it
 * is there to check. AMD APM vol. 2 "Nested Paging" and "Page-Translation-Table Entry Fields"; Intel SDM vol. 3 "EPT
 * Translation Mechanism", "EPT Misconfigurations", "Accessed and Dirty Flags for EPT".
 */
#include "tables.h"
#include "vcpu.h"

#define HW_BIT(n)	(1ull << (n))

/* One level's entry, in words that hold for both formats. */
struct hw_entry {
	bool present, reserved, leaf, read, write, user, exec, accessed, dirty, encrypted;
	uint64_t address;
};

static uint64_t hw_frame_mask(const struct machine_config *config)
{
	unsigned int bits = config->encrypted ? config->phys_bits - 1u : config->phys_bits;

	return ((1ull << bits) - 1) & ~0xfffull;
}

static uint64_t hw_above_width(const struct machine_config *config)
{
	return ((1ull << 52) - 1) & ~((1ull << config->phys_bits) - 1);
}

static bool hw_leaf_at(const struct machine_config *config, int level)
{
	return level >= 2 && level <= config->huge_level_max;
}

/* Address bits of a large leaf below its size. */
static uint64_t hw_below_size(int level)
{
	return (1ull << (12 + 9 * (level - 1))) - 1;
}

static void hw_decode_legacy(const struct machine_config *config, uint64_t word, int level, struct hw_entry *e)
{
	e->present = word & HW_BIT(0);
	e->write = word & HW_BIT(1);
	e->read = true;
	e->user = word & HW_BIT(2);
	e->exec = !(word & HW_BIT(63));
	e->accessed = word & HW_BIT(5);
	e->dirty = word & HW_BIT(6);
	e->leaf = level == 1 || (word & HW_BIT(7) && hw_leaf_at(config, level));
	e->reserved = (word & hw_above_width(config)) || (level > 1 && (word & HW_BIT(7)) && !e->leaf) ||
		      (level > 1 && e->leaf && (word & hw_below_size(level) & ~0x1fffull));
	e->encrypted = config->encrypted && (word & HW_BIT(config->phys_bits - 1));
}

static void hw_decode_ept(const struct machine_config *config, uint64_t word, int level, bool ad, struct hw_entry *e)
{
	unsigned int type = (word >> 3) & 7;

	e->present = word & 7;
	e->read = word & HW_BIT(0);
	e->write = word & HW_BIT(1);
	e->user = true;
	e->exec = word & HW_BIT(2);
	e->accessed = !ad || (word & HW_BIT(8));
	e->dirty = !ad || (word & HW_BIT(9));
	e->leaf = level == 1 || (word & HW_BIT(7) && hw_leaf_at(config, level));
	e->reserved = (word & hw_above_width(config)) || (e->write && !e->read) ||
		      (e->exec && !e->read && !config->exec_only);
	if (e->leaf)
		e->reserved |= type == 2 || type == 3 || type == 7 ||
			       (level > 1 && (word & hw_below_size(level) & ~0xfffull));
	else
		e->reserved |= word & 0xf8;
}

/* A PDPTE of PAE paging: no rights, no flags. */
static struct hw_entry hw_decode_pdpte(const struct machine_config *config, uint64_t word)
{
	struct hw_entry e = { .read = true, .write = true, .user = true, .exec = true, .accessed = true };

	e.address = word & hw_frame_mask(config);
	e.present = word & HW_BIT(0);
	e.reserved = (word & hw_above_width(config)) || (word & 0x1e6) || word >> 52;
	e.encrypted = config->encrypted && (word & HW_BIT(config->phys_bits - 1));
	return e;
}

static struct hw_entry hw_decode(const struct machine_vcpu *c, uint64_t word, int level)
{
	const struct machine_config *config = &c->m->config;
	struct hw_entry e = { .address = word & hw_frame_mask(config) };

	if (config->ept)
		hw_decode_ept(config, word, level, c->ad, &e);
	else
		hw_decode_legacy(config, word, level, &e);
	if (e.leaf && level > 1)
		e.address &= ~hw_below_size(level);
	return e;
}

/* An absent entry must not name memory that the data cache may hold. The address of an aged page is its own guest's. */
static void hw_check_absent(const struct machine_config *config, uint64_t word)
{
	unsigned int top = config->l1tf_cache_bits;
	uint64_t address = word & hw_frame_mask(config), high;

	if (!top || !address || (word & HW_BIT(11)))
		return;
	high = 0x1full << (top - 5);
	if ((word & high) != high)
		machine_bug("L1TF: an absent entry names memory: %#llx", (unsigned long long)word);
}

static bool hw_set_bits(const struct machine_vcpu *c, uint64_t *entry, uint64_t word, bool accessed, bool dirty)
{
	const struct machine_config *config = &c->m->config;
	uint64_t bits = 0;

	if (config->ept && !c->ad)
		return true;
	if (accessed)
		bits |= config->ept ? HW_BIT(8) : HW_BIT(5);
	if (dirty)
		bits |= config->ept ? HW_BIT(9) : HW_BIT(6);
	return (word & bits) == bits ||
	       __atomic_compare_exchange_n(entry, &word, word | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

/* Page-modification logging: Intel SDM vol. 3 "Page-Modification Logging". Off while a nested guest runs. */
static bool hw_log(struct machine_vcpu *c, const struct hw_entry *e, vmmu_gfn_t gfn, bool write)
{
	if (!c->m->config.pml || c->guest_view || !write || e->dirty)
		return true;
	if (c->pml_count == CPU_PML)
		return false;
	c->pml[c->pml_count].gfn = gfn;
	c->pml[c->pml_count++].space = c->space;
	return true;
}

static void remember_table(struct machine_vcpu *c, uint64_t root, vmmu_gfn_t gfn, int level, uint64_t table)
{
	struct cpu_walk *w = &c->walk[machine_random_below(&c->random, CPU_WALKS)];

	*w = (struct cpu_walk){ .root = root, .table = table, .level = (uint8_t)level };
	w->gfn = gfn >> (9 * level) << (9 * level);
}

static enum walker_result finish(struct machine_vcpu *c, uint64_t *entry, uint64_t word, const struct hw_entry *e,
				 vmmu_gfn_t gfn, uint64_t pf, struct cpu_translation *t)
{
	bool write = pf & VMMU_PF_W;

	if (!machine_cpu_allows(c, t, pf))
		return WALKER_DENIED;
	if (!hw_log(c, e, gfn, write))
		return WALKER_LOG_FULL;
	if (!hw_set_bits(c, entry, word, true, write)) {
		/* The log has one entry too many, which the manual allows. */
		return WALKER_AGAIN;
	}
	t->dirty = write || e->dirty;
	return WALKER_OK;
}

enum walker_result machine_walk(struct machine_vcpu *c, const struct cpu_walk *start, vmmu_gfn_t gfn, uint64_t pf,
				struct cpu_translation *t)
{
	const struct machine_config *config = &c->m->config;
	uint64_t table = start->table;

	*t = (struct cpu_translation){ .root = start->root, .read = true, .write = true, .user = true, .exec = true };
	for (int level = start->level;; level--) {
		bool pdpte = level == 3 && c->linear && c->root_level == 3;
		unsigned int index = (gfn >> (9 * (level - 1))) & (pdpte ? 3 : 511);
		uint64_t *entry = pdpte ? &c->pdpte[index] : (uint64_t *)machine_table_at(table) + index;
		uint64_t word = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
		struct hw_entry e = pdpte ? hw_decode_pdpte(config, word) : hw_decode(c, word, level);

		if (!e.present) {
			hw_check_absent(config, word);
			return WALKER_NOT_PRESENT;
		}
		if (e.reserved)
			return WALKER_RESERVED;
		t->read &= e.read;
		t->write &= e.write;
		t->user &= e.user;
		t->exec &= e.exec;
		if (e.leaf) {
			t->level = (uint8_t)level;
			t->gfn = gfn >> (9 * (level - 1)) << (9 * (level - 1));
			t->pfn = e.address >> 12;
			t->encrypted = e.encrypted;
			return finish(c, entry, word, &e, gfn, pf, t);
		}
		if (config->encrypted && !e.encrypted)
			machine_bug("a table is reached without encryption");
		if (!pdpte && !hw_set_bits(c, entry, word, true, false))
			return WALKER_AGAIN;
		table = e.address;
		remember_table(c, start->root, gfn, level - 1, table);
	}
}
