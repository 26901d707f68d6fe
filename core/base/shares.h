/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How a host's reader-writer lock of a VM can be held shared without a word that all holders write: see
 * docs/locking.md, "Shares".
 *
 * Each CPU has a word of its own. While the shares of a VM are open, whoever wants the lock shared says so in its CPU's
 * word and is done. Somebody who wants the VM to itself takes the lock exclusively, closes the shares and waits until
 * no word names them. From then on everybody uses the lock; who holds it shared may open the shares again. Closing
 * costs a look at each CPU's word, so a host lets some time pass before it opens them.
 *
 * A host need not use them. Who does stays on its CPU, in the sense of its word, while it holds a share.
 */
#ifndef VMMU_BASE_SHARES_H
#define VMMU_BASE_SHARES_H

#include "base/atomic.h"

/* Of a VM; zeroed: closed. */
struct vmmu_shares {
	bool open;
};

/* Of a CPU: the shares of which it holds one, or NULL. On a cache line of its own. */
struct vmmu_share {
	const struct vmmu_shares *of;
};

/* Take a share. Return: false if they are closed, or @mine is in use already: take the lock itself. */
static inline bool share_try_take(const struct vmmu_shares *shares, struct vmmu_share *mine)
{
	if (!flag_load(&shares->open) || mine->of)
		return false;
	/* Either the word is seen by who closes them, or that is seen here. */
	VMMU_SCHEDULE_POINT();
	(void)__atomic_exchange_n(&mine->of, shares, __ATOMIC_SEQ_CST);
	VMMU_SCHEDULE_POINT();
	if (__atomic_load_n(&shares->open, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(&mine->of, NULL, __ATOMIC_RELEASE);
	return false;
}

/* Give it back. */
static inline void share_give(struct vmmu_share *mine)
{
	VMMU_SCHEDULE_POINT();
	__atomic_store_n(&mine->of, NULL, __ATOMIC_RELEASE);
}

/* Does @mine, the caller's own word, hold one of these? */
static inline bool share_is_held(const struct vmmu_shares *shares, const struct vmmu_share *mine)
{
	return __atomic_load_n(&mine->of, __ATOMIC_RELAXED) == shares;
}

/* Context: the lock itself is held shared. */
static inline void shares_open(struct vmmu_shares *shares)
{
	flag_store(&shares->open, true);
}

/* Context: the lock is held exclusively. Return: they were open; the caller waits for each CPU by shares_left(). */
static inline bool shares_close(struct vmmu_shares *shares)
{
	if (!flag_load(&shares->open))
		return false;
	__atomic_store_n(&shares->open, false, __ATOMIC_SEQ_CST);
	return true;
}

/* Once true after shares_close(), it stays so, and what the holder did is seen. */
static inline bool shares_left(const struct vmmu_shares *shares, const struct vmmu_share *word)
{
	VMMU_SCHEDULE_POINT();
	return __atomic_load_n(&word->of, __ATOMIC_SEQ_CST) != shares;
}

#endif
