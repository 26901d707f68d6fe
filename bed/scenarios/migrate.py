# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Live migration: a guest that works moves to a second QEMU on the same host, and from there to a third.

First its memory is sent while the dirty log tells what it changed meanwhile (precopy); then it moves at once, and its
memory follows as it is missed (postcopy, by userfaultfd). What it held before is compared at the end.
"""
from ..guest import pack_guest, start_command
from ..image import Image
from ..job import Job
from ..places import BED
from ..programs import build_program

MEMORY = 288
KEPT = 32               # MiB that the guest writes once

# The console of the second and the third QEMU begins in the middle: each says by itself whether all went well.
GUEST = f"""
dd if=/dev/urandom of=/tmp/kept bs=1M count={KEPT} 2> /dev/null
sum=$(md5sum < /tmp/kept)
(read -r go < /dev/ttyS1; touch /run/enough) &
rounds=0
until [ -e /run/enough ]; do
    /bed/work memory 24 > /run/said && /bed/work fork 5 >> /run/said || {{ cat /run/said; exit 1; }}
    rounds=$((rounds + 1))
    echo "round $rounds"
done
[ "$sum" = "$(md5sum < /tmp/kept)" ] || {{ echo "what was kept has changed"; exit 1; }}
"""

# L2 and L3 are no guests of a guest here: they are where L1 goes to.
HOST = f"""
. /bed/guest.sh
for pipe in 1 2 3; do
    mkfifo /run/talk$pipe.in /run/talk$pipe.out
done
capabilities='"migrate-set-capabilities","arguments":{{"capabilities":[{{"capability":"postcopy-ram","state":true}}]}}'
# Say how often the guest has reported a round to this QEMU.
rounds() {{
    grep -c round /run/$1.log
}}
await_rounds() {{
    goal=$(($(rounds $1) + $2))
    until [ $(rounds $1) -ge $goal ]; do
        [ ! -e /run/$1.gone ] || exit 1
        sleep 0.2
    done
}}
# migrate FROM TO WAY
migrate() {{
    if [ $3 = postcopy ]; then
        guest_tell $1 "{{\\"execute\\":$capabilities}}" && guest_tell $2 "{{\\"execute\\":$capabilities}}" || exit 1
    fi
    guest_tell $1 '{{"execute":"migrate","arguments":{{"uri":"unix:/run/way-'$2'"}}}}' || exit 1
    if [ $3 = postcopy ]; then
        sleep 0.5
        guest_tell $1 '{{"execute":"migrate-start-postcopy"}}' || exit 1
    fi
    until guest_tell $1 '{{"execute":"query-migrate"}}' && case $reply in *'"completed"'*) ;; *) false ;; esac; do
        case $reply in *'"failed"'*) echo "$reply"; exit 1 ;; esac
        [ ! -e /run/$1.gone ] || exit 1
        sleep 0.3
    done
    echo "$3: $(echo "$reply" | grep -o '"dirty-sync-count": [0-9]*'), $(rounds $1) rounds before"
}}
destination() {{
    {start_command("migrate", MEMORY, options='-serial pipe:/run/talk$number -incoming unix:/run/way-$name',
                   name="$name").strip()}
}}
{start_command("migrate", MEMORY, options="-serial pipe:/run/talk1")}
await_rounds L1 1
name=L2 number=2
destination
migrate L1 L2 precopy
guest_end L1
await_rounds L2 2
name=L3 number=3
destination
migrate L2 L3 postcopy
guest_end L2
await_rounds L3 2
echo enough 1<> /run/talk3.in
guest_await_halt L3 && guest_passed L3 || exit 1
guest_end L3
"""


def prepare(image, work):
    """Pack the guest that moves; see the package."""
    guest = Image()
    guest.add_program(build_program(BED / "guest" / "work.c"), "bed/work")
    image.add_qemu()
    pack_guest(image, "migrate", guest, [Job("work", GUEST, 200)], work)
    return Job("migrate", HOST, 240)
