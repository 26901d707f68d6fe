# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make run: boot a Linux guest in KVM on an emulated host, let it work, and show what its MMU did."""
import argparse
import os
import subprocess
import time

from .bochs import BochsHost
from .chain import Chain
from .command import command
from .errors import BedError
from .hypervisor import hypervisor_figures, hypervisor_job
from .image import Image
from .job import Job, Status
from .modes import find_mode
from .places import BUILD, ROOT, check_kvm_choice, module_folders
from .progress import Progress
from .qemu import QemuHost
from .report import counters, write_report
from .session import run_jobs
from .table import show_rotations, show_run


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
    image = Image()
    image.add_modules([mode.vendor], module_folders(kvm), mode.parameters)
    if mode.hypervisor:
        figures = {"mode": mode.name, "kvm": kvm, "guest_ok": 1, "host": BochsHost.accelerator}
        figures |= _run_hypervisor(mode, kvm, image, folder, progress, limit, verbose)
        figures["seconds_total"] = round(time.monotonic() - began, 2)
        write_report(report, figures)
        return figures
    host = BochsHost(mode.host_memory) if mode.bochs else QemuHost(mode.host_memory, vendor=mode.vendor)
    chain = Chain(mode, limit, host)
    chain.pack(image, folder)
    progress.begin("host boots")
    watch = _Watch(chain, progress, verbose)
    script = f". /bed/guest.sh\nkvm_must_be {kvm}\n{chain.script}guest_figures L1\nguest_end L1\n"
    outcome = next(run_jobs(host, image, [Job("guest", script, limit)], folder, watch.line))
    progress.end()
    _judge(outcome, chain, log)
    outer, inner = chain.guests[0], chain.inner
    figures = {
        "mode": mode.name,
        "kvm": kvm,
        "guest_ok": 1,
        "host": host.accelerator,
        "hangs": outcome.hangs,
        "seconds_total": round(time.monotonic() - began, 2),
        "seconds_guest": round(outer.halted - outer.started, 2),
        "seconds_boot": round(inner.ready - inner.started, 2),
        "seconds_work": round(inner.finished[-1][1] - inner.ready, 2),
    }
    for guest in chain.guests[:-1]:
        figures[f"seconds_boot_{guest.name.lower()}"] = round(guest.ready - guest.started, 2)
    figures |= {f"seconds_{done.job.name}": done.seconds for done, _ in inner.finished}
    figures |= counters(outcome.notes, outer.name)
    write_report(report, figures)
    return figures


def _run_hypervisor(mode, kvm, image, folder, progress, limit, verbose):
    """The same with a hypervisor of our own as L1: contexts by turns, and cold pages."""
    job = hypervisor_job(image, "hypervisor", f"kvm_must_be {kvm}\nhypervisor_run 'marks rotate cold'", limit)
    progress.begin("host boots")

    def watch(line):
        if "@@note L1.started" in line:
            progress.begin("L1 boots")
        elif line.startswith("@@mark ") and line.endswith(("cold", "cold.begin")):
            progress.begin(f"L1 runs {line.removeprefix('@@mark ').rpartition('.')[0]}")
        if verbose and line.strip():
            progress.say(f"    {line}")

    outcome = next(run_jobs(BochsHost(mode.host_memory), image, [job], folder, watch))
    progress.end()
    if not outcome.ok:
        said = next((line for line in reversed(outcome.lines) if line.strip() and not line.startswith("@@")), "")
        raise BedError(f"{outcome.reason}; L1's last line: {said or 'none'}", folder / "console.log")
    return hypervisor_figures(outcome)


def build_kvm(folder):
    """Bring our modules up to date."""
    log = folder / "kvm.log"
    with open(log, "wb") as output:
        done = subprocess.run([os.environ.get("MAKE", "make"), f"-j{os.cpu_count()}", "-C", str(ROOT), "kvm"],
                              stdout=output, stderr=output, check=False)
    if done.returncode:
        raise BedError("our kvm.ko does not build", log)


def _judge(outcome, chain, log):
    """Raise BedError unless host and guests did all they should."""
    wrong = chain.verdict()
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

    def __init__(self, chain, progress, verbose):
        self._chain = chain
        self._progress = progress
        self._verbose = verbose

    def line(self, line):
        """Take in one line, as it comes."""
        guests = self._chain.guests
        for guest in guests:
            own = guest.hear(line)
            name = guest.name if len(guests) > 1 else "guest"
            if f"@@note {guest.name}.started" in line:
                self._progress.begin(f"{name} boots to user space")
            elif own and own.startswith("@@bed stop"):
                self._progress.begin(f"{name} powers off")
        inner = self._chain.inner
        if own and own.startswith("@@bed begin"):
            self._progress.begin(f"{name} works: {inner.running.job.name}")
        elif own and own.startswith("@@bed end"):
            self._progress.end(inner.said)
        if self._verbose and line.strip():
            self._progress.say(f"    {line}")


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
    guest = "A hypervisor of our own" if mode.hypervisor else \
        f"{'An L2' if mode.nested else 'A guest'} of {mode.guest_memory} MiB"
    print(f"{guest}, MODE={mode.name} KVM={arguments.kvm}")
    with Progress() as progress:
        figures = run_guest(mode, arguments.kvm, BUILD / "run", progress, arguments.limit, arguments.verbose)
    (show_rotations if mode.hypervisor else show_run)(figures)
    print(f"All figures: {BUILD / 'run' / 'report.tsv'}")


if __name__ == "__main__":
    command(main)
