# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The ways in which a guest's memory can be translated, and what each asks of the test bed."""
from dataclasses import dataclass, field

from .errors import BedError


@dataclass(frozen=True)
class Mode:
    """vendor: the KVM module to load in L0. parameters: {module: "key=value"} for L0's modules.

    limit: seconds from power-on to power-off of the guest.
    """
    name: str
    vendor: str
    parameters: dict[str, str] = field(default_factory=dict)
    limit: int = 180


MODES = {mode.name: mode for mode in (
    Mode("npt", "kvm-amd", {"kvm-amd": "npt=1"}),
    Mode("shadow", "kvm-amd", {"kvm-amd": "npt=0"}, limit=400),
)}
PLANNED = ("nested", "ept", "ept-shadow", "ept-nested")


def find_mode(name):
    """The Mode of that name; BedError if there is none, or none yet."""
    if name in MODES:
        return MODES[name]
    if name in PLANNED:
        raise BedError(f"MODE={name} is not available yet")
    raise BedError(f"MODE={name} is unknown: choose one of {', '.join([*MODES, *PLANNED])}")
