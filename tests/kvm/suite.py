# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""KVM's selftests, checks of the modules and guest kernels in one host, beside what the distribution's KVM does."""
import argparse
import fnmatch
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable

from bed import Host, Image, run_jobs
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


@dataclass(frozen=True)
class Variant:
    """More selftests of a suite, for which the vendor module is loaded anew with these parameters.

    label: told apart by this, behind a test's name. selftests, record: as of Suite.
    """
    label: str
    parameters: str
    selftests: str
    record: str


@dataclass
class Suite:
    """What `make COMMAND` runs.

    folder: holds the other files. selftests: which. record: what the distribution's KVM makes of them. checks: {name of
    a script in checks/: more arguments of check_job()}. variants: run last. scenarios: names in bed/scenarios/.
    jobs: {name: function of an image, that puts what the job needs into it and returns the Job}.
    guests: patterns of names in tests/guests/kernels.py. guest_words, guest_cpus: as of guest_jobs().
    records_surface: the distribution's surface is recorded here.
    """
    command: str
    host: Host
    parameters: dict[str, str]
    folder: Path
    record: str
    selftests: str = "selftests.list"
    checks: dict[str, dict] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    scenarios: tuple[str, ...] = ()
    jobs: dict[str, Callable] = field(default_factory=dict)
    guests: tuple[str, ...] = ()
    guest_words: str = ""
    guest_cpus: int = 2
    records_surface: bool = False

    def main(self):
        """The command line."""
        parser = argparse.ArgumentParser(prog=self.command, description=__doc__)
        parser.add_argument("--record", action="store_true", help="record what the distribution's KVM does")
        parser.add_argument("--kvm", default="vmmu", choices=KVM_CHOICES, help="whose kvm.ko (default: vmmu)")
        parser.add_argument("--only", default="*", metavar="PATTERN", help="only tests whose name fits, as of a shell")
        arguments = parser.parse_args()
        if arguments.record:
            return self.write_record()
        return self.check(arguments.kvm, arguments.only)

    def check(self, kvm, only):
        """Run everything whose name fits; returns the exit status."""
        work = self._work()
        verdict = Verdict(work / "console.log")
        stock = {}
        for record in (self.record, *(variant.record for variant in self.variants)):
            stock |= read_stock(self.folder / record)
        if kvm == "vmmu" and fnmatch.fnmatch("symbols", only):
            verdict.add_list("symbols", symbols_missing())
        checks = [check_job(name, self.host.vendor, **more) for name, more in self.checks.items()]
        checks = [job for job in checks if fnmatch.fnmatch(job.name, only)]
        selftests = [job for job in selftest_jobs(self.folder / self.selftests) if fnmatch.fnmatch(job.name, only)]
        guests = [job for job in guest_jobs(self.guest_words, self.guest_cpus) if fnmatch.fnmatch(job.name, only)
                  and any(fnmatch.fnmatch(job.name, pattern) for pattern in self.guests)]
        variants = [job for variant in self.variants for job in self._variant_jobs(variant)
                    if fnmatch.fnmatch(job.name, only)]
        image = self._image(kvm, checks, [*selftests, *variants])
        pack_guests(image, guests)
        scenarios = prepare_scenarios(fnmatch.filter(self.scenarios, only), image, work)
        more = [prepare(image) for name, prepare in self.jobs.items() if fnmatch.fnmatch(name, only)]
        jobs = [*checks, *guests, *selftests, *scenarios, *more, *variants]
        for outcome in run_jobs(self.host, image, jobs, work):
            verdict.add(outcome, stock.get(outcome.job.name))
            if outcome.job.name == "surface" and outcome.ok:
                verdict.add_list("surface, compared", surface_missing(surface_lines(outcome)))
        return verdict.close()

    def write_record(self):
        """Run the selftests with the distribution's KVM, and record what comes of them, and its surface."""
        work = self._work()
        selftests = selftest_jobs(self.folder / self.selftests)
        variants = [self._variant_jobs(variant) for variant in self.variants]
        checks = [check_job("surface", self.host.vendor)] if self.records_surface else []
        jobs = [*checks, *selftests, *sum(variants, [])]
        image = self._image("stock", checks, jobs[len(checks):])
        outcomes = []
        verdict = Verdict(work / "console.log")
        for outcome in run_jobs(self.host, image, jobs, work):
            verdict.add(outcome)
            outcomes.append(outcome)
        command = f"make {self.command}-stock"
        if self.records_surface:
            write_surface(command, kernel_release(), surface_lines(outcomes.pop(0)))
        tables = [(self.record, self.selftests, len(selftests))]
        tables += [(variant.record, variant.selftests, len(jobs)) for variant, jobs in zip(self.variants, variants)]
        for record, tests, count in tables:
            write_stock(self.folder / record, tests, command, self.host, kernel_release(), outcomes[:count])
            del outcomes[:count]
        return verdict.close()

    def _variant_jobs(self, variant):
        """The selftests of a Variant."""
        module = self.host.vendor.replace("-", "_")
        load = f". /selftests/selftests.sh\nvendor_parameters {module} {variant.parameters}\n"
        return [replace(job, name=f"{job.name} {variant.label}", script=load + job.script)
                for job in selftest_jobs(self.folder / variant.selftests)]

    def _image(self, kvm, checks, selftests):
        """What the host needs for these jobs."""
        image = Image()
        image.add_modules([self.host.vendor], module_folders(kvm), self.parameters)
        pack_selftests(image, selftests)
        pack_checks(image, kvm)
        if any(job.name == "kvmgt" for job in checks):
            pack_kvmgt(image)
        return image

    def _work(self):
        """The folder for the initramfs and the log."""
        work = BUILD / self.command
        work.mkdir(parents=True, exist_ok=True)
        return work
