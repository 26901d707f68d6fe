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

/* EPT pointers that are none: neither an entry nor a flush takes them. */
static void test_pointers(void)
{
	struct world *w = &(struct world){ 0 };
	u64 good, bad[10];

	world_make(w, true);
	good = w->vm.eptp;
	for (int i = 0; i < 5; i++)
		bad[i] = good | BIT(7 + i);
	bad[5] = good ^ 7;				/* memory type 1 */
	bad[6] = (good & ~7ull) | 2;			/* a reserved one */
	bad[7] = good & ~(1ull << 3);			/* a walk of 3 levels */
	bad[8] = good | BIT(cpu_address_bits());
	bad[9] = good | BIT(51);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		vm_set_eptp(&w->vm, bad[i]);
		vmwrite(VMCS_GUEST_RIP, (uptr)l2_vmcall);
		if (!vm_is_refused(&w->vm))
			report_wrong("L2 is entered with pointer %llx", (unsigned long long)bad[i]);
		if (invept(INVEPT_ONE, bad[i]))
			report_wrong("invept takes pointer %llx", (unsigned long long)bad[i]);
	}
	if (invept(3, good))
		report_wrong("invept takes type %d", 3);
	vm_set_eptp(&w->vm, good);
	vm_run(&w->vm, l2_vmcall);
	if (w->vm.exit.reason != EXIT_VMCALL)
		report_wrong("after refused entries: exit %u", w->vm.exit.reason);
}

void test_misconfig(void)
{
	report_begin("EPT pointers");
	test_pointers();
	report_end();
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
