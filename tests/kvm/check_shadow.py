# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-shadow: our KVM on an emulated AMD processor, without nested paging."""
from pathlib import Path

from bed.command import command

from .check import AmdHost
from .suite import Suite

SUITE = Suite(
    command="check-shadow",
    host=AmdHost(memory=3000, accelerator="tcg"),
    parameters={"kvm-amd": "npt=0"},
    folder=Path(__file__).parent,
    selftests="selftests-shadow.list",
    record="stock-npt0.tsv",
    checks={"shrink": {}},
    scenarios=("pressure",),
    guests=("guest-*",),
)

if __name__ == "__main__":
    command(SUITE.main)
