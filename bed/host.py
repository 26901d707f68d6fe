# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What every host is: a machine that boots a kernel and an initramfs, and a console to listen to."""
import os
import select
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Cpu:
    """Where an emulated CPU is.

    rip: address of its next instruction. halted: it waits for an interrupt. breakpoint_handler: where its IDT sends #BP.
    """
    rip: int
    halted: bool
    breakpoint_handler: int = 0

    def __str__(self):
        return f"{self.rip:x} halted" if self.halted else f"{self.rip:x}"


class Console(ABC):
    """The serial console of a machine that runs."""

    @abstractmethod
    def read(self, seconds):
        """Bytes that have come, after at most that many seconds; b"" if none. EOFError: the machine has ended."""

    @abstractmethod
    def close(self):
        """End the machine, at once, if it still runs."""

    def cpus(self):
        """Where each CPU is just now, a Cpu each; [] if the emulator does not tell."""
        return []


class Host(ABC):
    """A kind of machine.

    vendor: the KVM module that fits its CPU. boot_limit: seconds to user space before it counts as hung.
    patience: how much slower than its own clock it may be.
    flawed: its emulator has the flaws that flaws.py knows.
    guest_cpus, guest_append: how many CPUs a Linux guest in it can use, and words for its kernel's command line.
    """
    vendor = ""
    boot_limit = 120
    patience = 1.5
    flawed = False
    guest_cpus = 2
    guest_append = ""

    @abstractmethod
    def launch(self, initramfs, append):
        """Boot the test bed's kernel with this initramfs and these words on its command line; returns a Console."""

    def guest_kernel(self, image):
        """A bzImage in the form in which guests in this host boot it."""
        return image


@dataclass
class ProcessConsole(Console):
    """The console of an emulator that speaks on its standard output."""
    process: subprocess.Popen

    def read(self, seconds):
        stream = self.process.stdout
        if not select.select([stream], [], [], seconds)[0]:
            return b""
        data = os.read(stream.fileno(), 65536)
        if not data:
            raise EOFError
        return data

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
