# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Memory taken away under running vCPUs, in every way a host has; the strictest check is tests/kvm/pressure.c."""
from ..job import Job
from ..places import ROOT, kernel_modules
from ..programs import build_program

SECONDS = 2             # for each way

HOST = f"""
echo 256M > /sys/block/zram0/disksize
mkswap /dev/zram0 > /dev/null && swapon /dev/zram0 || exit 1
echo 10 > /sys/kernel/mm/ksm/sleep_millisecs
echo 500 > /sys/kernel/mm/ksm/pages_to_scan
echo 1 > /sys/kernel/mm/ksm/run
/bed/pressure {SECONDS}
status=$?
grep pswpout /proc/vmstat
# All ways can be had here: one that is skipped is a failure.
[ $status = 0 ] || exit 1
swapoff /dev/zram0
echo 1 > /sys/block/zram0/reset
echo 2 > /sys/kernel/mm/ksm/run
"""


def prepare(image, _work):
    """Pack the program and zram to swap to; see the package."""
    image.add_program(build_program(ROOT / "tests" / "kvm" / "pressure.c"), "bed/pressure")
    image.add_modules(["zram"], [kernel_modules()])
    return Job("pressure", HOST, 300)
