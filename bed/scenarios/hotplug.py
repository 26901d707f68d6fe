# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Memslots come and go under a guest that works: memory is plugged and unplugged, a device's memory is switched off and
on by the guest, and the whole machine is reset in between.
"""
from ..guest import pack_guest, start_command
from ..image import Image
from ..job import Job
from ..places import BED
from ..programs import build_program

MEMORY = 256
PLUGGED = 128
TURNS = 1
TOGGLES = 30
APPEND = "memhp_default_state=online_movable"

GUEST = f"""
(read -r go < /dev/ttyS1; touch /run/enough) &
(
    rounds=0
    until [ -e /run/enough ]; do
        /bed/work memory 24 > /run/said && /bed/work fork 5 >> /run/said || {{ cat /run/said; touch /run/bad; exit; }}
        rounds=$((rounds + 1))
        echo "round $rounds"
    done
) &
worker=$!
(
    until [ -e /run/enough ]; do
        echo "has $(grep MemTotal /proc/meminfo)"
        sleep 0.5
    done
) &
# The memory of the VGA card, off and on.
card=$(dirname $(grep -l 0x0300 /sys/bus/pci/devices/*/class))
decode() {{
    printf "$1\\\\0" | dd of=$card/config bs=1 seek=4 conv=notrunc 2> /dev/null
}}
toggles=0
while [ $toggles -lt {TOGGLES} ]; do
    decode '\\0'
    decode '\\3'
    toggles=$((toggles + 1))
done
echo "$toggles toggles"
wait $worker
[ ! -e /run/bad ]
"""

HOST = f"""
. /bed/guest.sh
mkfifo /run/talk.in /run/talk.out
{start_command("hotplug", f"{MEMORY},slots=4,maxmem=1G", append=APPEND,
               options="-vga std -serial pipe:/run/talk -action reboot=reset")}
memory() {{
    grep 'has MemTotal' /run/L1.log | tail -n 1 | tr -dc 0-9
}}
# await_memory -lt|-gt KIB
await_memory() {{
    until [ $(memory) $1 $2 ]; do
        [ ! -e /run/L1.gone ] || exit 1
        sleep 0.3
    done
}}
boot=1
while [ $boot -le 2 ]; do
    until [ $(grep -c '{TOGGLES} toggles' /run/L1.log) = $boot ]; do
        [ ! -e /run/L1.gone ] || exit 1
        sleep 0.3
    done
    turn=0
    while [ $turn -lt {TURNS} ]; do
        before=$(memory)
        name=$boot-$turn
        memory='"qom-type":"memory-backend-ram","id":"memory'$name'","size":{PLUGGED << 20}'
        guest_tell L1 '{{"execute":"object-add","arguments":{{'$memory'}}}}' || exit 1
        dimm='"driver":"pc-dimm","id":"dimm'$name'","memdev":"memory'$name'"'
        guest_tell L1 '{{"execute":"device_add","arguments":{{'$dimm'}}}}' || exit 1
        await_memory -gt $((before + 1024))
        sleep 1
        guest_tell L1 '{{"execute":"device_del","arguments":{{"id":"dimm'$name'"}}}}' || exit 1
        await_memory -lt $((before + 1024))
        turn=$((turn + 1))
    done
    [ $boot = 2 ] || guest_tell L1 '{{"execute":"system_reset"}}' || exit 1
    boot=$((boot + 1))
done
echo enough 1<> /run/talk.in
guest_await_halt L1 && guest_passed L1 || exit 1
guest_end L1
"""


def prepare(image, work):
    """Pack the guest that works; see the package."""
    guest = Image()
    guest.add_program(build_program(BED / "guest" / "work.c"), "bed/work")
    image.add_qemu()
    pack_guest(image, "hotplug", guest, [Job("work", GUEST, 200)], work)
    return Job("hotplug", HOST, 240)
