# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""L1 is a hypervisor of our own, tests/guests/svm or tests/guests/vmx, whose L2s run by turns in contexts of their own.

What a switch costs L0 is what L0's counters say between two marks in L1's output.
"""
import re

from .job import Job
from .places import BED
from .report import counters

WARM = re.compile(r"(\w+)\.(\d+)\.begin\.kvm\.exits")
# What the contexts of a rotation have of their own, and how the report calls it.
KINDS = {"rotate": "contexts", "registers": "registers", "vmcs": "vmcs", "legacy": "legacy"}
SHOWN = ("switches", "exits", "faults", "roots_built", "roots_hit", "roots_missed", "roots_loaded", "flushes")


def hypervisor_job(image, name, script, limit, kernel="vmx"):
    """A Job for a script over hypervisor.sh; what it needs is put into the host's image. kernel: in tests/guests."""
    from tests.guests.kernels import build_kernel       # The tests are built on the bed: late, so that both load.
    image.add_qemu()
    image.add_file(build_kernel(kernel, 64), "guest/hypervisor")
    image.add_file(BED / "guest.sh", "bed/guest.sh")
    image.add_file(BED / "hypervisor.sh", "bed/hypervisor.sh")
    return Job(name, f". /bed/guest.sh\n. /bed/hypervisor.sh\n{script}\n", limit)


def hypervisor_figures(outcome, vendor):
    """What the report says of a run of it alone: figures of the most contexts under the usual names, then all."""
    notes = outcome.notes
    started, ready, halted = (float(notes[f"hypervisor.{event}"]) for event in ("started", "ready", "halted"))
    turns = _rotations(notes, vendor)
    most = max(count for kind, count in turns if kind == "rotate")
    return {
        "hangs": outcome.hangs,
        "seconds_guest": round(halted - started, 2),
        "seconds_boot": round(ready - started, 2),
        "seconds_work": round(halted - ready, 2),
        "contexts": most,
    } | turns["rotate", most] | rotation_figures(outcome, vendor)


def rotation_figures(outcome, vendor):
    """{"contexts_16.switches": 1000, ...}: figures of each rotation, and of cold pages."""
    turns = _rotations(outcome.notes, vendor)
    turns["cold", ""] = _between(outcome.notes, "cold.begin", "cold.end", vendor)
    figures = {}
    for (kind, count), counted in turns.items():
        name = f"{KINDS[kind]}_{count}" if count else kind
        figures |= {f"{name}.{key}": counted[key] for key in SHOWN}
    return figures


def _rotations(notes, vendor):
    """{(kind, contexts): {"exits": 1, ...}}: what L0 counted while L2s ran by turns in contexts that were warm."""
    warm = [(found[1], int(found[2])) for found in map(WARM.fullmatch, notes) if found]
    return {(kind, count): _between(notes, f"{kind}.{count}.begin", f"{kind}.{count}.end", vendor)
            for kind, count in warm}


def _between(notes, first, last, vendor):
    """What was counted between two marks; a figure that the module does not count is None.

    Exits for port I/O are left out: L1 does none between them but look for the answer to the first.
    """
    before, after = counters(notes, first, vendor), counters(notes, last, vendor)
    figures = {key: None if value is None else value - (before[key] or 0) for key, value in after.items()}
    figures["exits"] -= figures["kvm.io_exits"]
    return figures
