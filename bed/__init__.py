# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The test bed: emulated hosts that run KVM, ours or Debian's. See README.md beside this file."""
from .errors import BedError
from .host import Console, Host, ProcessConsole
from .image import Image
from .job import Job, Outcome, Status
from .places import module_folders
from .qemu import QemuHost
from .session import run_jobs

__all__ = ["BedError", "Console", "Host", "Image", "Job", "Outcome", "ProcessConsole", "QemuHost", "Status",
           "module_folders", "run_jobs"]
