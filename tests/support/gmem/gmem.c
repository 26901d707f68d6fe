/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <vmmu/host.h>

struct gmem *gmem_current;
