# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What a machine that runs init.sh says on its console, host or guest, understood line by line."""
import re

from .job import Outcome, Status

MARK = re.compile(r"^(?!L\d ).*?@@bed (\S+) ?(.*)")         # "L1 ..." is a guest's line, relayed by its host
NOTE = re.compile(r"^@@note (\S+) (.*)")
PANIC = re.compile(r"^(?!L\d ).*(Kernel panic - not syncing: .*|qemu: fatal: .*)")
CAUSE = re.compile(r"^(?!L\d ).*((?:BUG|Oops|general protection fault|invalid opcode|kernel BUG at)\b.*)")
LOCKUP = re.compile(r"^(?!L\d ).*watchdog: BUG: soft lockup - CPU#\d+ stuck for (\d+)s!")
LOST = 60                   # seconds after which a CPU that does nothing else will not come back
SKIPPED = 4                 # the exit status of a test that does not apply


class Listener:
    """Follows one boot of a machine that runs `jobs` from number `first`.

    ready: uptime at which user space was up, or None. stopped: it ran out of jobs. next: number of the next job to end.
    current: Outcome of the job that runs, or None. panic, module_failed: what the machine said of these, or "".
    lost: its kernel has said for a minute that one of its CPUs does not come back.
    """

    def __init__(self, jobs, first=0):
        self.jobs = jobs
        self.next = first
        self.ready = None
        self.stopped = False
        self.current = None
        self.panic = ""
        self.module_failed = ""
        self.lost = False
        self._began = 0.0
        self._cause = ""

    def hear(self, line):
        """Take in one line; returns an Outcome if the line ends a job."""
        mark = MARK.match(line)
        if mark:
            return self._obey(mark[1], mark[2])
        cause = CAUSE.match(line)
        if cause and not self._cause:
            self._cause = f" after {cause[1]}"
        lockup = LOCKUP.match(line)
        if lockup and int(lockup[1]) >= LOST:
            self.lost = True
        panic = PANIC.match(line)
        if panic and not self.panic:
            self.panic = panic[1] + self._cause
        if self.current:
            note = NOTE.match(line)
            if note:
                self.current.notes[note[1]] = note[2]
            self.current.lines.append(line)
        return None

    def _obey(self, word, rest):
        """One of the marks that init.sh documents."""
        if word == "module-failed":
            self.module_failed = rest
        elif word == "ready":
            self.ready = float(rest)
        elif word == "begin":
            number, uptime = rest.split()
            self.current = Outcome(self.jobs[int(number)], Status.FAIL)
            self._began = float(uptime)
        elif word == "kernel" and self.current:
            self.current.warnings.append(rest)
        elif word == "end" and self.current:
            return self._end(*rest.split()[1:])
        elif word == "stop":
            self.stopped = True
        return None

    def _end(self, status, uptime):
        """The job that runs has ended; returns its Outcome."""
        outcome, self.current = self.current, None
        self.next += 1
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
            outcome.reason = f"the kernel complained: {outcome.warnings[0]}"
        else:
            outcome.status = Status.PASS
        return outcome
