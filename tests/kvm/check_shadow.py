# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-shadow: our KVM on an emulated AMD processor, without nested paging."""
from pathlib import Path

from bed.command import command

from .check import AmdHost
from .suite import Part, Suite

SUITE = Suite(
    command="check-shadow",
    host=AmdHost(memory=3000, accelerator="tcg", parallel=False),
    parallel_host=AmdHost(memory=3000, accelerator="tcg"),
    parameters={"kvm-amd": "npt=0"},
    folder=Path(__file__).parent,
    checks={"shrink": {}},
    parts=(Part(
        "stock-npt0.tsv",
        "selftests-shadow.list",
        guests=("guest-[!t]*", "guest-tables"),
    ), Part(
        "stock-npt0.tsv",
        parallel=True,
        guests=("guest-tables-smp",),
        linux=("linux-5-levels", "linux-4-levels", "linux-no-nx"),
        scenarios=("pressure",),
    )),
)

if __name__ == "__main__":
    command(SUITE.main)
