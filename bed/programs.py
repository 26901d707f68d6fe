# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""C programs of the test bed: built when they are older than their source, statically, to run anywhere."""
import subprocess

from .errors import BedError
from .places import BUILD


def build_program(source, *options):
    """Compile one C file into build/programs; returns the path of the program. Options are part of its name."""
    program = BUILD / "programs" / "".join((source.stem, *options))
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    log = program.with_name(f"{program.name}.log")
    with open(log, "wb") as errors:
        done = subprocess.run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-pthread", *options,
                               "-o", str(program), str(source)], stdout=errors, stderr=errors, check=False)
    if done.returncode:
        raise BedError(f"{source.name} does not compile", log)
    return program
