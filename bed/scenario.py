# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Run scenarios on an emulated host; prints PASS or FAIL for each. See bed/scenarios/."""
import argparse
import sys

from .command import command
from .image import Image
from .modes import find_mode
from .places import BUILD, module_folders
from .qemu import QemuHost
from .scenarios import SCENARIOS, prepare_scenarios
from .session import run_jobs


def main():
    """The command line; returns 1 if a scenario failed."""
    parser = argparse.ArgumentParser(prog="bed.scenario", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--kvm", default="vmmu", help="whose kvm.ko, vmmu or stock (default: vmmu)")
    parser.add_argument("--mode", default="npt", help="how the guests' memory is translated (default: npt)")
    parser.add_argument("--verbose", action="store_true", help="show all of the console")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]}")
    mode = find_mode(arguments.mode)
    folder = BUILD / "scenarios"
    folder.mkdir(parents=True, exist_ok=True)
    image = Image()
    image.add_modules([mode.vendor], module_folders(arguments.kvm), mode.parameters)
    jobs = prepare_scenarios(arguments.names or SCENARIOS, image, folder)
    failed = False
    for outcome in run_jobs(QemuHost(vendor=mode.vendor), image, jobs, folder,
                            print if arguments.verbose else None):
        failed |= not outcome.ok
        hangs = f", the emulator hung or broke it {outcome.hangs} times" if outcome.hangs else ""
        print(f"{outcome.status} {outcome.job.name} {outcome.seconds:.1f} s {outcome.reason}{hangs}".rstrip())
        sys.stdout.flush()
    if failed:
        print(f"log: {folder / 'console.log'}")
    return int(failed)


if __name__ == "__main__":
    command(main)
