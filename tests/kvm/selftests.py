# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""KVM's selftests as jobs for a host: which, with what parameters, and what the distribution's KVM made of them."""
import re
from pathlib import Path

from bed import BedError, Job
from bed.places import BUILD

PROGRAMS = BUILD / "selftests"
HELPERS = Path(__file__).with_name("selftests.sh")
LIMIT = 60
LINE = re.compile(r"(\S+)(?: +(\d+))? *\| *(.+)")


def selftest_jobs(path):
    """The Jobs of a selftests.list."""
    jobs = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if not found:
            raise BedError(f"{path}: not a test: {line}")
        name, limit, command = found.groups()
        jobs.append(Job(name, f". /selftests/selftests.sh\ncd /selftests\n{command}\n", int(limit or LIMIT)))
    return jobs


def pack_selftests(image, jobs):
    """Put the programs that these jobs run into an image."""
    image.add_file(HELPERS, "selftests/selftests.sh")
    for program in sorted({word for job in jobs for word in re.findall(r"\./([\w/]+)", job.script)}):
        if not (PROGRAMS / program).is_file():
            raise BedError(f"the selftest {program} is not built: run make selftests")
        image.add_program(PROGRAMS / program, f"selftests/{program}")


def read_stock(path):
    """{test: (status, seconds)} of the distribution's KVM, as strings."""
    rows = (line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: (status, seconds) for name, status, seconds in rows}


def write_stock(path, command, host, release, rows):
    """Record what the distribution's KVM made of the tests: {test: (status, seconds)}."""
    with open(path, "w", encoding="utf-8") as table:
        table.write("# SPDX-License-Identifier: MIT OR GPL-2.0-only\n"
                    f"# What the KVM of {release} makes of the same tests; written by `{command}`.\n"
                    f"# Host: {host}.\n"
                    "# test\tstatus\tseconds\n")
        for name, (status, seconds) in rows.items():
            table.write(f"{name}\t{status}\t{float(seconds):.1f}\n")
