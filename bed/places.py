# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Where things lie: the checkout, the build folder, the unpacked kernel, the modules."""
import os
from pathlib import Path

from .errors import BedError

ROOT = Path(__file__).resolve().parent.parent
BED = ROOT / "bed"
BUILD = Path(os.environ.get("BUILD") or ROOT / "build").resolve()
KERNEL = BUILD / "kernel"       # Debian's kernel package, unpacked by `make deps`
KERNEL32 = BUILD / "kernel32"   # Debian's kernels of i386, and a busybox for them, likewise
OUR_KVM = BUILD / "kvm"         # our kvm.ko and vendor modules, left by `make kvm`
KVM_CHOICES = ("vmmu", "stock")


def kernel_release():
    """The release of the kernel that hosts and guests boot, e.g. 6.1.0-56-amd64."""
    try:
        return (KERNEL / "release").read_text().strip()
    except FileNotFoundError:
        raise BedError("Debian's kernel is not unpacked yet: run `make deps`") from None


def kernel_image():
    """The bzImage that hosts and guests boot."""
    return KERNEL / "boot" / f"vmlinuz-{kernel_release()}"


def kernel32_image(flavour):
    """The bzImage of Debian's i386 kernel of that flavour, 686 or 686-pae."""
    return _kernel32(f"boot/vmlinuz-6.1.0-*-{flavour}")


def busybox32():
    """Busybox for these kernels."""
    return _kernel32("bin/busybox")


def _kernel32(pattern):
    """The one file of that name among what is unpacked for 32-bit guests."""
    found = list(KERNEL32.glob(pattern))
    if len(found) != 1:
        raise BedError(f"{KERNEL32}/{pattern} is missing: run `make deps`")
    return found[0]


def kernel_modules():
    """The top of the tree of Debian's modules for that kernel."""
    return KERNEL / "lib" / "modules" / kernel_release() / "kernel"


def check_kvm_choice(kvm):
    """BedError unless kvm is 'vmmu' or 'stock'."""
    if kvm not in KVM_CHOICES:
        raise BedError(f"KVM={kvm} is unknown: choose one of {', '.join(KVM_CHOICES)}")


def module_folders(kvm):
    """Folders in which to look for modules, best first, for kvm = 'vmmu' or 'stock'."""
    check_kvm_choice(kvm)
    if kvm == "stock":
        return [kernel_modules()]
    if not (OUR_KVM / "kvm.ko").is_file():
        raise BedError(f"{OUR_KVM}/kvm.ko is missing: run `make kvm`")
    return [OUR_KVM, kernel_modules()]
