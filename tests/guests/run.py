# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Run guest kernels of our own on an emulated host, or, with --bare, in QEMU's own emulation without KVM."""
import argparse
import dataclasses
import fnmatch
import shlex
import subprocess

from bed import BedError, Image, QemuHost, run_jobs
from bed.bochs import BochsHost
from bed.command import command
from bed.modes import MODES, find_mode
from bed.places import BUILD, KVM_CHOICES, module_folders

from .kernels import RUNS, build_kernel, guest_jobs, pack_guests, qemu_arguments

WORDS = {"npt": "nested tcg", "ept": "nested"}
BARE = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-display", "none", "-no-reboot",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-debugcon", "stdio"]


def main():
    """The command line; returns 1 if a kernel failed."""
    parser = argparse.ArgumentParser(prog="tests.guests.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; default: those of the suites")
    parser.add_argument("--kvm", default="vmmu", choices=KVM_CHOICES, help="whose kvm.ko (default: vmmu)")
    parser.add_argument("--mode", default="npt", help=f"of {', '.join(MODES)} (default: npt)")
    parser.add_argument("--append", help="another command line for the kernels")
    parser.add_argument("--limit", type=int, help="seconds each may take")
    parser.add_argument("--bare", action="store_true", help="without an emulated host and KVM")
    parser.add_argument("--work", default="guests-run", help="folder in build/ for the log (default: guests-run)")
    arguments = parser.parse_args()
    names = [name for word in arguments.names for name in fnmatch.filter(RUNS, word) or [word]]
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        raise BedError(f"there is no guest kernel {unknown[0]}")
    runs = [RUNS[name] for name in names] if names else [run for run in RUNS.values() if run.default]
    changes = {key: value for key, value in (("append", arguments.append), ("limit", arguments.limit)) if value}
    runs = [dataclasses.replace(run, **changes) for run in runs]
    return run_bare(runs) if arguments.bare else run_in_host(runs, arguments)


def run_bare(runs):
    """In QEMU's emulation: for the kernels' own sake, and to see what it does not emulate."""
    failed = False
    for run in runs:
        print(f"== {run.name}", flush=True)
        kernel = ["-kernel", str(build_kernel(run.kernel, run.bits))]
        command_line = ["timeout", str(run.limit), *BARE, *kernel, *shlex.split(qemu_arguments(run, WORDS["npt"]))]
        done = subprocess.run(command_line, stdin=subprocess.DEVNULL, check=False)
        failed |= done.returncode not in (1, 5)
    return int(failed)


def run_in_host(runs, arguments):
    """On an emulated host with KVM."""
    mode = find_mode(arguments.mode)
    folder = BUILD / arguments.work
    folder.mkdir(parents=True, exist_ok=True)
    image = Image()
    image.add_modules([mode.vendor], module_folders(arguments.kvm), mode.parameters)
    jobs = guest_jobs(WORDS.get(mode.name, ""), 1 if mode.bochs else 2, runs)
    pack_guests(image, jobs)
    host = BochsHost() if mode.bochs else QemuHost(memory=1500, vendor=mode.vendor, accelerator="tcg")
    failed = False
    for outcome in run_jobs(host, image, jobs, folder):
        failed |= not outcome.ok
        print("\n".join(line for line in outcome.lines if line.strip()))
        for warning in outcome.warnings:
            print(f"kernel: {warning}")
        print(f"== {outcome.status} {outcome.job.name} {outcome.seconds:.1f} s {outcome.reason} hangs {outcome.hangs}",
              flush=True)
    return int(failed)


if __name__ == "__main__":
    command(main)
