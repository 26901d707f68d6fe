# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""C programs of the test bed: built when they are older than their source, statically, to run anywhere."""
import contextlib
import fcntl
import subprocess

from .errors import BedError
from .places import BUILD


@contextlib.contextmanager
def alone_in(folder):
    """Let no other process that asks for it build in that folder meanwhile; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_program(source, *options):
    """Compile one C file into build/programs; returns the path of the program. Options are part of its name."""
    program = BUILD / "programs" / "".join((source.stem, *options))
    with alone_in(program.parent):
        if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
            return program
        log = program.with_name(f"{program.name}.log")
        with open(log, "wb") as errors:
            done = subprocess.run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-pthread", *options,
                                   "-o", str(program), str(source)], stdout=errors, stderr=errors, check=False)
        if done.returncode:
            raise BedError(f"{source.name} does not compile", log)
    return program
