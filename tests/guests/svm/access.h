// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One access of a guest, and what nested tables say about it: a slow reading of the architecture manual. */
#pragma once
#include "l2.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH, ACCESSES };

extern const char *const access_names[ACCESSES];

/* What a frame holds: an instruction to jump to, its own address to read, and a word to write. */
enum { FRAME_CODE = 0, FRAME_TAG = 8, FRAME_WORD = 16 };

/* Frames to map: large pages' worth, contiguous, each as above. */
uptr frames_make(size_t pages, size_t align);

struct outcome {
	u64 code, info1, info2;		/* of the exit */
	u64 rip;
	u32 value;			/* read, or to be written */
};

struct outcome access_do(struct l2 *l2, enum access access, u64 address);

/* What must come of an access to a guest physical address by these tables as they are. */
struct expected {
	bool allowed;
	u64 info1;
	int leaf;			/* its level; 0 if the walk does not come to one */
	int last;			/* level of the last entry that was looked at */
	u64 frame;			/* of the address; allowed only */
};

struct expected access_expect(const struct nested *n, bool nx, u64 address, enum access access);

/*
 * Do an access, and report_wrong() whatever is not as it must be: outcome, memory, A and D bits. `what` names the case.
 * gpa: what `address` is to the nested tables. nx: the host has EFER.NXE.
 */
bool access_check(struct l2 *l2, const struct nested *n, bool nx, enum access access, u64 address, u64 gpa,
		  const char *what);
