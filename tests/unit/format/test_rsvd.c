/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host: gmem */
/* Reserved bits: every bit of every kind of entry, for every address width, against the manuals' layouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vmmu/mode.h>
#include "../../tables/entry_layouts.h"

/* What decides about the conditional characters of a layout. */
struct cpu {
	unsigned int maxphyaddr;
	uint64_t extra;		/* more reserved address bits */
	bool nx, gbpages, amd, pse36;
	int ept_level;		/* largest EPT page */
};

static unsigned long checked;

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static bool bad_address_bit(const struct cpu *cpu, unsigned int bit)
{
	return bit >= cpu->maxphyaddr || ((cpu->extra >> bit) & 1);
}

static bool bit_is_reserved(const struct cpu *cpu, const struct entry_layout *l, char c, unsigned int bit)
{
	switch (c) {
	case '.': return false;
	case '0': return true;
	case 'A': return bad_address_bit(cpu, bit);
	case 'N': return !cpu->nx;
	case 'G': return !cpu->gbpages;
	case 'B': return cpu->ept_level < l->level;
	case 'M': return cpu->amd;
	case 'H': return !cpu->pse36 || bad_address_bit(cpu, 32 + bit - 13);
	}
	fail_msg("unknown character %c in layout %s", c, l->name);
	return false;
}

/* The bits of entries of layout @l that are reserved, and the width of the layout. */
static uint64_t reserved_bits(const struct cpu *cpu, const struct entry_layout *l, unsigned int width)
{
	uint64_t reserved = 0;
	unsigned int bit = width;
	const char *c;

	for (c = l->bits; *c; c++) {
		if (*c == ' ')
			continue;
		assert_true(bit > 0);
		bit--;
		if (bit_is_reserved(cpu, l, *c, bit))
			reserved |= 1ull << bit;
	}
	assert_int_equal(bit, 0);
	return reserved;
}

static void check_entry(const struct vmmu_mode *mode, const struct cpu *cpu, const struct entry_layout *l,
			uint64_t reserved, uint64_t entry)
{
	const bool expect = entry & reserved;

	checked++;
	if (vmmu_mode_reserved(mode, l->level, entry) != expect)
		fail_msg("%s %s %016llx: got %d, want %d; maxphyaddr %u nx %d gb %d amd %d pse36 %d ept %d",
			 vmmu_format_name(mode->format), l->name, (unsigned long long)entry, !expect, expect,
			 cpu->maxphyaddr, cpu->nx, cpu->gbpages, cpu->amd, cpu->pse36, cpu->ept_level);
}

/* Each single bit and many random sets of bits of one layout; @low bits stay as they are. */
static void check_layout(const struct vmmu_mode *mode, const struct cpu *cpu, const struct entry_layout *l,
			 unsigned int width, uint64_t base, uint64_t keep)
{
	const uint64_t reserved = reserved_bits(cpu, l, width);
	const uint64_t all = width == 64 ? ~0ull : (1ull << width) - 1;
	uint64_t seed = cpu->maxphyaddr + (uint64_t)l->level * 1000;
	unsigned int bit, i;

	if (l->bit7 != '*')
		keep |= 1ull << 7;
	if (l->bit7 == '1')
		base |= 1ull << 7;
	check_entry(mode, cpu, l, reserved, base);
	for (bit = 0; bit < width; bit++)
		if (!((keep >> bit) & 1))
			check_entry(mode, cpu, l, reserved, base | 1ull << bit);
	for (i = 0; i < 32; i++) {
		const uint64_t bits = next_random(&seed) & all & ~keep;

		check_entry(mode, cpu, l, reserved, base | bits);
		/* Legal bits together stay legal. */
		check_entry(mode, cpu, l, reserved, (base | bits) & ~(reserved & ~base));
	}
}

static struct vmmu_regs regs_of(const struct cpu *cpu, uint64_t cr4, uint64_t lma)
{
	return (struct vmmu_regs) {
		.cr0 = 1u << 31,
		.cr4 = cr4,
		.efer = lma | (cpu->nx ? 1u << 11 : 0),
		.reserved_gpa_bits = cpu->extra,
		.maxphyaddr = (uint8_t)cpu->maxphyaddr,
		.gbpages = cpu->gbpages,
		.pse36 = cpu->pse36,
		.amd = cpu->amd,
	};
}

static void check_legacy(const struct cpu *cpu, uint64_t cr4, uint64_t lma, const struct entry_layout *l, size_t n,
			 unsigned int width)
{
	struct vmmu_regs regs = regs_of(cpu, cr4, lma);
	struct vmmu_mode mode, npt, by_mask;
	size_t i;

	vmmu_mode_init_legacy(&mode, &regs);
	vmmu_mode_init_npt(&npt, &regs);
	/* The mask alone says the same as mask and width. */
	regs.reserved_gpa_bits |= ~0ull << cpu->maxphyaddr;
	regs.maxphyaddr = 0;
	vmmu_mode_init_legacy(&by_mask, &regs);
	for (i = 0; i < n; i++) {
		check_layout(&mode, cpu, &l[i], width, 1, 1);
		check_layout(&npt, cpu, &l[i], width, 1, 1);
		check_layout(&by_mask, cpu, &l[i], width, 1, 1);
	}
}

#define CHECK_LEGACY(cpu, cr4, lma, l, width) check_legacy(cpu, cr4, lma, l, sizeof(l) / sizeof(l[0]), width)

static void test_legacy_all_bits(void **state)
{
	const uint64_t pae = 1u << 5, pse = 1u << 4, la57 = 1u << 12, lma = 1u << 10;
	unsigned int width, i;

	(void)state;
	for (width = 32; width <= 52; width++)
		for (i = 0; i < 32; i++) {
			const struct cpu cpu = {
				.maxphyaddr = width,
				.extra = i & 16 ? 1ull << 39 | 1ull << 47 | 1ull << 34 : 0,
				.nx = i & 1,
				.gbpages = i & 2,
				.amd = i & 4,
				.pse36 = i & 8,
			};

			CHECK_LEGACY(&cpu, 0, 0, layouts_pt32_no_pse, 32);
			CHECK_LEGACY(&cpu, pse, 0, layouts_pt32, 32);
			CHECK_LEGACY(&cpu, pae, 0, layouts_pae, 64);
			CHECK_LEGACY(&cpu, pae | pse, lma, layouts_pt64, 64);
			CHECK_LEGACY(&cpu, pae | la57, lma, layouts_pt64, 64);
		}
	assert_true(checked > 1000000);
}

static bool ept_low_is_legal(unsigned int low, bool leaf, bool execonly)
{
	bool rights = false, type = false;
	size_t i;

	for (i = 0; i < sizeof(ept_legal_rights); i++)
		rights |= (low & 7) == ept_legal_rights[i];
	rights |= execonly && (low & 7) == ept_exec_only;
	for (i = 0; i < sizeof(ept_legal_types); i++)
		type |= low >> 3 == ept_legal_types[i];
	return rights && (leaf ? type : low >> 3 == 0);
}

static void test_ept_all_bits(void **state)
{
	const size_t n = sizeof(layouts_ept) / sizeof(layouts_ept[0]);
	unsigned int width, i;
	size_t k;

	(void)state;
	for (width = 36; width <= 52; width++)
		for (i = 0; i < 24; i++) {
			const struct cpu cpu = {
				.maxphyaddr = width,
				.extra = i & 8 ? 1ull << 47 : 0,
				.ept_level = 1 + (int)(i / 8),
			};
			const struct vmmu_ept_config config = {
				.reserved_gpa_bits = cpu.extra,
				.maxphyaddr = (uint8_t)width,
				.root_level = i & 1 ? 5 : 4,
				.huge_level = (uint8_t)cpu.ept_level,
				.execonly = i & 2,
				.accessed_dirty = i & 4,
			};
			struct vmmu_mode mode;

			vmmu_mode_init_ept(&mode, &config);
			for (k = 0; k < n; k++)
				check_layout(&mode, &cpu, &layouts_ept[k], 64, 7, 0x3f);
		}
}

/* Rights and memory types, on every level, leaf and table. */
static void test_ept_low_bits(void **state)
{
	unsigned int i, low;
	int level;

	(void)state;
	for (i = 0; i < 4; i++) {
		const struct vmmu_ept_config config = {
			.maxphyaddr = 46, .root_level = 4, .huge_level = 3, .execonly = i & 1, .accessed_dirty = i & 2,
		};
		struct vmmu_mode mode;

		vmmu_mode_init_ept(&mode, &config);
		for (level = 1; level <= 5; level++)
			for (low = 0; low < 64; low++) {
				const bool absent = !(low & 7);

				if (absent)
					continue;
				assert_int_equal(vmmu_mode_reserved(&mode, level, low),
						 !ept_low_is_legal(low, level == 1, config.execonly));
				if (level == 2 || level == 3)
					assert_int_equal(vmmu_mode_reserved(&mode, level, low | 1u << 7),
							 !ept_low_is_legal(low, true, config.execonly));
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_all_bits),
		cmocka_unit_test(test_ept_all_bits),
		cmocka_unit_test(test_ept_low_bits),
	};

	return cmocka_run_group_tests_name("format/rsvd", tests, NULL, NULL);
}
