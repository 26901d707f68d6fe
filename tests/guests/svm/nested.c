// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Page tables of every format: see nested.h. */
#include "memory.h"
#include "nested.h"

struct nested nested_make(enum nested_format format)
{
	static const u8 levels[] = { [NESTED_32] = 2, [NESTED_PAE] = 3, [NESTED_4] = 4, [NESTED_5] = 5 };

	return (struct nested){ format, levels[format], (uptr)alloc_page() };
}

static int index_bits(const struct nested *n)
{
	return n->format == NESTED_32 ? 10 : 9;
}

int nested_shift(const struct nested *n, int level)
{
	return 12 + index_bits(n) * (level - 1);
}

static u64 entry_read(const struct nested *n, uptr slot)
{
	return n->format == NESTED_32 ? READ_ONCE(*(u32 *)slot) : READ_ONCE(*(u64 *)slot);
}

static void entry_write(const struct nested *n, uptr slot, u64 entry)
{
	if (n->format == NESTED_32)
		WRITE_ONCE(*(u32 *)slot, (u32)entry);
	else
		WRITE_ONCE(*(u64 *)slot, entry);
}

static uptr slot_in(const struct nested *n, uptr table, u64 address, int level)
{
	u64 index = address >> nested_shift(n, level) & (BIT(index_bits(n)) - 1);

	return table + index * (n->format == NESTED_32 ? 4 : 8);
}

uptr nested_slot(const struct nested *n, u64 address, int level)
{
	uptr table = n->root;

	for (int l = n->levels; l > level; l--)
		table = entry_read(n, slot_in(n, table, address, l)) & ENTRY_ADDRESS;
	return slot_in(n, table, address, level);
}

u64 nested_get(const struct nested *n, u64 address, int level)
{
	uptr table = n->root;

	for (int l = n->levels; l > level; l--) {
		u64 entry = entry_read(n, slot_in(n, table, address, l));

		if (!(entry & ENTRY_P))
			return 0;
		table = entry & ENTRY_ADDRESS;
	}
	return entry_read(n, slot_in(n, table, address, level));
}

void nested_set(const struct nested *n, u64 address, int level, u64 entry)
{
	uptr table = n->root;

	for (int l = n->levels; l > level; l--) {
		uptr slot = slot_in(n, table, address, l);

		/* Entries of the highest table of the PAE format hold no rights. */
		if (!entry_read(n, slot))
			entry_write(n, slot, (uptr)alloc_page() |
				    (n->format == NESTED_PAE && l == 3 ? ENTRY_P : ENTRY_ALL));
		table = entry_read(n, slot) & ENTRY_ADDRESS;
	}
	entry_write(n, slot_in(n, table, address, level), entry);
}

void nested_map(const struct nested *n, u64 address, u64 to, int level, u64 flags)
{
	nested_set(n, address, level, to | flags | (level > 1 ? ENTRY_LARGE : 0));
}

void nested_map_low(const struct nested *n)
{
	u64 size = BIT(nested_shift(n, 2));

	for (u64 address = 0; address < BIT(30); address += size)
		nested_map(n, address, address, 2, ENTRY_USED);
}
