# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Debian's kernels as guests that page in different ways, each as a job for a host.

The guest first says whether it pages as it should, and then works; what it finds wrong fails the job.
"""
from dataclasses import dataclass

from .guest import pack_guest, start_command
from .image import Image
from .job import Job
from .places import BED, busybox32, kernel32_image, kernel_image
from .programs import build_program

WORK = {"fork": 30, "memory": 12, "files": 4, "clock": 1000}          # arguments of guest/work.c
LIMIT = 150

PAGING = """
has() {
    grep ^flags /proc/cpuinfo | head -n 1 | grep -qw $1
}
case $(uname -r) in *-%(flavour)s) ;; *) echo "the kernel is $(uname -r)"; exit 1 ;; esac
for flag in %(present)s; do
    has $flag || { echo "without $flag"; exit 1; }
done
for flag in %(absent)s; do
    ! has $flag || { echo "with $flag"; exit 1; }
done
grep DirectMap /proc/meminfo
%(more)s
"""


@dataclass(frozen=True)
class LinuxGuest:
    """A guest that pages in one way.

    cpu: what is taken from the host's CPU, for QEMU: ",-nx". append: for the kernel's command line. present, absent:
    what its kernel must say of its CPU, and must not. flavour: of Debian's kernels; all but amd64 are of i386.
    memory: MiB. more: shell text that checks more of the guest.
    """
    cpu: str = ""
    append: str = ""
    present: str = ""
    absent: str = ""
    flavour: str = "amd64"
    memory: int = 320
    more: str = ""


LARGEST_USED = "grep -q 'DirectMap1G: *[1-9]' /proc/meminfo || { echo 'no page of 1 GiB is used'; exit 1; }"
# With page-table isolation each process has two address spaces, and each system call changes from one to the other.
GUESTS = {
    "linux-5-levels": LinuxGuest("", "pti=on", "la57 pti nx pdpe1gb", memory=2200, more=LARGEST_USED),
    "linux-4-levels": LinuxGuest(",-la57,-pdpe1gb", "nopti", "nx", "la57 pti pdpe1gb pcid"),
    "linux-no-nx": LinuxGuest(",-nx,-smep,-smap,-umip,-pku", "pti=on no5lvl", "pti", "nx la57 smep smap pku"),
    "linux-pcid": LinuxGuest("", "pti=on", "pti pcid invpcid nx pdpe1gb", "la57"),
    "linux-686": LinuxGuest(flavour="686", more="grep -q DirectMap4M /proc/meminfo"),
    "linux-686-pae": LinuxGuest(present="nx", flavour="686-pae", more="grep -q DirectMap2M /proc/meminfo"),
}


def linux_job(name, image, work, host):
    """The Job that runs GUESTS[name] in a host; what it needs is put into the host's image.

    work: a folder for files on the way.
    """
    guest = GUESTS[name]
    checks = PAGING % {"flavour": guest.flavour, "present": guest.present, "absent": guest.absent, "more": guest.more}
    jobs = [Job("paging", checks, LIMIT)]
    jobs += [Job(kind, f"exec /bed/work {kind} {amount}\n", LIMIT) for kind, amount in WORK.items()]
    if guest.flavour == "amd64":
        inner, kernel, options = Image(), kernel_image(), ()
    else:
        inner, kernel, options = Image(busybox32()), kernel32_image(guest.flavour), ("-m32",)
    inner.add_program(build_program(BED / "guest" / "work.c", *options), "bed/work")
    kernel = host.guest_kernel(kernel)
    image.add_qemu()
    pack_guest(image, name, inner, jobs, work, kernel)
    start = start_command(name, guest.memory, host.guest_cpus, f"{host.guest_append} {guest.append}".strip(),
                          f"-cpu host{guest.cpu}", kernel=kernel)
    return Job(name, f". /bed/guest.sh\n{start}guest_await_halt L1 && guest_passed L1 || exit 1\nguest_end L1\n", LIMIT)
