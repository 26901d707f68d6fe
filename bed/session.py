# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Boot a host, run jobs in it, and say what came of each."""
import re
import time

from .errors import BedError
from .job import Outcome, Status

MARK = re.compile(r"^(?!L\d ).*?@@bed (\S+) ?(.*)")         # "L1 ..." is a guest's line, relayed
NOTE = re.compile(r"^@@note (\S+) (.*)")
PANIC = re.compile(r"^(?!L\d ).*(Kernel panic - not syncing: .*|qemu: fatal: .*|BUG: .*)")
SKIPPED = 4                 # the exit status of a test that does not apply
GRACE = 60                  # seconds beyond a job's limit in which the host must have ended it
LAST_WORDS = 10             # seconds a host may live on after it has panicked


def run_jobs(host, image, jobs, work, watch=None):
    """Run jobs in turn in a host; a generator of one Outcome a job, each as soon as it is known.

    host: a Host. image: an Image; it carries the jobs into the host. work: a folder for initramfs.cpio and console.log.
    watch: called with each line of the console, as it comes.
    After a crash or a hang the host is booted again for the jobs that are left. A host that hangs is given a second
    try, and the hang is counted in Outcome.hangs. BedError if the host does not come up at all.
    """
    initramfs = work / "initramfs.cpio"
    image.write(initramfs, jobs)
    hangs = 0
    done = 0
    with open(work / "console.log", "w", encoding="utf-8") as log:
        while done < len(jobs):
            boot = _Boot(jobs, done, log, watch)
            for outcome in boot.run(host, initramfs):
                outcome.hangs += hangs
                hangs = 0
                done += 1
                yield outcome
            if boot.hung:
                hangs += 1
            if hangs == 2 or boot.crashed:
                yield boot.unfinished(hangs)
                hangs = 0
                done += 1


class _Boot:
    """One boot of the host, from job number `first` to the last, or until the host is lost."""

    def __init__(self, jobs, first, log, watch):
        self.jobs = jobs
        self.next = first
        self.hung = self.crashed = False
        self._log = log
        self._watch = watch or (lambda line: None)
        self._ready = self._stopped = False
        self._outcome = None            # of the job that runs
        self._began = 0.0
        self._panic = ""
        self._deadline = 0.0

    def run(self, host, initramfs):
        """Boot and listen; yields the Outcome of each job that ends. Sets hung or crashed if the host is lost."""
        self._deadline = time.monotonic() + host.boot_limit
        console = host.launch(initramfs, f"bed.first={self.next}")
        try:
            for line in self._lines(console):
                outcome = self._hear(line, host)
                if outcome:
                    yield outcome
        finally:
            console.close()
        if not self._stopped:
            self._lose()

    def unfinished(self, hangs):
        """The Outcome of the job that the lost host was at, or about to begin."""
        outcome = self._outcome or Outcome(self.jobs[self.next], Status.FAIL)
        outcome.hangs = hangs
        outcome.status = Status.CRASH if self.crashed else Status.HANG
        outcome.reason = f"the host stopped: {self._panic or 'no message'}" if self.crashed else "the host hung twice"
        return outcome

    def _lines(self, console):
        """Lines of the console, until the machine ends or the deadline passes."""
        rest = b""
        while time.monotonic() < self._deadline:
            try:
                *lines, rest = (rest + console.read(1.0)).split(b"\n")
            except EOFError:
                lines, self._deadline = [rest], 0
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\r")
                self._log.write(line + "\n")
                self._log.flush()
                self._watch(line)
                yield line
                if self._stopped:
                    return
        self.hung = self._deadline > 0 and not self._panic

    def _hear(self, line, host):
        """Take in one line; returns an Outcome if it ends a job."""
        mark = MARK.match(line)
        if mark:
            return self._obey(mark[1], mark[2], host)
        panic = PANIC.match(line)
        if panic and not self._panic:
            self._panic = panic[1]
            self._deadline = min(self._deadline, time.monotonic() + LAST_WORDS)
        if self._outcome:
            note = NOTE.match(line)
            if note:
                self._outcome.notes[note[1]] = note[2]
            self._outcome.lines.append(line)
        return None

    def _obey(self, word, rest, host):
        """One of the marks that init.sh documents."""
        if word == "module-failed":
            raise BedError(f"a module does not load into the host: {rest}", self._log.name)
        if word == "ready":
            self._ready = True
            self._deadline = time.monotonic() + GRACE
        elif word == "begin":
            number, uptime = rest.split()
            self._outcome = Outcome(self.jobs[int(number)], Status.FAIL)
            self._began = float(uptime)
            self._deadline = time.monotonic() + self._outcome.job.limit * host.patience + GRACE
        elif word == "kernel" and self._outcome:
            self._outcome.warnings.append(rest)
        elif word == "end" and self._outcome:
            return self._end(*rest.split()[1:])
        elif word == "stop":
            self._stopped = True
        return None

    def _end(self, status, uptime):
        """The job that runs has ended; returns its Outcome."""
        outcome, self._outcome = self._outcome, None
        self.next += 1
        self._deadline = time.monotonic() + GRACE
        outcome.seconds = round(float(uptime) - self._began, 2)
        if status == "late":
            outcome.status = Status.TIMEOUT
            outcome.reason = f"it ran past its limit of {outcome.job.limit} s"
            return outcome
        outcome.exit_code = int(status)
        if outcome.exit_code == SKIPPED:
            outcome.status = Status.SKIP
        elif outcome.exit_code:
            outcome.reason = f"it ended with status {outcome.exit_code}"
        elif outcome.warnings and not outcome.job.warnings_allowed:
            outcome.reason = f"the host's kernel complained: {outcome.warnings[0]}"
        else:
            outcome.status = Status.PASS
        return outcome

    def _lose(self):
        """The host is gone, or silent."""
        if not self._ready and not self.hung:
            raise BedError(f"the host does not come up: {self._panic or 'it ended without a message'}", self._log.name)
        self.crashed = not self.hung
