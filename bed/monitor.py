# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""QEMU's monitor: where the CPUs of a machine are."""
import json
import re
import socket

from .host import Cpu

_ANSWERS_WITHIN = 10        # seconds
_CPU = re.compile(r"^[RE]IP=([0-9a-f]+)[^\n]* HLT=([01])\b.*?^IDT= +([0-9a-f]+)", re.MULTILINE | re.DOTALL)
_BREAKPOINT = 3             # vector of #BP
_GATE_SIZE = 16             # bytes; APM vol. 2, "Legacy and Long-Mode Interrupt Control Transfers"


class Monitor:
    """QEMU's end and ours of one connection: give `remote` to QEMU, and its number as of arguments()."""

    def __init__(self):
        self._local, self.remote = socket.socketpair()
        self._local.settimeout(_ANSWERS_WITHIN)
        self._lines = None

    def arguments(self):
        """For QEMU's command line."""
        return ["-chardev", f"socket,id=monitor,fd={self.remote.fileno()}", "-mon", "chardev=monitor,mode=control"]

    def cpus(self):
        """As of Console."""
        try:
            said = self._ask("info registers -a")
            return [Cpu(int(rip, 16), halted == "1", self._handler(int(idt, 16))) for rip, halted, idt in _CPU.findall(said)]
        except (OSError, ValueError):
            return []

    def close(self):
        """Both ends."""
        self._local.close()
        self.remote.close()

    def _handler(self, idt):
        """Where the first CPU's gate for #BP leads to in an IDT at that address, 0 if it cannot be read."""
        said = self._ask(f"x /2gx {idt + _BREAKPOINT * _GATE_SIZE:#x}")
        words = [int(word, 16) for word in re.findall(r" 0x([0-9a-f]+)", said)]
        if len(words) != 2:
            return 0
        low, high = words
        return low & 0xffff | low >> 32 & 0xffff0000 | (high & 0xffffffff) << 32

    def _ask(self, line):
        """What the monitor for people answers."""
        if self._lines is None:
            self._lines = self._local.makefile("r", encoding="utf-8")
            self._execute("qmp_capabilities")
        return self._execute("human-monitor-command", **{"command-line": line})

    def _execute(self, command, **arguments):
        self._local.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self._lines:
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                return answer.get("return", "")
        raise OSError("QEMU's monitor is gone")
