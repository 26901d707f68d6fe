# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make check-kvm: our KVM on an emulated AMD processor, with nested paging."""
from pathlib import Path

from bed import QemuHost
from bed.command import command

from .suite import Suite


class SeparateSlabsHost(QemuHost):
    """A host that does not merge slabs of one size, so that an object that is left in one of KVM's is seen."""

    def launch(self, initramfs, append):
        return super().launch(initramfs, f"{append} slab_nomerge")


SUITE = Suite(
    command="check-kvm",
    host=SeparateSlabsHost(memory=3000, accelerator="tcg"),
    parameters={"kvm-amd": "npt=1"},
    folder=Path(__file__).parent,
    record="stock-npt1.tsv",
    checks={"surface": {}, "kvmgt": {}, "no-nested": {}, "no-shadow": {}, "reload": {}},
    records_surface=True,
)

if __name__ == "__main__":
    command(SUITE.main)
