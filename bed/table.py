# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Figures for people."""

GROUPS = (
    ("page faults", (
        ("taken", "kvm.pf_taken"), ("fixed", "kvm.pf_fixed"), ("fixed without a lock", "kvm.pf_fast"),
        ("spurious", "kvm.pf_spurious"), ("emulated", "kvm.pf_emulate"),
        ("MMIO entries made", "kvm.pf_mmio_spte_created"), ("for the guest itself", "kvm.pf_guest"),
    )),
    ("exits", (
        ("all", "kvm.exits"), ("MMIO", "kvm.mmio_exits"), ("port I/O", "kvm.io_exits"), ("halt", "kvm.halt_exits"),
        ("interrupt", "kvm.irq_exits"), ("entries into L2", "switches"),
    )),
    ("TLB flushes", (
        ("of all vCPUs", "kvm.remote_tlb_flush"), ("of one vCPU", "kvm.tlb_flush"), ("of one address", "kvm.invlpg"),
    )),
    ("pages mapped at the end", (
        ("4 KiB", "kvm.pages_4k"), ("2 MiB", "kvm.pages_2m"), ("1 GiB", "kvm.pages_1g"),
        ("2 MiB split for execution", "kvm.nx_lpage_splits"),
    )),
    ("shadow pages", (
        ("in use at the end", "shadow_pages"), ("roots built", "roots_built"),
        ("roots found", "roots_hit"), ("roots missed", "roots_missed"),
        ("zapped", "kvm.mmu_shadow_zapped"), ("unsynchronised", "kvm.mmu_unsync"),
        ("made writable to the guest", "vmmu.unsynced"), ("compared again", "vmmu.synced"),
        ("guest's writes followed", "vmmu.guest_table_writes"), ("given up in a flood", "vmmu.shadow_pages_flooded"),
    )),
)


def show_run(figures):
    """Print the figures of one run; those it does not have are left out."""
    print()
    for title, rows in GROUPS:
        present = [(label, figures[key]) for label, key in rows if figures.get(key) is not None]
        for number, (label, value) in enumerate(present):
            print(f"  {title if number == 0 else '':<24} {label:<28} {value:>10}")
    _show_times(figures)


def _show_times(figures):
    """The last line."""
    times = ", ".join(f"{figures['seconds_' + part]} s {label}" for part, label in
                      (("boot", "to user space"), ("work", "at work"), ("guest", "in all")))
    print(f"\n  guest: {times}; the run: {figures['seconds_total']} s\n")


def show_rotations(figures):
    """Print what contexts of L2 by turns cost L0."""
    columns = ("switches", "roots_built", "faults", "exits")
    print(f"\n  {'':<16}" + "".join(f"{title.replace('_', ' '):>14}" for title in columns))
    for name in (key.removesuffix(".switches") for key in figures if key.endswith(".switches")):
        cells = (figures[f"{name}.{key}"] for key in columns)
        print(f"  {name.replace('_', ' '):<16}" + "".join(f"{'-' if cell is None else cell:>14}" for cell in cells))
    _show_times(figures)
