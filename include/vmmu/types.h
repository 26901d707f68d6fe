/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The words every part of vmmu shares: addresses, frame numbers, levels, access rights, results.
 *
 * Addresses are bytes, frame numbers count 4 KiB frames, ranges are half open: [start, end).
 */
#ifndef VMMU_TYPES_H
#define VMMU_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/stddef.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

typedef uint64_t vmmu_gva_t;	/* guest virtual (linear) address,
				 * or an L2 guest's physical address where a nested table is walked */
typedef uint64_t vmmu_gpa_t;	/* guest physical address, of L1 unless said otherwise */
typedef uint64_t vmmu_gfn_t;	/* guest frame number: gpa >> 12 */
typedef uint64_t vmmu_hpa_t;	/* host physical address */
typedef uint64_t vmmu_pfn_t;	/* host frame number: hpa >> 12 */

#define VMMU_PAGE_SHIFT	12
#define VMMU_PAGE_SIZE	(1ull << VMMU_PAGE_SHIFT)
#define VMMU_HPA_INVALID (~(vmmu_hpa_t)0)
#define VMMU_GPA_INVALID (~(vmmu_gpa_t)0)

/* Entries of one of our own tables. */
#define VMMU_TABLE_ENTRIES 512u

/*
 * Level of a table, or of the entry that sits in it: an entry of a level 1 table maps 4 KiB, a leaf
 * entry of a level 2 table 2 MiB (4 MiB in the 32-bit format), of a level 3 table 1 GiB.
 */
enum vmmu_level {
	VMMU_LEVEL_NONE = 0,
	VMMU_LEVEL_4K,
	VMMU_LEVEL_2M,
	VMMU_LEVEL_1G,
	VMMU_LEVEL_512G,
	VMMU_LEVEL_256T,
};
#define VMMU_LEVEL_MAX		VMMU_LEVEL_256T
#define VMMU_LEVEL_HUGE_MAX	VMMU_LEVEL_1G

/* log2 of the 4 KiB frames that one entry at @level of our own tables covers. */
static inline unsigned int vmmu_level_frames_lg2(int level)
{
	return 9u * (unsigned int)(level - 1);
}

/* Number of 4 KiB frames that one entry at @level of our own tables covers. */
static inline uint64_t vmmu_level_frames(int level)
{
	return 1ull << vmmu_level_frames_lg2(level);
}

/* First frame of the naturally aligned @level-sized page that holds @gfn. */
static inline vmmu_gfn_t vmmu_gfn_round(vmmu_gfn_t gfn, int level)
{
	return gfn & ~(vmmu_level_frames(level) - 1);
}

/*
 * Rights of a translation. X, W and U stand where KVM's ACC_* bits stand, since the tables made from
 * them are read by KVM's inline code. R is a right of its own in the EPT format only; every other
 * format reads whatever is present, and sets it.
 */
#define VMMU_ACC_X	(1u << 0)
#define VMMU_ACC_W	(1u << 1)
#define VMMU_ACC_U	(1u << 2)
#define VMMU_ACC_R	(1u << 3)
#define VMMU_ACC_ALL	(VMMU_ACC_X | VMMU_ACC_W | VMMU_ACC_U | VMMU_ACC_R)

/*
 * Page-fault error code bits (Intel SDM vol. 3 "Page-Fault Exceptions", AMD APM vol. 2 "Page-Fault
 * Error Code"), and above bit 31 those of a nested page fault (APM vol. 2 "Nested versus Guest Page
 * Faults"). VMMU_PF_IMPLICIT is ours: a supervisor access the CPU makes by itself (descriptor
 * tables and the like), which EFLAGS.AC does not exempt from SMAP.
 */
#define VMMU_PF_P	(1ull << 0)
#define VMMU_PF_W	(1ull << 1)
#define VMMU_PF_U	(1ull << 2)
#define VMMU_PF_RSVD	(1ull << 3)
#define VMMU_PF_F	(1ull << 4)
#define VMMU_PF_PK	(1ull << 5)
#define VMMU_PF_FINAL	(1ull << 32)
#define VMMU_PF_TABLE	(1ull << 33)
#define VMMU_PF_IMPLICIT (1ull << 48)

/* Operation result: 0 or a negative value, with Linux's numbers so that no host has to translate. */
enum vmmu_status {
	VMMU_OK = 0,
	VMMU_EAGAIN = -11,	/* lost a race, nothing changed; in the core, and from vmmu_host_gpte_cmpxchg() */
	VMMU_ENOMEM = -12,	/* the host has no memory; nothing changed */
	VMMU_EFAULT = -14,	/* guest memory cannot be accessed */
};

/* What the host does after vmmu_fault(); never mixed with enum vmmu_status, all values above 0. */
enum vmmu_fault_result {
	VMMU_FAULT_RETRY = 1,	/* let the guest run into it again; something moved meanwhile */
	VMMU_FAULT_FIXED,	/* an entry was installed or its rights widened */
	VMMU_FAULT_SPURIOUS,	/* the entry allowed the access already */
	VMMU_FAULT_EMULATE,	/* the host has to carry out the instruction: MMIO, a tracked or a read-only page */
	VMMU_FAULT_INJECT,	/* the fault is the guest's own: struct vmmu_guest_fault says what to tell it */
	VMMU_FAULT_ERROR,	/* the host failed; vmmu_fault.error says how */
};

#if defined(__GNUC__) || defined(__clang__)
#define VMMU_MUST_CHECK __attribute__((warn_unused_result))
#else
#define VMMU_MUST_CHECK
#endif

#endif
