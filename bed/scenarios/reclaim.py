# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""A host short of memory: it swaps a guest out and merges its equal pages, while the guest checks all it holds."""
from ..guest import pack_guest, start_command
from ..image import Image
from ..job import Job
from ..places import BED, kernel_modules
from ..programs import build_program

GUEST = """
for round in 1 2; do
    /bed/work memory 128 || exit 1
    echo "round $round"
done
"""

HOST = f"""
. /bed/guest.sh
echo 1G > /sys/block/zram0/disksize
mkswap /dev/zram0 > /dev/null && swapon /dev/zram0 || exit 1
echo 1000 > /sys/kernel/mm/ksm/pages_to_scan
echo 1 > /sys/kernel/mm/ksm/run
mkdir -p /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/guest
echo $$ > /sys/fs/cgroup/guest/cgroup.procs
{start_command("reclaim", 320, options="-machine mem-merge=on")}
(
    guest_await_line L1 '@@bed begin'
    until [ -e /run/L1.gone ] || grep -q '@@bed stop' /run/L1.log; do
        echo 64M > /sys/fs/cgroup/guest/memory.reclaim
        sleep 0.5
    done 2> /dev/null
) &
guest_await_halt L1 && guest_passed L1 || exit 1
echo "$(grep -E 'pswp(in|out)' /proc/vmstat | xargs) pages_sharing $(cat /sys/kernel/mm/ksm/pages_sharing)"
guest_end L1
read -r name swapped_out <<- END
	$(grep pswpout /proc/vmstat)
END
[ $swapped_out -gt 1000 ] || {{ echo "hardly anything was swapped out"; exit 1; }}
swapoff /dev/zram0
echo 1 > /sys/block/zram0/reset
echo 2 > /sys/kernel/mm/ksm/run
echo $$ > /sys/fs/cgroup/cgroup.procs
"""


def prepare(image, work):
    """Pack the guest that works, and zram to swap to; see the package."""
    guest = Image()
    guest.add_program(build_program(BED / "guest" / "work.c"), "bed/work")
    image.add_qemu()
    image.add_modules(["zram"], [kernel_modules()])
    pack_guest(image, "reclaim", guest, [Job("work", GUEST, 200)], work)
    return Job("reclaim", HOST, 240)
