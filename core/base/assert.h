/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Broken invariants. Nothing that guest input alone can bring about is checked here.
 *
 * IMPOSSIBLE()  in every build: the VM cannot go on. True if the condition holds, so that the caller gets out.
 * CHECK()       in debug builds (VMMU_DEBUG) only.
 */
#ifndef VMMU_BASE_ASSERT_H
#define VMMU_BASE_ASSERT_H

#include <vmmu/host.h>

#define IMPOSSIBLE(vm, condition) \
	(__builtin_expect(!!(condition), 0) ? (vmmu_host_bug(vm, #condition), true) : false)

#ifdef VMMU_DEBUG
#define CHECK(vm, condition) ((condition) ? (void)0 : vmmu_host_bug(vm, #condition))
#else
#define CHECK(vm, condition) ((void)sizeof((vm)), (void)sizeof((condition)))
#endif

#endif
