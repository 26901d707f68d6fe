# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""A Linux guest of a host: how it is packed, started, and followed on the host's console."""
import re
import shlex

from .flat_kernel import flat_image_for_qemu
from .places import BED, kernel_image
from .protocol import Listener

# pci=noearly: on AMD's CPUs Linux looks for an AGP bridge, twice, by 33,000 reads of ports, which take L2 half of its boot.
COMMAND_LINE = "console=ttyS0 quiet oops=panic panic=-1 pci=noearly"


def pack_guest(host_image, label, guest_image, jobs, work, kernel=None):
    """Put a guest into a host's image under a label: its kernel, and guest_image with these jobs.

    work: a folder for its initramfs. kernel: its file, by default the test bed's kernel, which need not unpack itself.
    """
    initramfs = work / f"{label}.cpio"
    guest_image.write(initramfs, jobs)
    kernel = kernel or flat_image_for_qemu(kernel_image())
    host_image.add_file(kernel, f"guest/{kernel.name}")
    host_image.add_file(initramfs, f"guest/{label}.cpio")
    host_image.add_file(BED / "guest.sh", "bed/guest.sh")


def start_command(label, memory, cpus=2, append="", options="", name="L1", kernel=None):
    """Shell text that starts a packed guest as `name`; memory in MiB, options for QEMU as shell text.

    It needs guest.sh. kernel: as of pack_guest().
    """
    kernel = kernel or flat_image_for_qemu(kernel_image())
    words = shlex.quote(f"{COMMAND_LINE} {append}".strip())
    return (f"guest_start {name} -m {memory} -smp {cpus} -kernel /guest/{kernel.name} -initrd /guest/{label}.cpio "
            f"-append {words} {options}\n")


class Guest:
    """A guest that runs `jobs`, as L0's console shows it. Times are seconds of L0's uptime.

    host: the name of the guest in which it runs, None if it runs in L0.
    started, ready, halted, gone: when QEMU began, user space was up, it ran no more, QEMU ended untold; or None.
    finished: [(Outcome, time)]. said: its last line, "" if a job has just begun. panic: what it panicked of, or "".
    """

    def __init__(self, name, jobs, host=None):
        self.name = name
        self.jobs = jobs
        time = r"(?P<time>[\d.]+)"
        if host:            # What it says is relayed twice; the outer relay tells the time of L0.
            self._line = re.compile(rf"{host} {time} {name} [\d.]+ ?(?P<text>.*)")
            self._note = re.compile(rf"{host} {time} @@note {name}\.(?P<event>started|halted|gone) ")
        else:
            self._line = re.compile(rf"{name} {time} ?(?P<text>.*)")
            self._note = re.compile(rf"@@note {name}\.(?P<event>started|halted|gone) {time}")
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
        """Take in one line of L0's console; returns the guest's own line in it, or None."""
        note = self._note.match(line)
        if note and note["event"] == "started":
            self._restart(float(note["time"]))      # Once more, if the host was booted again.
        elif note:
            setattr(self, note["event"], float(note["time"]))
        own = self._line.match(line)
        if not own:
            return None
        time, text = float(own["time"]), own["text"]
        outcome = self._listener.hear(text)
        if outcome:
            self.finished.append((outcome, time))
        if self._listener.ready is not None and self.ready is None:
            self.ready = time
        if text.startswith("@@bed begin"):
            self.said = ""
        elif text.strip() and not text.startswith("@@"):
            self.said = text
        return text

    def verdict(self):
        """What went wrong in one plain sentence, or "" if all jobs passed and the guest powered off."""
        failed = next((outcome for outcome, _ in self.finished if not outcome.ok), None)
        if self.panic:
            return f"the guest {self.name} panicked: {self.panic}"
        if self._listener.module_failed:
            return f"a module does not load into the guest {self.name}: {self._listener.module_failed}"
        if failed:
            last = next((f" ({line})" for line in reversed(failed.lines) if line.strip()), "")
            return f"the job '{failed.job.name}' of {self.name} failed: {failed.reason}{last}"
        if self._listener.stopped and self.halted is not None:
            return ""
        where = f"in its job '{self.running.job.name}'" if self.running else "while it booted" if self.ready is None \
            else "between jobs or as it powered off"
        how = "stopped" if self.halted else "died with its QEMU" if self.gone else "hung"
        return f"the guest {self.name} {how} {where}; its last line: {self.said or 'none'}"
