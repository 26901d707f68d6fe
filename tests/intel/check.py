# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-intel: our KVM on an emulated Intel processor, with EPT, and without."""
from pathlib import Path

from bed.bochs import BochsHost
from bed.command import command
from tests.kvm.suite import SeparateSlabs, Suite, Variant


class IntelHost(SeparateSlabs, BochsHost):
    """An emulated Intel processor."""


SUITE = Suite(
    command="check-intel",
    host=IntelHost(),
    parameters={"kvm-intel": "ept=1"},
    folder=Path(__file__).parent,
    record="stock-ept1.tsv",
    checks={"reload": {"rounds": 2}},
    variants=(Variant("ept=0", "ept=0", "selftests-shadow.list", "stock-ept0.tsv"),),
)

if __name__ == "__main__":
    command(SUITE.main)
