# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Figures of a run: what they are made of, and the file they are left in, one "key<TAB>value" a line."""

# Reasons of exits by which L2 tells of a nested fault: #NPF; EPT violation, EPT misconfiguration.
NESTED_FAULTS = {"kvm-amd": (0x400,), "kvm-intel": (48, 49)}


def write_report(path, figures):
    """Write {key: value}; a figure that is None is left out, never guessed."""
    lines = (f"{key}\t{value}\n" for key, value in figures.items() if value is not None)
    path.write_text("".join(lines))


def read_report(path):
    """{key: text} of a report."""
    return dict(line.split("\t", 1) for line in path.read_text().splitlines())


def counters(notes, guest, vendor):
    """The counters that guest_figures noted: {"exits": 1, ...} by their names in a report, then all of KVM's and ours.

    The names in front are there for either MMU to have; one that the loaded module does not count is None. vendor: the
    module that numbers the reasons of exits.
    """
    counted = {key.removeprefix(f"{guest}."): int(value) for key, value in notes.items()
               if key.startswith((f"{guest}.kvm.", f"{guest}.vmmu."))}
    named = {
        "exits": counted.get("kvm.exits"),
        "faults": counted.get("kvm.pf_taken"),
        **_roots(counted, _events(notes, f"{guest}.kvm_mmu_get_page.")),
        "shadow_pages": counted.get("vmmu.tables_now"),
        "flushes": counted.get("kvm.remote_tlb_flush"),
        "switches": counted.get("kvm.nested_run") or None,
        **_nested(_events(notes, f"{guest}.kvm_nested_vmexit."), _events(notes, f"{guest}.kvm_nested_vmexit_inject."),
                  NESTED_FAULTS[vendor]),
    }
    return named | dict(sorted(counted.items()))


def _events(notes, prefix):
    """{(1, ...): count}: how often a tracepoint was passed, by its keys, as guest_event_figures noted it."""
    return {tuple(map(int, key.removeprefix(prefix).split("."))): int(value) for key, value in notes.items()
            if key.startswith(prefix)}


def _roots(counted, pages):
    """Figures on roots. pages: {(level, made, role): count}; those of most levels are the roots."""
    if "vmmu.roots_built" in counted:
        misses = sum(value for key, value in counted.items() if key.startswith("vmmu.roots_miss_"))     # one a reason
        return {
            "roots_built": counted["vmmu.roots_built"],
            "roots_hit": counted["vmmu.roots_hit"],
            "roots_missed": misses,
            "roots_loaded": misses + counted["vmmu.roots_shared"],
        }
    most = max(pages, default=(0,))[0]
    roots = {key: count for key, count in pages.items() if key[0] == most}
    return {
        "roots_built": sum(count for (_, made, _), count in roots.items() if made) if pages else None,
        "roots_hit": None,
        "roots_missed": None,
        "roots_loaded": sum(roots.values()) if pages else None,
    }


def _nested(exits, to_l1, faults):
    """Figures on L2. exits: {(reason,): count}. to_l1: the same of exits that were made for L1 to hear of."""
    return {
        "nested_exits": sum(exits.values()) if exits else None,
        "nested_faults": sum(exits.get((reason,), 0) for reason in faults) if exits else None,
        "nested_faults_l1": sum(to_l1.get((reason,), 0) for reason in faults) if exits else None,
    }
