// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A guest under nested tables in one format, with low memory mapped and nothing yet at L2_TEST. */
#pragma once
#include "access.h"

struct setting {
	char name[60];
	bool nx;				/* the host has EFER.NXE */
	struct svm_host_mode mode;		/* what the guest's `host` points at, if it is not the kernel's own */
	struct nested nested;
	struct l2 l2;
};

/* Frames for tests to map, a large page's worth of any format. */
enum { SETTING_FRAMES = 1024 };
uptr setting_frames(void);

/* format: of the nested tables; NESTED_4 is the kernel's own mode. */
void setting_make(struct setting *s, enum nested_format format, enum l2_paging paging);

/* Have the next run begin with no translation of `gpa`, in one of the ways there are; `how` counts through them. */
void setting_flush(struct setting *s, unsigned int how, u64 gpa);

/* access_check() of an address that the guest maps to itself. */
bool setting_check(struct setting *s, enum access access, u64 gpa, const char *what);

/* The tests, each on a setting of its own kind. */
void test_rights(struct setting *s);
void test_random(struct setting *s);
void test_special(void);
void test_beyond(void);
void test_rotation(bool all);		/* not all: only different numbers of guests, in one setting */
void test_cold(void);
void test_parallel(void);
void test_crowd(void);
