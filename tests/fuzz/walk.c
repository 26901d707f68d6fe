/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Raw guest tables for the walker and the reference walker beside it: 16 bytes for the CPU and the access, then four entries
 * for each page, over and over. What an entry's address is beyond the memory there is stays as it is, now and then.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The comparison is the unit test's. */
#define assert_true(condition) ((condition) ? (void)0 : abort())
#define assert_false(condition) assert_true(!(condition))
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, bytes) assert_true(!memcmp(a, b, bytes))
#include "../unit/walk/pair.h"

#define HEAD 16u
#define WINDOW 32u		/* bytes of a page that repeat */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(const uint8_t *data, size_t size, bool anywhere)
{
	unsigned int bytes = inner.kind == REF_32BIT ? 4 : 8;

	for (uint64_t at = 0; at < INNER_PAGES * 4096; at += bytes) {
		size_t from = at / 4096 * WINDOW + at % WINDOW;
		uint64_t e = 0;

		if (from + bytes <= size)
			memcpy(&e, data + from, bytes);
		if (!anywhere)
			e = (e & ~(bytes == 4 ? 0x3ff000ull : 0xfff000ull)) | (e >> 12 & (INNER_PAGES - 1)) << 12;
		gmem_store(&mem, at, bytes, e);
	}
	for (unsigned int i = 0; i < 4; i++)
		pdpte[i] = gmem_load(&mem, i * 8, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t va;

	if (size < HEAD + WINDOW)
		return 0;
	seed = data[1] | (uint64_t)data[2] << 8;
	pair_begin((enum ref_kind)(data[0] & 3), (data[0] & 4) && (data[0] & 3) != REF_EPT,
		   data[0] & 8 && !(data[0] & 4) ? (data[0] & 16 ? REF_LONG : REF_EPT) : -1);
	/* A root in the memory: else nothing is walked. */
	inner.root = (data[3] % INNER_PAGES) << 12 | (inner.kind == REF_PAE ? data[4] & 0xe0 : data[4]);
	fill(data + HEAD, size - HEAD, data[0] & 32);
	pair_ready();
	memcpy(&va, data + 8, sizeof(va));
	if (inner.kind == REF_32BIT || inner.kind == REF_PAE)
		va &= 0xffffffff;
	for (unsigned int i = 0; i < 4; i++)
		pair_walk(va & ((1ull << (inner.levels == 5 ? 57 : 48)) - 1));
	return 0;
}
