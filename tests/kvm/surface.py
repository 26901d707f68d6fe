# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The surface of KVM that others hold on to, ours compared with the distribution's."""
import subprocess
from pathlib import Path

from bed import BedError
from bed.places import BUILD, kernel_release

RECORD = Path(__file__).with_name("surface-stock.txt")
KVMGT_USES = ("kvm_page_track_register_notifier", "kvm_page_track_unregister_notifier", "kvm_slot_page_track_add_page",
              "kvm_slot_page_track_remove_page")


def surface_lines(outcome):
    """What checks/surface.sh said, sorted."""
    return sorted({line.removeprefix("surface ").strip() for line in outcome.lines if line.startswith("surface ")})


def write_surface(command, release, lines):
    """Record the distribution's surface."""
    RECORD.write_text("# SPDX-License-Identifier: MIT OR GPL-2.0-only\n"
                      f"# What the KVM of {release} shows; written by `{command}`, said by checks/surface.sh.\n" +
                      "".join(line + "\n" for line in lines))


def surface_missing(lines):
    """What the distribution's KVM shows and these lines lack."""
    recorded = [line for line in RECORD.read_text().splitlines() if not line.startswith("#")]
    return [line for line in recorded if line not in lines]


def symbols_missing():
    """What is wrong with the symbols that our kvm.ko exports: a list of plain sentences."""
    stock = _symbols(Path(f"/usr/src/linux-headers-{kernel_release()}/Module.symvers"))
    ours = _symbols(BUILD / "linux-source-6.1" / "arch" / "x86" / "kvm" / "Module.symvers")
    wrong = [f"{name} is not exported" for name in sorted(stock.keys() - ours.keys())]
    wrong += [f"{name} has another version than the distribution's: its kvmgt would not load"
              for name in KVMGT_USES if name in ours and ours[name] != stock[name]]
    if not _defines("kvm_cpu_dirty_log_size"):
        wrong.append("kvm_cpu_dirty_log_size is left to the weak function that returns 0")
    return wrong


def _symbols(path):
    """{name: version} of what kvm.ko exports, from a Module.symvers."""
    if not path.is_file():
        raise BedError(f"{path} is missing: run make deps kvm")
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {row[1]: row[0] for row in rows if row[2].endswith("arch/x86/kvm/kvm")}


def _defines(function):
    """True if our kvm.ko defines a function, and not as a weak symbol."""
    listed = subprocess.run(["nm", str(BUILD / "kvm" / "kvm.ko")], capture_output=True, text=True, check=True)
    return f" T {function}\n" in listed.stdout
