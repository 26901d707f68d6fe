# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The ways in which a guest's memory can be translated, and what each asks of the test bed."""
from dataclasses import dataclass, field

from .errors import BedError


WORK = {"fork": 500, "memory": 256, "files": 64, "clock": 20000}         # arguments of guest/work.c
LIGHT_WORK = {"fork": 100, "memory": 64, "files": 16, "clock": 5000}


@dataclass(frozen=True)
class Mode:
    """vendor: the KVM module to load in L0. parameters: {module: "key=value"} for L0's modules.

    work: {kind: amount} for the innermost guest. limit: seconds from power-on to power-off of L1. host_memory,
    guest_memory: MiB of L0 and of the innermost guest. nested: that is L2, run by the distribution's KVM in L1, which
    has middle_memory MiB. bochs: L0 is in Bochs, not in QEMU. hypervisor: one of our own in tests/guests, which runs as
    L1 first, see hypervisor.py; if there is no work, it alone.
    """
    name: str
    vendor: str
    parameters: dict[str, str] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=lambda: WORK)
    limit: int = 180
    host_memory: int = 3000
    guest_memory: int = 512
    nested: bool = False
    middle_memory: int = 2500
    bochs: bool = False
    hypervisor: str = ""


BOCHS = {"limit": 400, "host_memory": 2048, "bochs": True}
MODES = {mode.name: mode for mode in (
    Mode("npt", "kvm-amd", {"kvm-amd": "npt=1"}),
    Mode("shadow", "kvm-amd", {"kvm-amd": "npt=0"}, limit=400),
    Mode("nested", "kvm-amd", {"kvm-amd": "npt=1 nested=1"}, LIGHT_WORK, limit=600, host_memory=4000, nested=True,
         hypervisor="svm"),
    Mode("ept", "kvm-intel", {"kvm-intel": "ept=1"}, LIGHT_WORK, **BOCHS),
    Mode("ept-shadow", "kvm-intel", {"kvm-intel": "ept=0"}, LIGHT_WORK, **BOCHS),
    Mode("ept-nested", "kvm-intel", {"kvm-intel": "ept=1 nested=1"}, {}, **BOCHS, hypervisor="vmx"),
)}
DEFAULT_MODE = "nested"             # the case that asks most of an MMU


def find_mode(name):
    """The Mode of that name; BedError if there is none."""
    if name in MODES:
        return MODES[name]
    raise BedError(f"MODE={name} is unknown: choose one of {', '.join(MODES)}")
