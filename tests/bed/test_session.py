# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The judge of all real runs, on consoles made up: what becomes of a job whose host crashes, hangs, or is let down."""
import sys
import tempfile
import unittest
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

from bed import Console, Host, Job, Status, run_jobs
from bed.host import Cpu

PROLOGUE = "@@bed ready 1.0\n"
BACKTRACE = """\
L1 76.01 [   25.755580]  asm_sysvec_apic_timer_interrupt+0x16/0x20
L1 76.06 [   25.755580] RIP: 0010:asm_sysvec_apic_timer_interrupt+0x0/0x20
L1 76.14 [   25.755580] Code: e9 65 07 00 00 0f 1f 44 00 00 0f 01 ca fc 6a ff e8
L1 76.19 [   25.755580] RSP: 0000:fffffe000003dfd8 EFLAGS: 00000006
"""
LOST = "@@bed begin 0 2.0\nwatchdog: BUG: soft lockup - CPU#1 stuck for 67s! [sh:1]\n"
HANDLER = 0xffffffff81c00ba0
BREAKPOINT = [Cpu(HANDLER, False, HANDLER), Cpu(0xffffffff811a1cd0, False, HANDLER)]
AT_WORK = [Cpu(0xffffffffc0212340, False, HANDLER)] * 2
ASLEEP = [Cpu(0xffffffff81a48735, True, HANDLER)] * 2


def job_fails(number, said=""):
    """What the console of a host shows of a job that fails."""
    return f"@@bed begin {number} 2.0\n{said}@@bed end {number} 1 3.0\n"


def job_passes(number):
    """The same of one that passes."""
    return f"@@bed begin {number} 2.0\n@@bed end {number} 0 3.0\n"


class _Script(Console):
    """A console that shows a text and ends. looks: where the CPUs are, by turns."""

    def __init__(self, text, looks):
        self._text = text.encode()
        self._looks = cycle(looks)

    def read(self, seconds):
        if not self._text:
            raise EOFError
        text, self._text = self._text, b""
        return text

    def close(self):
        pass

    def cpus(self):
        return next(self._looks, [])


class _Boots(Host):
    """A host that shows one text of a list at each boot; looks: as of _Script."""

    def __init__(self, boots, flawed, looks):
        self.left = list(boots)
        self.flawed = flawed
        self.firsts = []
        self._looks = looks

    def launch(self, initramfs, append):
        self.firsts.append(append)
        return _Script(PROLOGUE + self.left.pop(0), self._looks)


class _NoImage:
    """An image that nobody boots."""

    def write(self, path, jobs):
        """Nothing is written."""


class SessionTest(unittest.TestCase):
    """run_jobs() with jobs a and b."""

    def run_on(self, *boots, flawed=True, looks=()):
        """Run both on a host with these consoles; returns the outcomes and which boots were asked for."""
        host = _Boots(boots, flawed, looks)
        with tempfile.TemporaryDirectory() as folder, patch("bed.session.LOOK_EVERY", 0):
            outcomes = list(run_jobs(host, _NoImage(), [Job("a", ""), Job("b", "")], Path(folder)))
        self.assertEqual(host.left, [])
        self.assertEqual([outcome.job.name for outcome in outcomes], ["a", "b"])
        return outcomes, host.firsts

    def test_all_pass(self):
        outcomes, firsts = self.run_on(job_passes(0) + job_passes(1) + "@@bed stop\n")
        self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.PASS, 0)] * 2)
        self.assertEqual(firsts, ["bed.first=0"])

    def test_failure_is_not_tried_again(self):
        outcomes, _ = self.run_on(job_fails(0) + job_passes(1) + "@@bed stop\n")
        self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.FAIL, 0), (Status.PASS, 0)])

    def test_crash_ends_the_job(self):
        crash = "@@bed begin 0 2.0\nKernel panic - not syncing: oh\n"
        outcomes, firsts = self.run_on(crash, job_passes(1) + "@@bed stop\n")
        self.assertEqual([outcome.status for outcome in outcomes], [Status.CRASH, Status.PASS])
        self.assertEqual(firsts, ["bed.first=0", "bed.first=1"])

    def test_hang_of_a_flaw_is_tried_again(self):
        for looks in [BREAKPOINT, AT_WORK], [ASLEEP]:
            outcomes, firsts = self.run_on(LOST, job_passes(0) + job_passes(1) + "@@bed stop\n", looks=looks)
            self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.PASS, 1), (Status.PASS, 0)])
            self.assertEqual(firsts, ["bed.first=0"] * 2)
            outcomes, firsts = self.run_on(LOST, LOST, job_passes(1) + "@@bed stop\n", looks=looks)
            self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.HANG, 2), (Status.PASS, 0)])
            self.assertEqual(firsts, ["bed.first=0"] * 2 + ["bed.first=1"])

    def test_hang_is_not_tried_again(self):
        for flawed, looks in (True, [AT_WORK]), (True, [AT_WORK, ASLEEP]), (True, []), (False, [BREAKPOINT]), (False, [ASLEEP]):
            outcomes, firsts = self.run_on(LOST, job_passes(1) + "@@bed stop\n", flawed=flawed, looks=looks)
            self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.HANG, 0), (Status.PASS, 0)])
            self.assertEqual(firsts, ["bed.first=0", "bed.first=1"])
            self.assertIn("its CPUs at", outcomes[0].reason)

    def test_interrupt_delivered_twice_is_tried_again(self):
        flawed = job_passes(0) + job_fails(1, BACKTRACE)
        outcomes, firsts = self.run_on(flawed, job_passes(1) + "@@bed stop\n")
        self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.PASS, 0), (Status.PASS, 1)])
        self.assertEqual(firsts, ["bed.first=0", "bed.first=1"])

    def test_only_once(self):
        flawed = job_fails(0, BACKTRACE)
        outcomes, _ = self.run_on(flawed, flawed + job_passes(1) + "@@bed stop\n")
        self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.FAIL, 1), (Status.PASS, 0)])

    def test_not_where_the_flaw_is_not(self):
        outcomes, firsts = self.run_on(job_fails(0, BACKTRACE) + job_passes(1) + "@@bed stop\n", flawed=False)
        self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.FAIL, 0), (Status.PASS, 0)])
        self.assertEqual(firsts, ["bed.first=0"])

    def test_hang_after_the_flaw(self):
        outcomes, _ = self.run_on(job_fails(0, BACKTRACE), LOST, job_passes(1) + "@@bed stop\n", looks=[ASLEEP])
        self.assertEqual([(outcome.status, outcome.hangs) for outcome in outcomes], [(Status.HANG, 2), (Status.PASS, 0)])

    def test_interrupts_that_a_cpu_delivers(self):
        enabled = BACKTRACE.replace("00000006", "00000206")
        elsewhere = BACKTRACE.replace("interrupt+0x0/", "interrupt+0x5/")
        fault = BACKTRACE.replace("asm_sysvec_apic_timer_interrupt+0x16", "asm_exc_page_fault+0x22")
        for said in enabled, elsewhere, fault:
            outcomes, firsts = self.run_on(job_fails(0, said) + job_passes(1) + "@@bed stop\n")
            self.assertEqual([outcome.status for outcome in outcomes], [Status.FAIL, Status.PASS])
            self.assertEqual(firsts, ["bed.first=0"])


if __name__ == "__main__":
    done = unittest.main(exit=False, verbosity=0).result
    wrong = len(done.failures) + len(done.errors)
    print(f"{done.testsRun - wrong} passed, {wrong} failed, 0 skipped")
    sys.exit(bool(wrong))
