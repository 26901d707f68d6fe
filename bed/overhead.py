# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make overhead: what shadow paging costs over nested paging, ours and Debian's, in instructions and in exits.

The emulated host has one CPU and a clock that goes by instructions, so that a run can be repeated. The guest boots and works
three times: with npt=1, with npt=0, and with npt=0 of the distribution's KVM.
"""
import dataclasses

from .command import command
from .modes import find_mode
from .places import BUILD
from .progress import Progress
from .qemu import QemuHost
from .report import write_report
from .run import run_guest

WORK = {"fork": 300, "memory": 256}
LIMIT = 100                 # seconds of the host's clock
INSTRUCTIONS = 500          # millions in a second of it
RUNS = (("npt=1", "vmmu", "npt=1"), ("npt=0", "vmmu", "npt=0"), ("stock npt=0", "stock", "npt=0"))
# Exits by what brought them about, as KVM counts them, and what asks for each.
CAUSES = (
    ("page faults of the guest's own", "pf_guest", "the CPU: with npt=0 each page fault of the guest comes to the host first"),
    ("entries that the guest has made", "pf_fixed", "the CPU, once for an entry: nothing else tells that it was made"),
    ("writes to upper tables", "pf_emulate", "the MMU: kept from the guest while they are used as tables"),
    ("faults that found nothing to do", "pf_spurious", "the MMU"),
    ("INVLPG", "invlpg", "the CPU: it knows our tables only, which have to follow"),
    ("I/O", "io_exits", "the guest, whatever the MMU"),
    ("MMIO", "mmio_exits", "the guest, whatever the MMU"),
    ("interrupts of the host", "irq_exits", "the host, whatever the MMU"),
    ("waits for an open interrupt window", "irq_window_exits", "the guest, whatever the MMU"),
    ("halts", "halt_exits", "the guest, whatever the MMU"),
)


def measure(folder, progress):
    """{name of the run: its figures}."""
    figures = {}
    for name, kvm, parameters in RUNS:
        progress.say(f"{name}:")
        mode = dataclasses.replace(find_mode("shadow"), parameters={"kvm-amd": parameters}, work=WORK)
        host = QemuHost(mode.host_memory, vendor=mode.vendor, counted=True)
        figures[name] = run_guest(mode, kvm, folder / name.replace(" ", "-"), progress, LIMIT, host=host)
    return figures


def ratio(figures, key):
    """Our overhead over npt=1 by stock's."""
    base, ours, stock = (figures[name][key] for name, _, _ in RUNS)
    return (ours - base) / (stock - base)


def render(figures):
    """The report, as lines of Markdown."""
    names = [name for name, _, _ in RUNS]
    lines = ["# What shadow paging costs over nested paging", "",
             f"A guest that boots, forks and executes {WORK['fork']} times and touches {WORK['memory']} MiB, on one emulated CPU.", "",
             "| | " + " | ".join(names) + " | overhead, ours by stock's |", "|---|" + "---:|" * 4]
    for label, key, scale in (("instructions, millions", "seconds_guest", INSTRUCTIONS), ("exits", "exits", 1)):
        cells = " | ".join(f"{figures[name][key] * scale:.0f}" for name in names)
        lines.append(f"| {label} | {cells} | {ratio(figures, key):.3f} |")
    lines += ["", "| exits by cause | " + " | ".join(names) + " | who asks for them |", "|---|" + "---:|" * 3 + "---|"]
    for label, key, who in CAUSES:
        lines.append(f"| {label} | " + " | ".join(str(figures[name][f"kvm.{key}"]) for name in names) + f" | {who} |")
    rest = [figures[name]["exits"] - sum(figures[name][f"kvm.{key}"] for _, key, _ in CAUSES) for name in names]
    lines.append("| others: registers, MSRs, CPUID | " + " | ".join(map(str, rest)) +
                 " | the CPU: loads of CR3 must be seen with npt=0 |")
    return lines


def main():
    """The command line."""
    folder = BUILD / "overhead"
    with Progress() as progress:
        figures = measure(folder, progress)
    text = "\n".join(render(figures)) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    summary = {"overhead_instructions": round(ratio(figures, "seconds_guest"), 3),
               "overhead_exits": round(ratio(figures, "exits"), 3)}
    write_report(folder / "report.tsv", summary | {f"{name.replace(' ', '.')}.{key}": value for name, one in figures.items()
                                                   for key, value in one.items()})
    print(f"\n{text}\nReport: {folder / 'report.md'} and report.tsv")


if __name__ == "__main__":
    command(main)
