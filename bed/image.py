# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""An initramfs that runs jobs: busybox, modules, programs, files and the init that serves them."""
import re
import shutil
import subprocess
from pathlib import Path

from .archive import Archive
from .errors import BedError
from .kmod import load_order
from .places import BED

FOLDERS = ("dev", "proc", "sys", "tmp", "run", "root", "etc", "usr/bin", "usr/sbin", "sbin", "bed/jobs", "bed/modules")
FIRMWARE = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "linuxboot.bin", "multiboot.bin",
            "multiboot_dma.bin", "pvh.bin", "vgabios-stdvga.bin")


class Image:
    """The content of an initramfs. Fill it with the add_ methods, then write() it, as often as needed.

    busybox: the program that runs it all, static; by default this machine's.
    """

    def __init__(self, busybox=None):
        self._content = {}          # name in the image -> (data, mode)
        self._modules = {}          # module name -> Module, in load order
        self.add_program(busybox or _tool("busybox", "busybox-static"), "bin/busybox")
        self.add_file(BED / "init.sh", "init", 0o755)

    def add_bytes(self, data, name, mode=0o644):
        """Put bytes or text at a path of the image."""
        self._content[name.lstrip("/")] = (data.encode() if isinstance(data, str) else data, mode)

    def add_file(self, source, name=None, mode=None):
        """Put a file of this machine into the image, by default at the same path and with the same mode."""
        source = Path(source)
        if mode is None:
            mode = source.stat().st_mode & 0o777
        self.add_bytes(source.read_bytes(), str(name or source), mode)

    def add_folder(self, source, name):
        """Put everything below a folder of this machine at a path of the image."""
        for path in sorted(Path(source).rglob("*")):
            if path.is_file():
                self.add_file(path, f"{name}/{path.relative_to(source)}")

    def add_program(self, source, name=None):
        """Put an ELF program and the shared libraries it needs into the image; without name, at the same path."""
        self.add_file(source, name, 0o755)
        for library in _libraries(source):
            self.add_file(library, mode=0o755)

    def add_modules(self, names, folders, parameters=None):
        """Load these modules, and what they depend on, at boot; arguments as of kmod.load_order()."""
        for module in load_order(names, folders, parameters):
            self._modules.setdefault(module.name, module)

    def add_qemu(self):
        """Put this machine's qemu-system-x86_64 and the firmware for Linux guests into the image."""
        program = _tool("qemu-system-x86_64", "qemu-system-x86")
        self.add_program(program, "usr/bin/qemu-system-x86_64")
        shown = subprocess.run([program, "-L", "help"], capture_output=True, text=True, check=True)
        folders = [Path(line) for line in shown.stdout.split()]
        for name in FIRMWARE:
            found = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if found is None:
                raise BedError(f"QEMU's firmware {name} is missing: install seabios and qemu-system-data")
            self.add_file(found, f"usr/share/qemu/{name}")

    def write(self, path, jobs=()):
        """Write the initramfs, with these jobs for it to run in turn, to a file of this machine.

        It is not compressed: under emulation unpacking costs more than loading.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with Archive(open(path, "wb")) as archive:
            for name in FOLDERS:
                archive.folder(name)
            for name, (data, mode) in self._content.items():
                archive.file(name, data, mode)
            for module in self._modules.values():
                archive.file(f"bed/modules/{module.name}.ko", module.data)
            order = "".join(f"{module.name} {module.parameters}\n" for module in self._modules.values())
            archive.file("bed/modules/order", order.encode())
            for number, job in enumerate(jobs):
                archive.file(f"bed/jobs/{number}/run", job.script.encode())
                archive.file(f"bed/jobs/{number}/limit", f"{job.limit}\n".encode())


def _tool(program, package):
    """The path of a program of this machine."""
    path = shutil.which(program)
    if path is None:
        raise BedError(f"{program} is missing: install Debian's {package}, or run `make deps`")
    return path


def _libraries(program):
    """Paths of the shared libraries of an ELF program, its loader included; none for a static one."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    missing = re.search(r"(\S+) => not found", listed.stdout)
    if missing:
        raise BedError(f"{program} needs {missing[1]}, which is not installed")
    return re.findall(r"(/\S+) \(0x", listed.stdout)
