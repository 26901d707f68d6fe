# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Figures for people."""

GROUPS = (
    ("L2", (
        ("switches: entries into it", "switches"), ("exits from it", "nested_exits"),
        ("nested faults", "nested_faults"), ("for L1", "nested_faults_l1"),
        ("mapped ahead of a second one", "vmmu.faults_ahead"),
    )),
    ("page faults", (
        ("taken", "kvm.pf_taken"), ("fixed", "kvm.pf_fixed"), ("fixed without a lock", "kvm.pf_fast"),
        ("spurious", "kvm.pf_spurious"), ("emulated", "kvm.pf_emulate"),
        ("MMIO entries made", "kvm.pf_mmio_spte_created"), ("for the guest itself", "kvm.pf_guest"),
    )),
    ("exits", (
        ("all", "kvm.exits"), ("MMIO", "kvm.mmio_exits"), ("port I/O", "kvm.io_exits"), ("halt", "kvm.halt_exits"),
        ("interrupt", "kvm.irq_exits"),
    )),
    ("TLB flushes", (
        ("of all vCPUs", "kvm.remote_tlb_flush"), ("of one vCPU", "kvm.tlb_flush"), ("of one address", "kvm.invlpg"),
    )),
    ("pages mapped at the end", (
        ("4 KiB", "kvm.pages_4k"), ("2 MiB", "kvm.pages_2m"), ("1 GiB", "kvm.pages_1g"),
        ("2 MiB split for execution", "kvm.nx_lpage_splits"),
    )),
    ("roots", (
        ("hit: in the context's cache", "roots_hit"), ("not in it, but the VM had it", "vmmu.roots_shared"),
        ("missed", "roots_missed"), ("never had", "vmmu.roots_miss_cold"), ("dropped", "vmmu.roots_miss_obsolete"),
        ("loaded", "roots_loaded"), ("built", "roots_built"),
    )),
    ("shadow pages", (
        ("in use at the end", "shadow_pages"), ("zapped", "kvm.mmu_shadow_zapped"),
        ("unsynchronised", "kvm.mmu_unsync"),
        ("made writable to the guest", "vmmu.unsynced"), ("compared again", "vmmu.synced"),
        ("guest's writes followed", "vmmu.guest_table_writes"), ("given up in a flood", "vmmu.shadow_pages_flooded"),
    )),
)


def show_run(figures):
    """Print the figures of one run; those it does not have are left out."""
    print()
    if "contexts" not in figures:       # else they are of one of the rotations
        _show_groups(figures)
    _show_rotations(figures)
    times = ", ".join(f"{figures['seconds_' + part]} s {label}" for part, label in
                      (("boot", "to user space"), ("work", "at work"), ("guest", "in all")))
    print(f"\n  guest: {times}; the run: {figures['seconds_total']} s\n")


def _show_groups(figures):
    for title, rows in GROUPS:
        if title == "L2" and figures["switches"] is None:
            continue
        present = [(label, figures[key]) for label, key in rows if figures.get(key) is not None]
        for number, (label, value) in enumerate(present):
            print(f"  {title if number == 0 else '':<24} {label:<28} {value:>10}")


def _show_rotations(figures):
    """What L2s by turns, and their cold pages, cost L0 in our own hypervisor: a line each."""
    title = "L2s by turns"
    for name in (key.removesuffix(".switches") for key in figures if key.endswith(".switches")):
        kind, _, contexts = name.partition("_")
        words = [("switches", figures[f"{name}.switches"]), ("contexts", contexts or 1)]
        words += [(key, figures[f"{name}.{key}"]) for key in ("roots_built", "faults", "roots_loaded", "exits")]
        said = " ".join(f"{key} {value}" for key, value in words if value is not None)
        print(f"  {title:<24} {'' if kind == 'contexts' else f'{kind}: '}{said}")
        title = ""
