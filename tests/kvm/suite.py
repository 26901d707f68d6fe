# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""KVM's selftests, checks of the modules and guests in one host, beside what the distribution's KVM does."""
import argparse
import fnmatch
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable

from bed import Host, Image, run_jobs
from bed.linux import linux_job
from bed.places import BUILD, KVM_CHOICES, kernel_release, module_folders
from bed.scenarios import prepare_scenarios

from tests.guests.kernels import guest_jobs, pack_guests

from .checks import check_job, pack_checks, pack_kvmgt
from .selftests import pack_selftests, read_stock, selftest_jobs, write_stock
from .surface import surface_lines, surface_missing, symbols_missing, write_surface
from .verdict import Verdict


class SeparateSlabs:
    """A host, with this class in front, that does not merge slabs of one size: what is left in one of KVM's is seen."""

    def launch(self, initramfs, append):
        """As of Host."""
        return super().launch(initramfs, f"{append} slab_nomerge")


@dataclass(frozen=True, eq=False)
class Part:
    """Jobs of a suite that want the vendor module loaded with the same parameters.

    selftests: file that says which of KVM's. record: file of what the distribution's KVM makes of all the jobs.
    guests: patterns of names in tests/guests/kernels.py. guest_words: as of guest_jobs(). linux: names in bed/linux.py.
    scenarios: names in bed/scenarios/. jobs: {name: function of an image, that puts what the job needs into it and
    returns the Job}. parameters: the module is loaded anew with these. label: tells such a part's jobs apart, behind
    their names. parallel: they want the suite's parallel_host.
    """
    record: str
    selftests: str = ""
    guests: tuple[str, ...] = ()
    guest_words: str = ""
    linux: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    jobs: dict[str, Callable] = field(default_factory=dict)
    parameters: str = ""
    label: str = ""
    parallel: bool = False


def _jobs_of(parts, parallel):
    """The jobs of {Part: jobs} for one of the two hosts."""
    return sum((jobs for part, jobs in parts.items() if part.parallel == parallel), [])


@dataclass
class Suite:
    """What `make COMMAND` runs.

    parameters: {module: "key=value"} to begin with. folder: holds the files that the parts name. checks: {name of a
    script in checks/: more arguments of check_job()}, run first. records_surface: the distribution's surface is
    recorded here. parallel_host: the same machine, with CPUs that run at the same time.
    """
    command: str
    host: Host
    parameters: dict[str, str]
    folder: Path
    parts: tuple[Part, ...]
    checks: dict[str, dict] = field(default_factory=dict)
    records_surface: bool = False
    parallel_host: Host | None = None

    def main(self):
        """The command line."""
        parser = argparse.ArgumentParser(prog=self.command, description=__doc__)
        parser.add_argument("--record", action="store_true", help="record what the distribution's KVM does")
        parser.add_argument("--kvm", default="vmmu", choices=KVM_CHOICES, help="whose kvm.ko (default: vmmu)")
        parser.add_argument("--only", default="*", metavar="PATTERN", help="only tests whose name fits, as of a shell")
        arguments = parser.parse_args()
        if arguments.record:
            return self.write_record(arguments.only)
        return self.check(arguments.kvm, arguments.only)

    def check(self, kvm, only):
        """Run everything whose name fits; returns the exit status."""
        work = self._work()
        verdict = Verdict(work / "console.log")
        stock = {}
        for part in self.parts:
            stock |= read_stock(self.folder / part.record)
        if kvm == "vmmu" and fnmatch.fnmatch("symbols", only):
            verdict.add_list("symbols", symbols_missing())
        checks = [check_job(name, self.host.vendor, **more) for name, more in self.checks.items()
                  if fnmatch.fnmatch(name, only)]
        image = self._image(kvm, checks)
        jobs = {part: self._part_jobs(part, only, image, work) for part in self.parts}
        for outcome in self._outcomes(image, checks, jobs, work):
            verdict.add(outcome, stock.get(outcome.job.name))
            if outcome.job.name == "surface" and outcome.ok:
                verdict.add_list("surface, compared", surface_missing(surface_lines(outcome)))
        return verdict.close()

    def write_record(self, only):
        """Run the parts' jobs with the distribution's KVM, and record what comes of them, and its surface."""
        work = self._work()
        verdict = Verdict(work / "console.log")
        checks = [check_job("surface", self.host.vendor)] if self.records_surface and only == "*" else []
        image = self._image("stock", checks)
        parts = {part: self._part_jobs(part, only, image, work) for part in self.parts}
        outcomes = {}
        for outcome in self._outcomes(image, checks, parts, work):
            verdict.add(outcome)
            outcomes[outcome.job.name] = outcome
        command = f"make {self.command}-stock"
        if checks:
            write_surface(command, kernel_release(), surface_lines(outcomes["surface"]))
        for record in dict.fromkeys(part.record for part in parts):
            path = self.folder / record
            rows = {} if only == "*" else read_stock(path)
            rows |= {job.name: (str(outcomes[job.name].status), outcomes[job.name].seconds)
                     for part, jobs in parts.items() if part.record == record for job in jobs}
            write_stock(path, command, self.host, kernel_release(), rows)
        return verdict.close()

    def _outcomes(self, image, checks, parts, work):
        """Run the jobs of checks and of {Part: jobs}, each part in its host; an Outcome each."""
        yield from run_jobs(self.host, image, [*checks, *_jobs_of(parts, parallel=False)], work)
        if jobs := _jobs_of(parts, parallel=True):
            folder = work / "parallel"
            folder.mkdir(exist_ok=True)
            yield from run_jobs(self.parallel_host, image, jobs, folder)

    def _part_jobs(self, part, only, image, work):
        """The jobs of a Part whose name fits; what they need is put into the image."""
        def fits(name):
            return fnmatch.fnmatch(f"{name} {part.label}".strip(), only)

        guests = [job for job in guest_jobs(part.guest_words, self.host.guest_cpus) if fits(job.name)
                  and any(fnmatch.fnmatch(job.name, pattern) for pattern in part.guests)]
        selftests = selftest_jobs(self.folder / part.selftests) if part.selftests else []
        selftests = [job for job in selftests if fits(job.name)]
        pack_guests(image, guests)
        pack_selftests(image, selftests)
        jobs = [*guests, *selftests]
        jobs += [linux_job(name, image, work, self.host) for name in part.linux if fits(name)]
        jobs += prepare_scenarios(filter(fits, part.scenarios), image, work)
        jobs += [part.jobs[name](image) for name in part.jobs if fits(name)]
        if not part.label:
            return jobs
        module = self.host.vendor.replace("-", "_")
        load = f". /selftests/selftests.sh\nvendor_parameters {module} {part.parameters}\n"
        return [replace(job, name=f"{job.name} {part.label}", script=load + job.script) for job in jobs]

    def _image(self, kvm, checks):
        """What the host needs before any part's jobs."""
        image = Image()
        image.add_modules([self.host.vendor], module_folders(kvm), self.parameters)
        pack_checks(image, kvm)
        if any(job.name == "kvmgt" for job in checks):
            pack_kvmgt(image)
        return image

    def _work(self):
        """The folder for the initramfs and the log."""
        work = BUILD / self.command
        work.mkdir(parents=True, exist_ok=True)
        return work
