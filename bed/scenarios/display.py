# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Dirty logging as QEMU uses it: the guest draws on a VGA card, and QEMU must notice each page that changed.

QEMU redraws only what the dirty log names. After each frame its screen is compared with what the guest has drawn.
"""
from ..guest import pack_guest, start_command
from ..image import Image
from ..job import Job
from ..places import BED, kernel_image
from ..programs import build_program

FRAMES = 12
# VESA mode 0x142 + 0x200: 640 by 480, 32 bits a pixel. Nothing but the job may draw. The code that sets the mode is in
# front of the kernel proper, in a bzImage alone.
APPEND = "vga=0x342 vt.global_cursor_default=0"

GUEST = f"""
[ -e /dev/fb0 ] || {{ echo "no frame buffer"; exit 1; }}
frame=0
while [ $frame -lt {FRAMES} ]; do
    /bed/screen draw $frame || exit 1
    echo "frame $frame is $(/bed/screen show | md5sum)"
    read -r go < /dev/ttyS1
    frame=$((frame + 1))
done
"""

HOST = f"""
. /bed/guest.sh
mkfifo /run/talk.in /run/talk.out
{start_command("display", 256, append=APPEND, options="-vga std -serial pipe:/run/talk",
               kernel=kernel_image())}
frame=0
while [ $frame -lt {FRAMES} ]; do
    guest_await_line L1 "frame $frame is" || exit 1
    guest_tell L1 '{{"execute":"screendump","arguments":{{"filename":"/tmp/screen"}}}}' || exit 1
    drawn=$(grep "frame $frame is" /run/L1.log | cut -d' ' -f4)
    shown=$(tail -c $((640 * 480 * 3)) /tmp/screen | md5sum | cut -d' ' -f1)
    [ "$drawn" = "$shown" ] || {{ echo "frame $frame: drawn $drawn, shown $shown"; exit 1; }}
    echo go 1<> /run/talk.in
    frame=$((frame + 1))
done
guest_await_halt L1 && guest_passed L1 || exit 1
guest_end L1
"""


def prepare(image, work):
    """Pack the guest that draws; see the package."""
    guest = Image()
    guest.add_program(build_program(BED / "guest" / "screen.c"), "bed/screen")
    image.add_qemu()
    pack_guest(image, "display", guest, [Job("draw", GUEST, 150)], work, kernel_image())
    return Job("display", HOST, 180)
