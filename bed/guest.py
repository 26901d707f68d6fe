# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""A Linux guest of a host: how it is packed, started, and followed on the host's console."""
import re
import shlex

from .places import BED, kernel_image
from .protocol import Listener

COMMAND_LINE = "console=ttyS0 quiet oops=panic panic=-1"


def pack_guest(host_image, label, guest_image, jobs, work):
    """Put a guest into a host's image under a label: its kernel, and guest_image with these jobs.

    work: a folder for its initramfs.
    """
    initramfs = work / f"{label}.cpio"
    guest_image.write(initramfs, jobs)
    host_image.add_file(kernel_image(), "guest/vmlinuz")
    host_image.add_file(initramfs, f"guest/{label}.cpio")
    host_image.add_file(BED / "guest.sh", "bed/guest.sh")


def start_command(label, memory, cpus=2, append="", options=""):
    """Shell text that starts a packed guest as L1; memory in MiB, options for QEMU as shell text. It needs guest.sh."""
    words = shlex.quote(f"{COMMAND_LINE} {append}".strip())
    return (f"guest_start L1 -m {memory} -smp {cpus} -kernel /guest/vmlinuz -initrd /guest/{label}.cpio "
            f"-append {words} {options}\n")


class Guest:
    """A guest that runs `jobs`, as its host's console shows it. Times are seconds of the host's uptime.

    started, ready, halted, gone: when QEMU began, user space was up, it ran no more, QEMU ended untold; or None.
    finished: [(Outcome, time)]. said: its last line, "" if a job has just begun. panic: what it panicked of, or "".
    """

    def __init__(self, name, jobs):
        self.name = name
        self.jobs = jobs
        self._line = re.compile(rf"{name} ([\d.]+) ?(.*)")
        self._note = re.compile(rf"@@note {name}\.(started|halted|gone) ([\d.]+)")
        self._restart(None)

    def _restart(self, time):
        self.started = time
        self.ready = self.halted = self.gone = None
        self.finished = []
        self.said = ""
        self._listener = Listener(self.jobs)

    @property
    def panic(self):
        return self._listener.panic

    @property
    def running(self):
        """The Outcome, as yet unfinished, of the job that runs, or None."""
        return self._listener.current

    def hear(self, line):
        """Take in one line of the host's console; returns the guest's own line in it, or None."""
        note = self._note.match(line)
        if note and note[1] == "started":
            self._restart(float(note[2]))           # Once more, if the host was booted again.
        elif note:
            setattr(self, note[1], float(note[2]))
        own = self._line.match(line)
        if not own:
            return None
        outcome = self._listener.hear(own[2])
        if outcome:
            self.finished.append((outcome, float(own[1])))
        if self._listener.ready is not None and self.ready is None:
            self.ready = float(own[1])
        if own[2].startswith("@@bed begin"):
            self.said = ""
        elif own[2].strip() and not own[2].startswith("@@"):
            self.said = own[2]
        return own[2]

    def verdict(self):
        """What went wrong in one plain sentence, or "" if all jobs passed and the guest powered off."""
        failed = next((outcome for outcome, _ in self.finished if not outcome.ok), None)
        if self.panic:
            return f"the guest panicked: {self.panic}"
        if self._listener.module_failed:
            return f"a module does not load into the guest: {self._listener.module_failed}"
        if failed:
            last = next((line for line in reversed(failed.lines) if line.strip()), "")
            return f"the guest's job '{failed.job.name}' failed: {failed.reason}" + (f" ({last})" if last else "")
        if self._listener.stopped and self.halted is not None:
            return ""
        where = f"in its job '{self.running.job.name}'" if self.running else "while it booted" if self.ready is None \
            else "between jobs or as it powered off"
        how = "stopped" if self.halted else "died with its QEMU" if self.gone else "hung"
        return f"the guest {how} {where}; its last line: {self.said or 'none'}"
