# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Ways of real virtual machine monitors that lean on the MMU, each as a job for a host.

A module here has prepare(image, work): it puts what it needs into the host's image, with work as a folder for files on
the way, and returns the Job. Its name is the module's.
"""
from . import balloon, display, hotplug, migrate, pressure, reclaim

MODULES = (display, balloon, reclaim, pressure, migrate, hotplug)
SCENARIOS = {module.__name__.rpartition(".")[2]: module for module in MODULES}


def prepare_scenarios(names, image, work):
    """Put these scenarios into a host's image; returns their jobs."""
    return [SCENARIOS[name].prepare(image, work) for name in names]
