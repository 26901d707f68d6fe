# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What is checked beside the selftests: how the modules load, and that they show what the distribution's show."""
from pathlib import Path

from bed import Job
from bed.kmod import load_order
from bed.places import kernel_modules, module_folders

from .selftests import PROGRAMS

SCRIPTS = Path(__file__).with_name("checks")
VENDORS = {"kvm-amd": ("kvm_amd", "kvm_intel", "npt"), "kvm-intel": ("kvm_intel", "kvm_amd", "ept")}


def check_job(name, vendor, rounds=20, limit=120):
    """The Job that runs checks/NAME.sh. vendor: the module that fits the host."""
    fits, other, paging = VENDORS[vendor]
    settings = f"vendor={fits} other={other} paging={paging} rounds={rounds}\n"
    return Job(name, settings + (SCRIPTS / "common.sh").read_text() + (SCRIPTS / f"{name}.sh").read_text(), limit)


def pack_checks(image, kvm):
    """Put what the checks need into an image: both vendor modules with what they depend on, a program that runs a VM."""
    for module in load_order(VENDORS, module_folders(kvm)):
        image.add_bytes(module.data, f"bed/modules/{module.name}.ko")
    image.add_program(PROGRAMS / "kvm_page_table_test", "selftests/kvm_page_table_test")


def pack_kvmgt(image):
    """Put the distribution's kvmgt and what it depends on, but for KVM, into an image."""
    modules = [module for module in load_order(["kvmgt"], [kernel_modules()]) if module.name != "kvm"]
    for module in modules:
        image.add_bytes(module.data, f"kvmgt/{module.name}.ko")
    image.add_bytes("".join(f"{module.name}\n" for module in modules), "kvmgt/order")
