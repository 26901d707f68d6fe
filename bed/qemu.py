# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""A host under QEMU: emulated by TCG, or by the machine's own KVM if that offers nesting."""
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .host import Host, ProcessConsole
from .monitor import Monitor
from .places import kernel_image

COMMAND_LINE = "console=ttyS0 quiet nokaslr mitigations=off oops=panic panic=-1"


class QemuHost(Host):
    """A PC in QEMU. TCG emulates only AMD's SVM: vendor kvm-intel needs a machine with KVM of its own.

    memory: MiB. accelerator: "tcg", "kvm", or None to choose. parallel: emulated CPUs run at the same time, each in a
    thread; if not, by turns in one, and then QEMU does not hang (docs/testing.md) and takes one CPU of this machine.
    counted: one CPU under TCG, whose clock goes by the instructions it has carried out, two nanoseconds each.
    """

    def __init__(self, memory=3000, cpus=2, vendor="kvm-amd", accelerator=None, parallel=True, counted=False):
        self.counted = counted
        if counted:
            cpus, accelerator, parallel = 1, "tcg", False
            self.guest_cpus = 1
            self.boot_limit, self.patience = 600, 5
        self.memory = memory
        self.cpus = cpus
        self.vendor = vendor
        self.accelerator = accelerator or ("kvm" if _offers_nesting(vendor) else "tcg")
        self.flawed = self.accelerator == "tcg"
        self.parallel = parallel

    def __str__(self):
        turns = "" if self.parallel else ", by turns"
        how = f"emulated by TCG{turns}" if self.accelerator == "tcg" else "under this machine's KVM"
        return f"{self.cpus} CPUs, {self.memory} MiB, {how}"

    def launch(self, initramfs, append):
        threads = "multi" if self.parallel else "single"
        accelerator, cpu = (f"tcg,thread={threads}", "max") if self.accelerator == "tcg" else ("kvm", "host")
        clock = ["-icount", "shift=1,sleep=off"] if self.counted else []
        if self.counted:
            append += " no_timer_check"
        monitor = Monitor()
        return QemuConsole(subprocess.Popen(
            ["qemu-system-x86_64", *monitor.arguments(), "-accel", accelerator, *clock, "-cpu", cpu, "-smp", str(self.cpus), "-m", str(self.memory),
             "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
             "-kernel", str(kernel_image()), "-initrd", str(initramfs), "-append", f"{COMMAND_LINE} {append}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[monitor.remote.fileno()]),
            monitor)


@dataclass
class QemuConsole(ProcessConsole):
    """QEMU's serial port, and its monitor."""
    monitor: Monitor

    def cpus(self):
        return self.monitor.cpus()

    def close(self):
        super().close()
        self.monitor.close()


def _offers_nesting(vendor):
    """True if this machine's KVM is usable, of that vendor, and lets its guests run guests."""
    nested = Path("/sys/module") / vendor.replace("-", "_") / "parameters/nested"
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and nested.is_file() and nested.read_text().strip() in ("1", "Y")
