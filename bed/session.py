# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Boot a host, run jobs in it, and say what came of each."""
import time

from .errors import BedError
from .flaws import hangs_of, interrupted_twice
from .job import Outcome, Status
from .protocol import Listener

GRACE = 60                  # seconds beyond a job's limit in which the host must have ended it
LAST_WORDS = 10             # seconds a host may live on after it has panicked
LOOKS = 20                  # times to see where the CPUs of a host that hangs are, and
LOOK_EVERY = 0.1            # seconds between them


def run_jobs(host, image, jobs, work, watch=None):
    """Run jobs in turn in a host; a generator of one Outcome a job, each as soon as it is known.

    host: a Host. image: an Image; it carries the jobs into the host. work: a folder for initramfs.cpio and console.log.
    watch: called with each line of the console, as it comes.
    After a crash or a hang the host is booted again for the jobs that are left. A job that hangs or fails of a flaw of the
    emulator (flaws.py) is given a second try, and that is counted in Outcome.hangs. BedError if the host does not come up
    at all.
    """
    initramfs = work / "initramfs.cpio"
    image.write(initramfs, jobs)
    hangs = 0
    done = 0
    with open(work / "console.log", "w", encoding="utf-8") as log:
        while done < len(jobs):
            boot = _Boot(jobs, done, log, watch, forgiving=not hangs)
            for outcome in boot.run(host, initramfs):
                outcome.hangs += hangs
                hangs = 0
                done += 1
                yield outcome
            hangs += bool(boot.flaw)
            if boot.crashed or boot.hung and (not boot.flaw or hangs == 2):
                yield boot.unfinished(hangs)
                hangs = 0
                done += 1


class _Boot:
    """One boot of the host, from job number `first` to the last, or until the host is lost.

    forgiving: the first job has its second try before it; the others have it in any case.
    """

    def __init__(self, jobs, first, log, watch, forgiving):
        self.hung = self.crashed = False
        self.flaw = ""
        self._forgiving = forgiving
        self._listener = Listener(jobs, first)
        self._log = log
        self._watch = watch or (lambda line: None)
        self._deadline = 0.0
        self._last_seen = ""

    def run(self, host, initramfs):
        """Boot and listen; yields the Outcome of each job that ends. Sets hung or crashed if the host is lost.

        flaw is set to what the emulator is to blame for; a job that it broke counts as a host that hung.
        """
        listener = self._listener
        self._deadline = time.monotonic() + host.boot_limit
        console = host.launch(initramfs, f"bed.first={listener.next}")
        try:
            for line in self._lines(console):
                outcome = listener.hear(line)
                if listener.module_failed:
                    raise BedError(f"a module does not load into the host: {listener.module_failed}", self._log.name)
                if "@@bed" in line or listener.panic:
                    self._deadline = time.monotonic() + self._patience(host)
                if outcome and host.flawed and self._forgives(outcome):
                    self.hung, self.flaw = True, "an interrupt came twice"
                    break
                if outcome:
                    self._forgiving = True
                    yield outcome
                elif listener.lost:
                    self.hung = True
                    break
            if self.hung and not self.flaw:
                looks = list(self._looks(console))
                self.flaw = hangs_of(looks) if host.flawed else ""
        finally:
            console.close()
        self.crashed = not listener.stopped and not self.hung
        if self.crashed and listener.ready is None:
            why = listener.panic or "it ended without a message"
            raise BedError(f"the host does not come up: {why}", self._log.name)

    def unfinished(self, hangs):
        """The Outcome of the job that the lost host was at, or about to begin."""
        listener = self._listener
        outcome = listener.current or Outcome(listener.jobs[listener.next], Status.FAIL)
        outcome.hangs = hangs
        outcome.status = Status.CRASH if self.crashed else Status.HANG
        if self.crashed:
            outcome.reason = f"the host stopped: {listener.panic or 'no message'}"
        elif self.flaw:
            outcome.reason = f"the emulator broke it twice; this time {self.flaw}"
        else:
            outcome.reason = f"the host hung, its CPUs at {self._last_seen or 'places unknown'}"
        return outcome

    def _looks(self, console):
        """Where the CPUs of a host that hangs are, again and again; the log has it, too."""
        for _ in range(LOOKS):
            cpus = console.cpus()
            if not cpus:
                return
            self._last_seen = ", ".join(map(str, cpus))
            self._log.write(f"CPUs at {self._last_seen}\n")
            yield cpus
            time.sleep(LOOK_EVERY)

    def _forgives(self, outcome):
        """True if a flaw of the emulator broke the job, and it has its second try before it."""
        return not outcome.ok and self._forgiving and interrupted_twice(outcome.lines)

    def _patience(self, host):
        """Seconds in which the host has to say something more."""
        if self._listener.panic:
            return LAST_WORDS
        running = self._listener.current
        return GRACE + (running.job.limit * host.patience if running else 0)

    def _lines(self, console):
        """Lines of the console, until the machine stops, ends, or is silent past the deadline: then it hung."""
        rest = b""
        ended = False
        while not ended and not self._listener.stopped:
            if time.monotonic() > self._deadline:
                self.hung = not self._listener.panic
                return
            try:
                *lines, rest = (rest + console.read(1.0)).split(b"\n")
            except EOFError:
                lines, ended = [rest], True
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\r")
                self._log.write(line + "\n")
                self._log.flush()
                self._watch(line)
                yield line
