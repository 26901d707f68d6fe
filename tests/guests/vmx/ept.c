// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Building extended page tables. */
#include "ept.h"
#include "boot.h"
#include "vm.h"

bool ept_has_ad(void)
{
	return vmx_ept_caps() & EPT_CAP_AD;
}

bool ept_has_exec_only(void)
{
	return vmx_ept_caps() & EPT_CAP_EXEC_ONLY;
}

int ept_largest(void)
{
	return vmx_ept_caps() & EPT_CAP_1G ? 3 : vmx_ept_caps() & EPT_CAP_2M ? 2 : 1;
}

u64 ept_pointer(const u64 *top, bool ad)
{
	return (uptr)top | EPTP_WB | EPTP_FOUR_LEVELS | (ad && ept_has_ad() ? EPTP_AD : 0);
}

u64 *ept_entry(u64 *table, u64 gpa, int level)
{
	for (int i = EPT_TOP; i > level; i--) {
		u64 *entry = &table[pt_index(gpa, i)];

		if (!(*entry & EPT_RWX))
			WRITE_ONCE(*entry, (uptr)alloc_page() | EPT_RWX);
		table = (u64 *)(uptr)(*entry & PTE_ADDRESS);
	}
	return &table[pt_index(gpa, level)];
}

u64 ept_leaf(u64 hpa, int level, u64 rights)
{
	return hpa | rights | EPT_WB | (level > 1 ? EPT_LEAF : 0);
}

void ept_map(u64 *top, u64 gpa, u64 hpa, int level, u64 rights)
{
	WRITE_ONCE(*ept_entry(top, gpa, level), ept_leaf(hpa, level, rights));
}

u64 *ept_identity(void)
{
	u64 *top = alloc_page();

	for (u64 at = 0; at < boot_memory_end(); at += ept_page_bytes(2))
		ept_map(top, at, at, 2, EPT_RWX);
	return top;
}

void ept_flush(u64 eptp)
{
	if (!invept(INVEPT_ONE, eptp))
		guest_panic("invept of %llx fails", (unsigned long long)eptp);
}
