# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""make compare: run guests in our KVM and in Debian's by turns, and put the figures side by side.

Times of one run on a shared machine mean little; the ratio within a pair of neighbouring runs means more, and the
median of the pairs is what to quote. Counts hardly vary.
"""
import argparse
from statistics import median

from .command import command
from .modes import DEFAULT_MODE, find_mode
from .places import BUILD
from .progress import Progress
from .report import write_report
from .run import run_guest

TIMES = (("boot", "seconds_boot"), ("work", "seconds_work"), ("whole life", "seconds_guest"))
COUNTS = ("exits", "faults", "roots_built", "roots_hit", "roots_missed", "roots_loaded", "shadow_pages", "flushes",
          "switches", "nested_exits", "nested_faults", "nested_faults_l1")


def compare(mode, pairs, folder, progress):
    """Run vmmu and stock by turns; returns [(figures of vmmu, figures of stock)]. Logs are left below folder."""
    results = []
    for pair in range(1, pairs + 1):
        figures = {}
        # Who goes first changes, so that a machine that warms up or fills up favours neither.
        for kvm in ("vmmu", "stock") if pair % 2 else ("stock", "vmmu"):
            progress.say(f"pair {pair} of {pairs}: {kvm}")
            figures[kvm] = run_guest(mode, kvm, folder / f"{pair}-{kvm}", progress)
        results.append((figures["vmmu"], figures["stock"]))
    return results


def render(mode, results):
    """The report, as lines of Markdown."""
    lines = [f"# vmmu and stock KVM, MODE={mode.name}", "",
             "Seconds are of the guest, by the host's clock; a ratio below 1 means that vmmu was quicker.", "",
             "| | " + " | ".join(f"pair {number}" for number in range(1, len(results) + 1)) + " | median ratio |",
             "|---|" + "---|" * (len(results) + 1)]
    for label, key in TIMES:
        cells = [f"{ours[key]:.2f} : {stock[key]:.2f} = {ours[key] / stock[key]:.3f}" for ours, stock in results]
        lines.append(f"| {label}, vmmu : stock | " + " | ".join(cells) + f" | {_ratio(results, key):.3f} |")
    lines += ["", "| median count | vmmu | stock |", "|---|---:|---:|"]
    lines += [f"| {key} | {_median(results, 0, key)} | {_median(results, 1, key)} |" for key in _counts(results)]
    return lines


def _counts(results):
    """Names of counters that at least one run has and that is not zero in all, the chief ones first."""
    figures = [figures for pair in results for figures in pair]
    names = dict.fromkeys([*COUNTS, *(name for one in figures for name in one if "." in name)])
    return [name for name in names if any(one.get(name) for one in figures)]


def _median(results, side, name):
    """The median of one side's counter, or a dash if that side does not count it."""
    values = [pair[side][name] for pair in results if pair[side].get(name) is not None]
    return f"{median(values):.0f}" if values else "–"


def _ratio(results, key):
    """The median over the pairs of vmmu's time divided by stock's."""
    return median(ours[key] / stock[key] for ours, stock in results)


def summary(mode, results):
    """The figures as {key: value} for the tsv."""
    figures = {"mode": mode.name, "pairs": len(results)}
    figures |= {key.replace("seconds", "ratio"): round(_ratio(results, key), 4) for _, key in TIMES}
    for number, pair in enumerate(results, 1):
        for kvm, one in zip(("vmmu", "stock"), pair):
            figures |= {f"{number}.{kvm}.{key}": value for key, value in one.items() if key not in ("mode", "kvm")}
    return figures


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="bed.compare", description=__doc__)
    parser.add_argument("--mode", default=DEFAULT_MODE, help="how the guests' memory is translated (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each (default: 3)")
    arguments = parser.parse_args()
    mode = find_mode(arguments.mode)
    folder = BUILD / "compare"
    with Progress() as progress:
        results = compare(mode, arguments.pairs, folder, progress)
    text = "\n".join(render(mode, results)) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    write_report(folder / "report.tsv", summary(mode, results))
    print(f"\n{text}\nReport: {folder / 'report.md'} and report.tsv")


if __name__ == "__main__":
    command(main)
