# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-intel: our KVM on an emulated Intel processor, with EPT, and without."""
from pathlib import Path

from bed.bochs import BochsHost
from bed.command import command
from bed.hypervisor import hypervisor_job
from tests.kvm.suite import SeparateSlabs, Suite, Variant


class IntelHost(SeparateSlabs, BochsHost):
    """An emulated Intel processor."""


JOBS = {
    # A hypervisor of our own as L1: its EPT and its L2s, and that contexts by turns cost L0 neither root nor fault.
    "hypervisor": "hypervisor_run marks && hypervisor_switches_are_free",
    "hypervisor_disturbed": "hypervisor_run_disturbed 'random many share writes'",
    # Without EPT there is none for L1, either.
    "hypervisor ept=0": ". /selftests/selftests.sh\nvendor_parameters kvm_intel ept=0\n"
                        "hypervisor_run 'marks legacy' && hypervisor_switches_are_free",
}


def prepare_hypervisor(name, script):
    """The function of an image that Suite.jobs wants."""
    return lambda image: hypervisor_job(image, name, script, 100)


SUITE = Suite(
    command="check-intel",
    host=IntelHost(),
    parameters={"kvm-intel": "ept=1"},
    folder=Path(__file__).parent,
    record="stock-ept1.tsv",
    checks={"reload": {"rounds": 2}},
    jobs={name: prepare_hypervisor(name, script) for name, script in JOBS.items()},
    variants=(Variant("ept=0", "ept=0", "selftests-shadow.list", "stock-ept0.tsv"),),
)

if __name__ == "__main__":
    command(SUITE.main)
