# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-kvm: our KVM on an emulated AMD processor, with nested paging."""
from pathlib import Path

from bed import QemuHost
from bed.command import command
from bed.scenarios import SCENARIOS

from .suite import Part, SeparateSlabs, Suite


class AmdHost(SeparateSlabs, QemuHost):
    """An emulated AMD processor."""


SUITE = Suite(
    command="check-kvm",
    host=AmdHost(memory=3000, accelerator="tcg", parallel=False),
    parallel_host=AmdHost(memory=3000, accelerator="tcg"),
    parameters={"kvm-amd": "npt=1"},
    folder=Path(__file__).parent,
    checks={"surface": {}, "kvmgt": {}, "reload": {}},
    records_surface=True,
    parts=(Part(
        "stock-npt1.tsv",
        "selftests.list",
        guests=("guest-[!t]*", "guest-tables", "svm-[!c]*"),
        guest_words="nested tcg",
    ), Part(
        "stock-npt1.tsv",
        parallel=True,
        guests=("guest-tables-smp", "svm-crowd"),
        guest_words="nested tcg",
        linux=("linux-5-levels",),
        scenarios=tuple(SCENARIOS),
    )),
)

if __name__ == "__main__":
    command(SUITE.main)
