# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""A host in Bochs, which emulates Intel's VMX with EPT: one CPU, about 100 million instructions a second."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
import tty

from .errors import BedError
from .flat_kernel import flat_image, flat_image_for_qemu
from .host import Console, Host
from .places import kernel_image

CLOCK = 50_000_000          # instructions in a second of the host's clock
# Without what waits on clocks or works a lot while it boots: for hosts, and for guests in them.
LEAN = "nokaslr mitigations=off nosmp tsc=reliable no_timer_check cryptomgr.notests"
COMMAND_LINE = f"console=ttyS0,115200 quiet {LEAN} tsc_early_khz={CLOCK // 1000} oops=panic panic=-1"
GRUB = """set timeout=0
linux /boot/vmlinuz {command_line}
initrd /boot/initramfs
boot
"""
CONFIGURATION = """cpu: model={model}, count=1, ips={clock}, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
ata0-master: type=cdrom, path={folder}/cd.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={folder}/serial
display_library: term
clock: sync=none
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
log: {folder}/bochs.log
panic: action=fatal
"""
PACKAGES = {"bochs-bin": "bochs and bochs-term", "grub-mkrescue": "grub-common and grub-pc-bin", "xorriso": "xorriso",
            "mformat": "mtools"}


class BochsHost(Host):
    """A PC of one CPU in Bochs.

    memory: MiB, 2048 at most. model: of the CPU; corei7_skylake_x has PML and no XSAVE, broadwell_ult the reverse.
    """
    vendor = "kvm-intel"
    accelerator = "bochs"
    boot_limit = 200
    patience = 1.5
    guest_cpus = 1
    guest_append = LEAN

    def __init__(self, memory=2048, model="corei7_skylake_x"):
        self.memory = memory
        self.model = model
        for program, packages in PACKAGES.items():
            if shutil.which(program) is None:
                raise BedError(f"{program} is missing: install Debian's {packages}, or run `make deps`")

    def __str__(self):
        return f"1 CPU, {self.memory} MiB, a {self.model} in Bochs"

    def launch(self, initramfs, append):
        folder = initramfs.parent / "bochs"
        boot = folder / "cd" / "boot"
        (boot / "grub").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(flat_image(kernel_image()), boot / "vmlinuz")
        shutil.copyfile(initramfs, boot / "initramfs")
        (boot / "grub" / "grub.cfg").write_text(GRUB.format(command_line=f"{COMMAND_LINE} {append}"))
        subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", str(folder / "cd.iso"),
                        str(folder / "cd")], check=True, capture_output=True)
        configuration = CONFIGURATION.format(model=self.model, clock=CLOCK, memory=self.memory, folder=folder)
        (folder / "configuration").write_text(configuration)
        (folder / "commands").write_text("continue\n")
        (folder / "serial").write_bytes(b"")
        return BochsConsole(folder)

    def guest_kernel(self, image):
        """Uncompressed."""
        return flat_image_for_qemu(image)


class BochsConsole(Console):
    """The serial port of a Bochs that runs in a terminal of its own.

    Bochs draws the screen of the PC on another terminal, which it names as it begins. Both are read and thrown away: where
    nobody reads, Bochs waits for ever as soon as the terminal is full.
    """

    def __init__(self, folder):
        self._serial = open(folder / "serial", "rb")
        self._screen = None
        self._said = b""
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.environ["TERM"] = "xterm"
            os.execvp("bochs-bin", ["bochs-bin", "-q", "-f", f"{folder}/configuration", "-rc", f"{folder}/commands"])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def read(self, seconds):
        end = time.monotonic() + seconds
        while True:
            alive = self._drain_screen(0.1)
            data = self._serial.read()
            if data or time.monotonic() > end:
                return data
            if not alive:
                raise EOFError

    def close(self):
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._terminal)
        if self._screen is not None:
            os.close(self._screen)
        self._serial.close()

    def _drain_screen(self, seconds):
        """Read what Bochs draws and says; False if it has ended."""
        if self._screen is None:
            self._find_screen()
        ready, _, _ = select.select([fd for fd in (self._terminal, self._screen) if fd is not None], [], [], seconds)
        try:
            said = [os.read(fd, 65536) for fd in ready]
        except OSError:         # the terminal's other side is closed
            return False
        if self._screen is None:
            self._said += b"".join(said)
        return not ready or all(said)

    def _find_screen(self):
        name = re.search(rb'connected to screen "([^"]+)"', self._said)
        if name:
            self._screen = os.open(name[1], os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self._screen)
