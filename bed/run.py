# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make run: boot a Linux guest in KVM on an emulated host, let it work, and show what its MMU did."""
import argparse
import os
import subprocess
import time

from .command import command
from .errors import BedError
from .guest import Guest, pack_guest, start_command
from .image import Image
from .job import Job, Status
from .modes import find_mode
from .places import BED, BUILD, ROOT, check_kvm_choice, module_folders
from .programs import build_program
from .progress import Progress
from .qemu import QemuHost
from .report import counters, write_report
from .session import run_jobs
from .table import show_run

GUEST_MEMORY = 512
WORK = (
    ("fork", "fork 500"),
    ("memory", "memory 256"),
    ("files", "files 64"),
    ("clock", "clock 20000"),
)


def run_guest(mode, kvm, folder, progress, limit=None, verbose=False):
    """Boot host and guest once; returns the figures, for the report. BedError if anything goes wrong.

    mode: a Mode. kvm: "vmmu" or "stock". folder: for logs and the report. limit: seconds from power-on to power-off of
    the guest, by default the mode's. verbose: show all of the console.
    """
    limit = limit or mode.limit
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.tsv"
    report.unlink(missing_ok=True)
    log = folder / "console.log"
    if kvm == "vmmu":
        progress.begin("kvm.ko is built")
        build_kvm(folder)
        progress.end()
    progress.begin("images are packed")
    jobs = [Job(name, f"exec /bed/work {arguments}\n", limit) for name, arguments in WORK]
    image = host_image(mode, kvm, jobs, folder)
    host = QemuHost(vendor=mode.vendor)
    progress.begin("host boots")
    guest = Guest("L1", jobs)
    watch = _Watch(guest, progress, verbose)
    script = (f". /bed/guest.sh\nkvm_must_be {kvm}\n" + start_command("run", GUEST_MEMORY) +
              "guest_await_halt L1 || exit 1\nguest_figures L1\nguest_end L1\n")
    outcome = next(run_jobs(host, image, [Job("guest", script, limit)], folder, watch.line))
    progress.end()
    _judge(outcome, guest, log)
    figures = {
        "mode": mode.name,
        "kvm": kvm,
        "guest_ok": 1,
        "host": host.accelerator,
        "hangs": outcome.hangs,
        "seconds_total": round(time.monotonic() - began, 2),
        "seconds_guest": round(guest.halted - guest.started, 2),
        "seconds_boot": round(guest.ready - guest.started, 2),
        "seconds_work": round(guest.finished[-1][1] - guest.ready, 2),
    }
    figures |= {f"seconds_{done.job.name}": done.seconds for done, _ in guest.finished}
    figures |= counters(outcome.notes, guest.name)
    write_report(report, figures)
    return figures


def build_kvm(folder):
    """Bring our modules up to date."""
    log = folder / "kvm.log"
    with open(log, "wb") as output:
        done = subprocess.run([os.environ.get("MAKE", "make"), "-C", str(ROOT), "kvm"], stdout=output, stderr=output,
                              check=False)
    if done.returncode:
        raise BedError("our kvm.ko does not build", log)


def host_image(mode, kvm, jobs, folder):
    """L0's image, with QEMU and a guest L1 that runs these jobs."""
    guest = Image()
    guest.add_program(build_program(BED / "guest" / "work.c"), "bed/work")
    host = Image()
    host.add_modules([mode.vendor], module_folders(kvm), mode.parameters)
    host.add_qemu()
    pack_guest(host, "run", guest, jobs, folder)
    return host


def _judge(outcome, guest, log):
    """Raise BedError unless host and guest did all they should."""
    wrong = guest.verdict() if guest.started is not None else ""
    if outcome.status in (Status.HANG, Status.CRASH):
        wrong = outcome.reason
    elif outcome.warnings:
        wrong = f"the host's kernel complained: {outcome.warnings[0]}"
    elif not wrong and not outcome.ok:
        said = next((line for line in reversed(outcome.lines) if line.strip()), "")
        wrong = f"the guest could not be run: {said or outcome.reason}"
    if wrong:
        raise BedError(wrong, log)


class _Watch:
    """Turns lines of the host's console into phases."""

    def __init__(self, guest, progress, verbose):
        self._guest = guest
        self._progress = progress
        self._verbose = verbose

    def line(self, line):
        """Take in one line, as it comes."""
        own = self._guest.hear(line)
        if self._verbose and line.strip():
            self._progress.say(f"    {line}")
        if line.startswith("@@note L1.started"):
            self._progress.begin("guest boots to user space")
        elif own and own.startswith("@@bed begin"):
            self._progress.begin(f"guest works: {self._guest.running.job.name}")
        elif own and own.startswith("@@bed end"):
            self._progress.end(self._guest.said)
        elif own and own.startswith("@@bed stop"):
            self._progress.begin("guest powers off")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="bed.run", description=__doc__)
    parser.add_argument("--mode", default="npt", help="how the guest's memory is translated (default: npt)")
    parser.add_argument("--kvm", default="vmmu", help="whose kvm.ko (default: vmmu)")
    parser.add_argument("--limit", type=int, help="seconds for the guest (default: the mode's)")
    parser.add_argument("--verbose", action="store_true", help="show all of the console")
    arguments = parser.parse_args()
    mode = find_mode(arguments.mode)
    check_kvm_choice(arguments.kvm)
    print(f"A guest of 2 CPUs and {GUEST_MEMORY} MiB, MODE={mode.name} KVM={arguments.kvm}")
    with Progress() as progress:
        figures = run_guest(mode, arguments.kvm, BUILD / "run", progress, arguments.limit, arguments.verbose)
    show_run(figures)
    print(f"All figures: {BUILD / 'run' / 'report.tsv'}")


if __name__ == "__main__":
    command(main)
