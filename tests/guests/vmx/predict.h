// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What an access of a 64-bit L2 must come to, read off L1's and L2's tables one entry after the other as the manual
 * tells it ("The Extended Page Table Mechanism", "EPT-Induced VM Exits"); and a check that it comes to that.
 *
 * A frame that is read or executed holds frame_fill(): what L2 reads and what it runs there both tell which frame it
 * is.
 */
#pragma once
#include "vm.h"

enum outcome { DONE, VIOLATION, MISCONFIG, PAGE_FAULT };

/* An entry that the access uses, and the flags it sets there. */
struct used {
	u64 *entry;
	u64 set;
	bool maybe;			/* it may, or may not: the translation it is used for fails */
};
enum { USED_MAX = 32 };

struct prediction {
	enum outcome outcome;
	u64 qualification, gpa, hpa;
	struct used used[USED_MAX];
	int used_count;
};

void predict(const struct vm *vm, enum l2_access access, u64 linear, struct prediction *p);

/* Code that returns `tag`, and at offset 8 `tag` itself. */
void frame_fill(void *frame, u32 tag);

/*
 * Let L2 access a linear address, compare all that can be seen with the prediction, and report what is wrong. Returns
 * the prediction's outcome. Reads and writes are at offset 8, fetches at 0, of the address.
 */
enum outcome check_access(struct vm *vm, enum l2_access access, u64 linear);

/* Said in front of each report_wrong() from here on: which case of a test it is. */
void case_begin(const char *format, ...) PRINTF_LIKE(1, 2);
