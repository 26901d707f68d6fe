# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make run: boot Linux guests in KVM on an emulated host, let them work, and show what KVM's MMU did."""
import argparse
import os
import subprocess
import time

from .bochs import BochsHost
from .chain import Chain
from .command import command
from .errors import BedError
from .hypervisor import hypervisor_figures, hypervisor_job, rotation_figures
from .image import Image
from .job import Job, Status
from .modes import DEFAULT_MODE, find_mode
from .places import BUILD, ROOT, check_kvm_choice, module_folders
from .progress import Progress
from .qemu import QemuHost
from .report import counters, write_report
from .session import run_jobs
from .table import show_run


def run_guest(mode, kvm, folder, progress, limit=None, verbose=False, host=None):
    """Boot host and guest once; returns the figures, for the report. BedError if anything goes wrong.

    mode: a Mode. kvm: "vmmu" or "stock". folder: for logs and the report. limit: seconds from power-on to power-off of
    the guest, by default the mode's. verbose: show all of the console. host: a Host, by default the mode's.
    """
    limit = limit or mode.limit
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.tsv"
    report.unlink(missing_ok=True)
    if kvm == "vmmu":
        progress.begin("kvm.ko is built")
        build_kvm(folder)
        progress.end()
    progress.begin("images are packed")
    image = Image()
    image.add_modules([mode.vendor], module_folders(kvm), mode.parameters)
    host = host or (BochsHost(mode.host_memory) if mode.bochs else QemuHost(mode.host_memory, vendor=mode.vendor))
    chain = Chain(mode, limit, host) if mode.work else None
    jobs = _jobs(mode, kvm, image, chain, folder, limit)
    progress.begin("host boots")
    outcomes = {}
    # As soon as the last one has ended: nobody waits for the host to power off.
    for job, outcome in zip(jobs, run_jobs(host, image, jobs, folder, _Watch(chain, progress, verbose).line)):
        progress.end()
        if job.name == "guest":
            _judge(outcome, chain, folder / "console.log")
        else:
            _judge_hypervisor(outcome, folder / "console.log")
        outcomes[job.name] = outcome
    figures = {
        "mode": mode.name,
        "kvm": kvm,
        "guest_ok": 1,
        "host": host.accelerator,
        "hangs": sum(outcome.hangs for outcome in outcomes.values()),
        "seconds_total": round(time.monotonic() - began, 2),
    }
    if chain:
        figures |= _chain_figures(chain, outcomes["guest"], mode.vendor)
    else:
        figures |= hypervisor_figures(outcomes["hypervisor"], mode.vendor)
    if mode.hypervisor:
        figures |= rotation_figures(outcomes["hypervisor"], mode.vendor)
    write_report(report, figures)
    return figures


def _jobs(mode, kvm, image, chain, folder, limit):
    """What the host does, with all it needs put into its image: the hypervisor of our own, then Linux."""
    begin = f"kvm_must_be {kvm}\n{'guest_events' if mode.hypervisor else ''}\n"
    jobs = []
    if mode.hypervisor:
        script = f"{begin}hypervisor_run 'marks rotate cold'"
        jobs.append(hypervisor_job(image, "hypervisor", script, limit, mode.hypervisor))
    if chain:
        chain.pack(image, folder)
        script = f". /bed/guest.sh\n{begin}{chain.script}guest_figures L1\nguest_end L1\n"
        jobs.append(Job("guest", script, limit))
    return jobs


def _chain_figures(chain, outcome, vendor):
    """Figures of guests that ran Linux."""
    outer, inner = chain.guests[0], chain.inner
    figures = {
        "seconds_guest": round(outer.halted - outer.started, 2),
        "seconds_boot": round(inner.ready - inner.started, 2),
        "seconds_work": round(inner.finished[-1][1] - inner.ready, 2),
    }
    for guest in chain.guests[:-1]:
        figures[f"seconds_boot_{guest.name.lower()}"] = round(guest.ready - guest.started, 2)
    figures |= {f"seconds_{done.job.name}": done.seconds for done, _ in inner.finished}
    return figures | counters(outcome.notes, outer.name, vendor)


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


def _judge_hypervisor(outcome, log):
    """Raise BedError unless the hypervisor of our own did all it should."""
    if not outcome.ok:
        said = next((line for line in reversed(outcome.lines) if line.strip() and not line.startswith("@@")), "")
        raise BedError(f"{outcome.reason}; L1's last line: {said or 'none'}", log)


class _Watch:
    """Turns lines of the host's console into phases. chain: None if the host runs none."""

    def __init__(self, chain, progress, verbose):
        self._chain = chain
        self._progress = progress
        self._verbose = verbose

    def line(self, line):
        """Take in one line, as it comes."""
        self._hypervisor(line)
        if self._chain:
            self._linux(line)
        if self._verbose and line.strip():
            self._progress.say(f"    {line}")

    def _hypervisor(self, line):
        if "@@note hypervisor.started" in line:
            self._progress.begin("our hypervisor boots")
        elif line.startswith("@@mark ") and line.endswith((".cold", "cold.begin")):
            self._progress.begin(f"it runs {line.removeprefix('@@mark ').rpartition('.')[0]}")

    def _linux(self, line):
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


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="bed.run", description=__doc__)
    parser.add_argument("--mode", default=DEFAULT_MODE, help="how the guest's memory is translated (default: %(default)s)")
    parser.add_argument("--kvm", default="vmmu", help="whose kvm.ko (default: vmmu)")
    parser.add_argument("--limit", type=int, help="seconds for the guest (default: the mode's)")
    parser.add_argument("--verbose", action="store_true", help="show all of the console")
    arguments = parser.parse_args()
    mode = find_mode(arguments.mode)
    check_kvm_choice(arguments.kvm)
    guest = f"{'An L2' if mode.nested else 'A guest'} of {mode.guest_memory} MiB" if mode.work else \
        "A hypervisor of our own"
    print(f"{guest}, MODE={mode.name} KVM={arguments.kvm}")
    with Progress() as progress:
        figures = run_guest(mode, arguments.kvm, BUILD / "run", progress, arguments.limit, arguments.verbose)
    show_run(figures)
    print(f"All figures: {BUILD / 'run' / 'report.tsv'}")


if __name__ == "__main__":
    command(main)
