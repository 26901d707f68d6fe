# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What the emulator gets wrong, known by what it leaves on a console: no KVM is to blame for it, neither ours nor Debian's."""
import re

# Under QEMU's TCG the vector that VMRUN has injected stays behind in the emulated CPU until the guest exits. If QEMU calls
# the CPU out of its loop before, it delivers the vector once more, though the handler has begun and interrupts are off:
# QEMU's own log shows it (`-d int`). If the first one came from user space, the second finds no GS of the kernel's, and
# Linux dies.
_HANDLER = r"asm_(?:sysvec|common_interrupt)\w*"
_FRAME = re.compile(rf" {_HANDLER}\+0x[0-9a-f]+/")
_AT_FIRST_INSTRUCTION = re.compile(rf" RIP: 0010:{_HANDLER}\+0x0/")
_FLAGS = re.compile(r" EFLAGS: ([0-9a-f]{8})$")
_IF = 1 << 9
_FLAGS_WITHIN = 4           # lines of a frame down to that with its flags


def interrupted_twice(lines):
    """True if a kernel's backtrace among them has an interrupt whose handler was interrupted as it began, RFLAGS.IF clear.

    No CPU does that: APM vol. 2, "Interrupt Gates and Trap Gates" (IF is clear before the handler's first instruction).
    """
    for number, line in enumerate(lines[1:], 1):
        if _AT_FIRST_INSTRUCTION.search(line) and _FRAME.search(lines[number - 1]):
            flags = next(filter(None, map(_FLAGS.search, lines[number:number + _FLAGS_WITHIN])), None)
            if flags and not int(flags[1], 16) & _IF:
                return True
    return False
