# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make policies: what each parameter of the shadow engine's policy is worth, in instructions and in exits.

The guest of `make overhead`, with npt=0 and less work, once for each value: all others are at their defaults.
"""
import dataclasses

from .command import command
from .modes import find_mode
from .overhead import INSTRUCTIONS, LIMIT
from .places import BUILD
from .progress import Progress
from .qemu import QemuHost
from .report import write_report
from .run import run_guest

WORK = {"fork": 100, "memory": 64}
VALUES = ("defaults", "vmmu_sync_patience=0", "vmmu_sync_patience=2", "vmmu_sync_patience=64", "vmmu_write_flood=0",
          "vmmu_write_flood=1", "vmmu_prefetch=0", "vmmu_prefetch=16")
FIGURES = (("exits", "exits"), ("faults", "faults"), ("writes carried out", "kvm.pf_emulate"), ("made unsync", "vmmu.unsynced"))


def measure(folder, progress):
    """{parameter: the run's figures}."""
    figures = {}
    for value in VALUES:
        progress.say(f"{value}:")
        parameters = {"kvm-amd": "npt=0"} | ({} if value == "defaults" else {"kvm": value})
        mode = dataclasses.replace(find_mode("shadow"), parameters=parameters, work=WORK)
        host = QemuHost(mode.host_memory, vendor=mode.vendor, counted=True)
        figures[value] = run_guest(mode, "vmmu", folder / value, progress, LIMIT, host=host)
    return figures


def render(figures):
    """The report, as lines of Markdown."""
    lines = ["# Policies of the shadow engine", "",
             f"npt=0, a guest that boots, forks and executes {WORK['fork']} times and touches {WORK['memory']} MiB, on one "
             "emulated CPU.", "",
             "| | instructions, millions | " + " | ".join(label for label, _ in FIGURES) + " |",
             "|---|" + "---:|" * (len(FIGURES) + 1)]
    for value, one in figures.items():
        cells = [f"{one['seconds_guest'] * INSTRUCTIONS:.0f}"] + [str(one[key]) for _, key in FIGURES]
        lines.append(f"| {value} | " + " | ".join(cells) + " |")
    return lines


def main():
    """The command line."""
    folder = BUILD / "policies"
    with Progress() as progress:
        figures = measure(folder, progress)
    text = "\n".join(render(figures)) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    write_report(folder / "report.tsv", {f"{value}.{key}": cell for value, one in figures.items() for key, cell in one.items()})
    print(f"\n{text}\nReport: {folder / 'report.md'} and report.tsv")


if __name__ == "__main__":
    command(main)
