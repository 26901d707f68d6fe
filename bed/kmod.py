# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Kernel modules: find them, and put them in an order in which they load."""
import lzma
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import BedError


@dataclass(frozen=True)
class Module:
    """A module to load: its name with underscores, its bytes, its parameters as one string."""
    name: str
    data: bytes
    parameters: str


def module_key(name):
    """The kernel's own spelling of a module's name: kvm-amd and kvm_amd are one."""
    return name.replace("-", "_")


def load_order(names, folders, parameters=None):
    """Modules for these names and all they depend on, dependencies first.

    folders: where to look, best first; the first is searched before the second, and so on.
    parameters: {name: "key=value ..."}; a name that is not loaded is an error.
    """
    parameters = {module_key(name): text for name, text in (parameters or {}).items()}
    indexes = [_index(folder) for folder in folders]
    order = {}

    def add(name):
        key = module_key(name)
        if key in order:
            return
        path = next((index[key] for index in indexes if key in index), None)
        if path is None:
            raise BedError(f"module {name} is not in {', '.join(map(str, folders))}")
        data = _bytes(path)
        for needed in _depends(data):
            add(needed)
        order[key] = Module(key, data, parameters.pop(key, ""))

    for name in names:
        add(name)
    if parameters:
        raise BedError(f"parameters for modules that are not loaded: {', '.join(parameters)}")
    return list(order.values())


def _index(folder):
    """{module key: path} of everything below a folder."""
    found = {}
    for top, _, files in os.walk(folder):
        for name in files:
            match = re.fullmatch(r"(.+)\.ko(\.xz)?", name)
            if match:
                found.setdefault(module_key(match[1]), Path(top) / name)
    return found


def _bytes(path):
    """A module's bytes, unpacked and without debug information, which makes up nine tenths of it."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        data = lzma.decompress(data)
    if b".debug_info\0" not in data:
        return data
    with tempfile.NamedTemporaryFile() as stripped:
        tool = subprocess.run(["strip", "-g", "-o", stripped.name, str(path)], capture_output=True, check=False)
        if tool.returncode:
            raise BedError(f"strip refuses {path}: {tool.stderr.decode().strip()}")
        return Path(stripped.name).read_bytes()


def _depends(data):
    """The names in a module's own depends= entry."""
    match = re.search(rb"\0depends=([^\0]*)\0", data)
    return [name for name in match[1].decode().split(",") if name] if match else []
