// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Each single bit of an entry, and each memory type, at every level: reserved ones are told, others change nothing. */
#include "report.h"
#include "world.h"

enum { TYPE_BITS = 7u << 3, IGNORE_PAT = 1u << 6 };

static int accesses;

static void try_value(struct world *w, u64 *entry, u64 value, int leaf, int level)
{
	u64 old = *entry;

	case_begin("leaf of level %d, entry %llx at %d", leaf, (unsigned long long)value, level);
	WRITE_ONCE(*entry, value);
	ept_flush(w->vm.eptp);
	check_access(&w->vm, L2_READ, LINEAR);
	WRITE_ONCE(*entry, old);
	accesses++;
}

/* Bits that are part of an address that the CPU can have lead somewhere else; bit 7 makes another kind of entry. */
static bool is_neutral(int bit, int leaf, int level)
{
	int lowest = level == leaf ? 12 + 9 * (level - 1) : 12;

	if (bit >= lowest && bit < cpu_address_bits())
		return false;
	return bit != 7 || level == 1 || level == 4;
}

static void try_level(struct world *w, int leaf, int level)
{
	const u8 *frame = world_frames() + 11 * PAGE_BYTES;
	u64 gpa = world_gpa(leaf, frame), *entry;

	ept_map(w->ept, gpa, world_leaf_hpa(leaf, frame), leaf, EPT_RWX);
	world_map_linear(w, LINEAR, gpa);
	entry = ept_entry(w->ept, gpa, level);
	for (int bit = 3; bit < 64; bit++) {
		if (is_neutral(bit, leaf, level) && bit != 8 && bit != 9)
			try_value(w, entry, (*entry & ~(level == leaf ? TYPE_BITS : 0)) | BIT(bit), leaf, level);
	}
	for (u64 type = 0; level == leaf && type < 8; type++)
		try_value(w, entry, (*entry & ~(u64)TYPE_BITS) | type << 3 | IGNORE_PAT, leaf, level);
	/* No right at all: whatever else is there, the entry is not present. */
	try_value(w, entry, ~(u64)EPT_RWX, leaf, level);
	try_value(w, entry, BIT(51) | TYPE_BITS, leaf, level);
}

void test_misconfig(void)
{
	report_begin("misconfig");
	for (int leaf = 1; leaf <= ept_largest(); leaf++) {
		struct world *w = &(struct world){ 0 };

		world_make(w, true);
		for (int level = leaf; level <= world_window_top(); level++)
			try_level(w, leaf, level);
	}
	print("  misconfig: %d accesses\n", accesses);
	report_end();
}
