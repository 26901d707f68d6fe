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

# With a thread a CPU, QEMU can go on to carry out a breakpoint that Linux put into its code for a moment to change it: the
# handler finds none, returns, and the CPU comes to it again, for ever.
_BREAKPOINTS = 3            # times a CPU has to be seen at the first instruction of the handler


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


def hangs_of(looks):
    """Why the emulator hangs, or "" if that is not known of it. looks: the Cpus of a host that hangs, as seen again and again.

    A kernel that waits for a lock has a CPU that runs, and it is not in the handler of breakpoints.
    """
    if not looks or not all(looks):
        return ""
    if all(cpu.halted for cpus in looks for cpu in cpus):
        return "its CPUs sleep, and no clock wakes them"
    for places in zip(*looks):
        if sum(cpu.rip == cpu.breakpoint_handler and not cpu.halted for cpu in places) >= _BREAKPOINTS:
            return "a CPU runs into a breakpoint that is gone"
    return ""
