# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The guests of a run, each inside the one before: how they are packed and started, and what became of them."""
from .guest import Guest, pack_guest, start_command
from .image import Image
from .job import Job
from .places import BED, kernel_image, module_folders
from .programs import build_program

MIDDLE_SPARE = 60           # seconds that L1 has beside those of L2


class Chain:
    """L1 that works, or, if the mode is nested, L1 with the distribution's KVM that runs an L2 that works; in a host.

    guests: a Guest each, from the outermost in. jobs: what the innermost one does.
    """

    def __init__(self, mode, limit, host):
        self._mode = mode
        self._kernel = host.guest_kernel(kernel_image())
        inner_limit = limit - MIDDLE_SPARE if mode.nested else limit
        self.jobs = [Job(kind, f"exec /bed/work {kind} {amount}\n", inner_limit) for kind, amount in mode.work.items()]
        self.guests = [Guest("L1", self.jobs)]
        memory = mode.guest_memory
        if mode.nested:
            script = (". /bed/guest.sh\n" + self._start("L2", memory, host) +
                      "guest_await_halt L2 && guest_passed L2 || exit 1\nguest_end L2\n")
            middle = [Job("L2", script, inner_limit)]
            self.guests = [Guest("L1", middle), Guest("L2", self.jobs, "L1")]
            memory = mode.middle_memory
        self.script = self._start("L1", memory, host) + "guest_await_halt L1 || exit 1\n"

    def _start(self, name, memory, host):
        """Shell text that starts a guest."""
        return start_command(name, memory, host.guest_cpus, host.guest_append, name=name, kernel=self._kernel)

    @property
    def inner(self):
        """The Guest that works."""
        return self.guests[-1]

    def pack(self, image, folder):
        """Put QEMU and the guests into L0's image; folder: for files on the way."""
        images = [image]
        if self._mode.nested:
            middle = Image()
            middle.add_modules([self._mode.vendor], module_folders("stock"))
            images.append(middle)
        worker = Image()
        worker.add_program(build_program(BED / "guest" / "work.c"), "bed/work")
        images.append(worker)
        # From the inside out: an image is written when it is put into the next.
        for guest, outer, inner in reversed(list(zip(self.guests, images, images[1:]))):
            outer.add_qemu()
            pack_guest(outer, guest.name, inner, guest.jobs, folder, self._kernel)

    def verdict(self):
        """What went wrong in one plain sentence, or "" if all guests did all they should, or none was started."""
        started = [guest for guest in self.guests if guest.started is not None]
        # A guest that fails takes those inside with it if it panics; otherwise it fails because they do.
        for guest in sorted(reversed(started), key=lambda guest: not guest.panic):
            wrong = guest.verdict()
            if wrong:
                return wrong
        return ""
