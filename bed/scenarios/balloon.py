# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Ballooning: the host takes memory from a guest and gives it back, while the guest works and checks what it holds."""
from ..guest import pack_guest, start_command
from ..image import Image
from ..job import Job
from ..places import BED, kernel_modules
from ..programs import build_program

MEMORY = 288
SMALL = 276             # MiB that the balloon leaves. QEMU drops each page by itself, which costs 5 ms under emulation.
TURNS = 2

GUEST = """
# Touch nearly all of the memory first: then there is something to take away.
/bed/work memory 160 || exit 1
(read -r go < /dev/ttyS1; touch /run/enough) &
rounds=0
until [ -e /run/enough ]; do
    /bed/work memory 64 > /run/said || { cat /run/said; exit 1; }
    rounds=$((rounds + 1))
    echo "round $rounds"
done
echo "$rounds rounds"
"""

HOST = f"""
. /bed/guest.sh
mkfifo /run/talk.in /run/talk.out
{start_command("balloon", MEMORY, options="-device virtio-balloon-pci -serial pipe:/run/talk")}
resize() {{
    guest_tell L1 '{{"execute":"balloon","arguments":{{"value":'$(($1 << 20))'}}}}' || exit 1
    until guest_tell L1 '{{"execute":"query-balloon"}}' && case $reply in *" $(($1 << 20))}}"*) ;; *) false ;; esac; do
        [ ! -e /run/L1.gone ] || exit 1
        sleep 0.5
    done
    echo "the guest has $1 MiB, QEMU $(grep VmRSS /proc/$(cat /run/L1.pid)/status)"
}}
guest_await_line L1 'round 1' || exit 1
turn=0
while [ $turn -lt {TURNS} ]; do
    resize {SMALL}
    sleep 1
    resize {MEMORY}
    sleep 1
    turn=$((turn + 1))
done
echo enough 1<> /run/talk.in
guest_await_halt L1 && guest_passed L1 || exit 1
guest_end L1
"""


def prepare(image, work):
    """Pack the guest with the balloon; see the package."""
    guest = Image()
    guest.add_modules(["virtio_pci", "virtio_balloon"], [kernel_modules()])
    guest.add_program(build_program(BED / "guest" / "work.c"), "bed/work")
    image.add_qemu()
    pack_guest(image, "balloon", guest, [Job("work", GUEST, 200)], work)
    return Job("balloon", HOST, 240)
