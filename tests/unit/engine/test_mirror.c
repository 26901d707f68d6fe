/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a page remembers of guest entries: an entry that passes for unchanged gives what it gave, in every format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "engine/mirror.h"

#define PG	(1ull << 31)
#define PAE	(1ull << 5)
#define LMA	(1ull << 10)
#define NXE	(1ull << 11)
#define ROUNDS	20000

struct kind {
	const char *name;
	enum vmmu_format format;
	struct vmmu_mode mode;
};

static uint64_t random_word(void)
{
	static uint64_t x = 0x853c49e6748fea9bull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Everything that a leaf is made of, and kept by. */
struct meaning {
	uint64_t word, access, flags;
};

static struct meaning meaning_of(const struct kind *k, const struct vmmu_page *page, uint64_t gpte)
{
	const struct vmmu_gfmt *f = mirror_format(page);
	struct meaning m = { .word = vmmu_mirror_word(&k->mode, page, gpte) };

	if (!m.word)
		return m;
	m.access = mirror_access(f, page, gpte);
	m.flags = gpte & (gfmt_accessed(f, &k->mode, VMMU_LEVEL_4K) | gfmt_dirty(f, &k->mode));
	return m;
}

static void check_kind(const struct kind *k)
{
	struct vmmu_page page = { .role = { .format = k->format, .level = VMMU_LEVEL_4K, .access = VMMU_ACC_ALL } };
	const struct vmmu_gfmt *f = mirror_format(&page);
	unsigned int bits = f->entry_bytes * 8, legal = 0;

	for (int n = 0; n < ROUNDS; n++) {
		/* Few bits: most entries with all kinds of them are not legal. */
		uint64_t gpte = (random_word() & random_word() & ~BITS64(63, 40)) | f->present;
		uint64_t other = random_word() & random_word() & random_word();
		struct meaning m, changed;

		gpte &= bits == 64 ? ~0ull : BITS64(31, 0);
		m = meaning_of(k, &page, gpte);
		if (!m.word)
			continue;
		legal++;
		assert_true(mirror_is_current(f, m.word, gpte));
		assert_int_equal(mirror_gfn(m.word), gfmt_leaf_gfn(f, VMMU_LEVEL_4K, gpte));
		assert_int_equal(mirror_access(f, &page, m.word), m.access);
		for (unsigned int bit = 0; bit < bits; bit++) {
			changed = meaning_of(k, &page, gpte ^ BIT64(bit));
			if (mirror_is_current(f, m.word, gpte ^ BIT64(bit)) && memcmp(&m, &changed, sizeof(m)))
				fail_msg("%s: %llx: bit %u is not noticed", k->name, (unsigned long long)gpte, bit);
		}
		other = gpte ^ (bits == 64 ? other : other & BITS64(31, 0));
		changed = meaning_of(k, &page, other);
		if (mirror_is_current(f, m.word, other) && memcmp(&m, &changed, sizeof(m)))
			fail_msg("%s: %llx passes for %llx", k->name, (unsigned long long)other, (unsigned long long)gpte);
	}
	assert_true(legal > ROUNDS / 100);
}

static void test_unchanged_means_the_same(void **state)
{
	const struct vmmu_regs legacy[] = {
		{ .cr0 = PG | 1, .maxphyaddr = 40 },
		{ .cr0 = PG | 1, .cr4 = PAE, .maxphyaddr = 40 },
		{ .cr0 = PG | 1, .cr4 = PAE, .efer = NXE, .maxphyaddr = 52 },
		{ .cr0 = PG | 1, .cr4 = PAE, .efer = LMA, .maxphyaddr = 46 },
		{ .cr0 = PG | 1, .cr4 = PAE, .efer = LMA | NXE, .maxphyaddr = 52, .amd = true },
	};
	struct kind k;

	(void)state;
	for (size_t n = 0; n < sizeof(legacy) / sizeof(legacy[0]); n++) {
		k.name = "legacy";
		vmmu_mode_init_legacy(&k.mode, &legacy[n]);
		k.format = k.mode.format;
		check_kind(&k);
		k.name = "NPT";
		vmmu_mode_init_npt(&k.mode, &legacy[n]);
		k.format = k.mode.format;
		check_kind(&k);
	}
	for (unsigned int n = 0; n < 4; n++) {
		const struct vmmu_ept_config ept = {
			.maxphyaddr = 46, .root_level = 4, .huge_level = VMMU_LEVEL_1G, .execonly = n & 1, .accessed_dirty = n & 2,
		};

		k.name = "EPT";
		vmmu_mode_init_ept(&k.mode, &ept);
		k.format = k.mode.format;
		check_kind(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unchanged_means_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
