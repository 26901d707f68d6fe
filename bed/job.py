# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What a host is asked to do, and what came of it."""
from dataclasses import dataclass, field
from enum import Enum


class Status(str, Enum):
    """How a job ended."""
    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"            # it said so, by exit status 4
    TIMEOUT = "TIMEOUT"      # it ran past its limit and was killed; the host lives
    HANG = "HANG"            # the host stopped answering, twice
    CRASH = "CRASH"          # the host panicked, reset or ended

    def __str__(self):
        return self.value


@dataclass(frozen=True)
class Job:
    """A shell script for a host to run, as root, in a scratch folder of its own.

    script: text for busybox sh; its last status decides: 0 is PASS, 4 is SKIP, the rest FAIL.
    limit: seconds, by the host's clock, after which it is killed.
    warnings_allowed: a WARNING, BUG or the like in the kernel's log does not turn PASS into FAIL.
    Lines '@@note KEY VALUE' on its output become Outcome.notes.
    """
    name: str
    script: str
    limit: int = 120
    warnings_allowed: bool = False


@dataclass
class Outcome:
    """What came of one job."""
    job: Job
    status: Status
    seconds: float = 0.0                                # by the host's clock
    exit_code: int | None = None                        # None if it did not exit by itself
    lines: list[str] = field(default_factory=list)      # its output, notes included
    notes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)   # heads and context from the kernel's log
    hangs: int = 0                                      # tries that the emulator ended: it hung, or broke the job
    reason: str = ""                                    # one plain sentence if it did not pass

    @property
    def ok(self):
        """True if nothing went wrong: PASS or SKIP."""
        return self.status in (Status.PASS, Status.SKIP)
