# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What a suite has seen, a line each as it comes, and the sum at the end."""
from bed import Status

TAIL = 40                   # lines of its output that a failure shows


class Verdict:
    """Prints results and counts them."""

    def __init__(self, log):
        self.passed = self.failed = self.skipped = self.hangs = 0
        self._log = log
        print(f"{'':4}  {'test':<36} {'stock':<16} {'ours':<16}", flush=True)

    def add(self, outcome, stock=None):
        """The outcome of a job; stock: (status, seconds) of the distribution's KVM, or None if it has no such job."""
        self.hangs += outcome.hangs
        word = self._count(outcome.status)
        theirs = f"{stock[0]} {float(stock[1]):.1f} s" if stock else ""
        ours = f"{outcome.status} {outcome.seconds:.1f} s"
        hung = f"the emulator hung or broke it {outcome.hangs} times" if outcome.hangs else ""
        lost = "the distribution's KVM does not skip it" if word == "skip" and stock and stock[0] == Status.PASS else ""
        remark = "; ".join(filter(None, (outcome.reason, lost, hung)))
        print(f"{word:4}  {outcome.job.name:<36} {theirs:<16} {ours:<16} {remark}".rstrip(), flush=True)
        if not outcome.ok:
            for line in [line for line in outcome.lines if line.strip()][-TAIL:] + outcome.warnings[:TAIL]:
                print(f"        {line}", flush=True)

    def add_list(self, name, wrong):
        """A check that needs no host: passed if nothing is wrong."""
        word = self._count(Status.FAIL if wrong else Status.PASS)
        print(f"{word:4}  {name:<36}", flush=True)
        for sentence in wrong:
            print(f"        {sentence}", flush=True)

    def skip(self, name, reason):
        """Something that is not run."""
        self._count(Status.SKIP)
        print(f"skip  {name:<36} {reason}", flush=True)

    def close(self):
        """Print the sum; returns the exit status."""
        print(f"\nTried again after a hang or a flaw of the emulator: {self.hangs}. All of the output: {self._log}")
        print(f"\n{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed or not self.passed else 0

    def _count(self, status):
        """Count one; returns the word for it."""
        if status is Status.PASS:
            self.passed += 1
            return "ok"
        if status is Status.SKIP:
            self.skipped += 1
            return "skip"
        self.failed += 1
        return "FAIL"
