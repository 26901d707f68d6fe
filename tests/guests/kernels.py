# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Guest kernels of our own: how they are built, and with what parameters they are run."""
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from bed import BedError, Job
from bed.places import BUILD
from bed.programs import alone_in

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "lib"
SAMPLES = FOLDER / "samples.sh"
FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic", "-fno-stack-protector",
         "-fno-asynchronous-unwind-tables", "-mgeneral-regs-only", "-nostdlib", "-static", "-no-pie",
         "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096", "-Wl,--no-warn-rwx-segments"]
SHARED = ("stubs.S", "print.c", "report.c", "mark.c", "loader.c", "memory.c", "model.c", "oracle.c")
OWN = {64: ("boot.S", "trap_entry.S", "long.S", "trap.c", "smp.c"), 32: ("boot32.S", "trap32.c")}
QEMU = "qemu-system-x86_64 -L /usr/share/qemu -accel kvm -cpu host -nodefaults -display none -no-reboot " \
       "-device isa-debug-exit,iobase=0xf4,iosize=4 -debugcon stdio"


@dataclass(frozen=True)
class Run:
    """A kernel with parameters.

    kernel: NAME of NAME.c, or of a folder of .c and .S files. append: its command line. memory: MiB. limit: seconds by
    the host's clock. bits: 32 or 64. options: more arguments of QEMU. default: part of the suites. needs: a
    flag of the host's CPU without which it is skipped. samples: it has marks at which counters of the host's KVM are read; see samples.sh.
    """
    name: str
    kernel: str
    append: str = ""
    cpus: int = 1
    memory: int = 128
    limit: int = 60
    bits: int = 64
    options: str = ""
    default: bool = True
    needs: str = ""
    samples: bool = False


RUNS = {run.name: run for run in (
    Run("guest-library", "selftest", cpus=2),
    Run("guest-access", "access"),
    Run("guest-access32", "access", bits=32),
    Run("guest-modes", "modes"),
    Run("guest-modes32", "modes32", bits=32),
    Run("guest-mmio", "mmio"),
    Run("guest-tables", "tables"),
    Run("guest-tables-smp", "tables", "cpus", cpus=2),
    Run("guest-tables-long", "tables", "turns=100 forks=500 tables=4000 switches=100000 steps=50000", memory=256,
        limit=1800, default=False),
    Run("guest-tables-smp-long", "tables", "cpus rounds=2000", cpus=2, limit=1800, default=False),
    Run("guest-access-full", "access", append="full", limit=3600, default=False),
    Run("vmx", "vmx", limit=90, default=False),         # with L0's counters: bed/hypervisor.py
    Run("svm-rights", "svm", "rights short", needs="svm"),
    Run("svm-random", "svm", "random steps=150", needs="svm"),
    Run("svm-special", "svm", "special", needs="svm"),
    Run("svm-beyond", "svm", "beyond", limit=20, needs="svm"),
    Run("svm-crowd", "svm", "crowd steps=500", cpus=2, needs="svm"),
    Run("svm-rotation", "svm", "rotation marks switches=100", samples=True, needs="svm"),
    Run("svm-rights-all", "svm", "rights marks", samples=True, default=False),
    Run("svm-random-long", "svm", "random marks steps=3000 seed=2", limit=240, samples=True, default=False),
    Run("svm-rotation-long", "svm", "rotation marks", samples=True, default=False),
    Run("svm-crowd-long", "svm", "crowd steps=10000 seed=7", cpus=2, limit=240, default=False),
    Run("svm-parallel", "svm", "parallel marks", cpus=2, samples=True, default=False),
)}


def build_kernel(kernel, bits):
    """Compile a kernel into build/guests; returns the path of the file for QEMU's -kernel."""
    made = BUILD / "guests" / f"{kernel}-{bits}"
    with alone_in(made.parent):
        _build(made, kernel, bits)
    return made


def _build(made, kernel, bits):
    """Compile it, unless it is newer than what goes into it."""
    own = FOLDER / kernel
    sources = [FOLDER / f"{kernel}.c"] if not own.is_dir() else sorted([*own.glob("*.c"), *own.glob("*.S")])
    library = [LIBRARY / name for name in (*OWN[bits], *SHARED)]
    inputs = [*sources, *LIBRARY.iterdir(), *own.glob("*.h"), FOLDER / "kernels.py"]
    if made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in inputs):
        return
    elf, log = made.with_suffix(".elf"), made.with_suffix(".log")
    red_zone = ["-mno-red-zone"] if bits == 64 else []
    commands = [["gcc", f"-m{bits}", *FLAGS, *red_zone, "-T", LIBRARY / "kernel.ld", "-I", LIBRARY, "-I", own, "-o", elf,
                 *library, *sources],
                # QEMU's multiboot loader takes 32-bit files only.
                ["objcopy", "-O", "elf32-i386", elf, made]]
    with open(log, "wb") as errors:
        for command in commands:
            if subprocess.run(command, stdout=errors, stderr=errors, check=False).returncode:
                raise BedError(f"the guest kernel {kernel} does not compile", log)


def qemu_arguments(run, words):
    """What QEMU is told beside QEMU and the kernel's path, as shell text; words as of guest_jobs()."""
    append = f"{run.append} {words}".strip()
    return f"-smp {run.cpus} -m {run.memory} -append '{append}' {run.options}".rstrip()


def guest_jobs(words, cpus, runs=None):
    """The Jobs of these Runs, by default those of every suite.

    words: more for the command line: "nested" under nested paging, "tcg" if TCG is what walks; see lib/model.h.
    cpus: no guest gets more, since CPUs that wait for each other crawl if they share one of the host's.
    """
    runs = runs or [run for run in RUNS.values() if run.default]
    return [_job(replace(run, cpus=min(run.cpus, cpus)), words) for run in runs]


def pack_guests(image, jobs):
    """Put the kernels that these jobs run, and QEMU, into an image."""
    packed = {(kernel, int(bits)) for job in jobs for kernel, bits in re.findall(r"/guests/(\w+)-(\d+)", job.script)}
    for kernel, bits in sorted(packed):
        image.add_file(build_kernel(kernel, bits), f"guests/{kernel}-{bits}")
    if packed:
        image.add_qemu()


def _job(run, words):
    """One Job. QEMU's exit status tells the kernel's: 2 * status + 1."""
    qemu = f"{QEMU} -kernel /guests/{run.kernel}-{run.bits} {qemu_arguments(run, words)}\n"
    script = f"set -- {qemu}{SAMPLES.read_text()}" if run.samples else f"{qemu}status=$?\n"
    if run.needs:
        script = f"grep -qw {run.needs} /proc/cpuinfo || exit 4\n{script}"
    return Job(run.name, f"{script}case $status in 1) exit 0 ;; 5) exit 4 ;; *) exit 1 ;; esac\n", run.limit)
