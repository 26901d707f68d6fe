# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-intel: our KVM on an emulated Intel processor, with EPT, and without."""
import functools
from pathlib import Path

from bed.bochs import BochsHost
from bed.command import command
from bed.hypervisor import hypervisor_job
from tests.kvm.suite import Part, SeparateSlabs, Suite


class IntelHost(SeparateSlabs, BochsHost):
    """An emulated Intel processor."""


GUESTS = ("guest-[!t]*", "guest-tables")         # The other one of tables wants two CPUs.


def hypervisor_part(jobs):
    """What Part.jobs wants, for {name: script over bed/hypervisor.sh}."""
    return {name: functools.partial(hypervisor_job, name=name, script=script, limit=100)
            for name, script in jobs.items()}


SUITE = Suite(
    command="check-intel",
    host=IntelHost(),
    parameters={"kvm-intel": "ept=1"},
    folder=Path(__file__).parent,
    checks={"reload": {"rounds": 2}},
    parts=(Part(
        "stock-ept1.tsv",
        "selftests.list",
        guests=GUESTS,
        guest_words="nested",
        # What a guest's tables look like is nothing to EPT: one of the two.
        linux=("linux-686-pae",),
        # A hypervisor of our own as L1: its EPT and its L2s, and that contexts by turns cost L0 neither root nor fault.
        jobs=hypervisor_part({
            "hypervisor": "hypervisor_run marks && hypervisor_switches_are_free",
            "hypervisor_disturbed": "hypervisor_run_disturbed 'random many share writes'",
        }),
    ), Part(
        "stock-ept0.tsv",
        "selftests-shadow.list",
        parameters="ept=0",
        label="ept=0",
        guests=GUESTS,
        linux=("linux-pcid", "linux-686", "linux-686-pae"),
        # Without EPT there is none for L1, either.
        jobs=hypervisor_part({"hypervisor": "hypervisor_run 'marks legacy' && hypervisor_switches_are_free"}),
    )),
)

if __name__ == "__main__":
    command(SUITE.main)
