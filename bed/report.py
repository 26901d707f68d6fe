# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Figures of a run: what they are made of, and the file they are left in, one "key<TAB>value" a line."""


def write_report(path, figures):
    """Write {key: value}; a figure that is None is left out, never guessed."""
    lines = (f"{key}\t{value}\n" for key, value in figures.items() if value is not None)
    path.write_text("".join(lines))


def read_report(path):
    """{key: text} of a report."""
    return dict(line.split("\t", 1) for line in path.read_text().splitlines())


def counters(notes, guest):
    """The counters that guest_figures noted: {"exits": 1, ...} by their names in a report, then all of KVM's and ours.

    The names in front are there for either MMU to have; one that the loaded module does not count is None.
    """
    counted = {key.removeprefix(f"{guest}."): int(value) for key, value in notes.items()
               if key.startswith((f"{guest}.kvm.", f"{guest}.vmmu."))}
    misses = [value for key, value in counted.items() if key.startswith("vmmu.roots_miss_")]      # one a reason
    named = {
        "exits": counted.get("kvm.exits"),
        "faults": counted.get("kvm.pf_taken"),
        "roots_built": counted.get("vmmu.roots_built"),
        "roots_hit": counted.get("vmmu.roots_hit"),
        "roots_missed": sum(misses) if misses else None,
        "shadow_pages": counted.get("vmmu.tables_now"),
        "flushes": counted.get("kvm.remote_tlb_flush"),
        "switches": counted.get("kvm.nested_run") or None,
    }
    return named | dict(sorted(counted.items()))
