# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""A bzImage that is stored uncompressed: unpacking itself takes a kernel most of a minute in a slow emulator."""
import lzma
import struct
import subprocess
import tempfile
from pathlib import Path

from .errors import BedError
from .places import BED, BUILD

HEAD = 0x200000             # bytes in front of the kernel proper, a multiple of its alignment
TABLES = 0x10000            # of the page tables in them
ROOM = 0x100000             # beyond the kernel's end, for what it allocates there before it knows the memory map
QEMU_ORIGIN = 0x100000      # where QEMU loads every bzImage
ENTRY_BYTES = 0x1000        # in front of a 32-bit kernel
ELF64 = 2
PT_LOAD = 1


def flat_image(source):
    """A bzImage that does what the bzImage `source` does without having to unpack itself."""
    return _made_once(source, "flat", _flatten)


def flat_image_for_qemu(source):
    """The kernel in the bzImage `source` as a file that QEMU starts without the kernel having to unpack itself.

    Of 64 bits that is its ELF file as it is. 32-bit kernels of Debian are without the note by which QEMU enters one:
    they stay bzImages.
    """
    return _made_once(source, "qemu", _flatten_for_qemu)


def _made_once(source, form, make):
    """What `make` makes of a file. Its name tells its release."""
    made = BUILD / "flat" / f"{source.name}.{form}"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        make(source, made)
    return made


def _flatten(source, target):
    image = source.read_bytes()
    setup_size = (image[0x1f1] + 1) * 512
    start, end, kernel = _load(_payload(image, setup_size, source))
    origin = start - HEAD
    body = bytearray(HEAD) + kernel
    entry = _entry_code("flat_kernel.S", {"ORIGIN": origin, "TABLES": origin + TABLES, "ENTRY": start})
    body[:len(entry)] = entry
    tables = _identity_tables(origin + TABLES)
    body[TABLES:TABLES + len(tables)] = tables
    target.write_bytes(_setup(image[:setup_size], body, origin, end - origin + ROOM) + body)


def _flatten_for_qemu(source, target):
    image = source.read_bytes()
    setup_size = (image[0x1f1] + 1) * 512
    elf = _payload(image, setup_size, source)
    if elf[4] == ELF64:
        target.write_bytes(elf)
        return
    start, end, kernel = _load(elf)
    entry = _entry_code("flat_kernel32.S", {"ORIGIN": QEMU_ORIGIN, "KERNEL": QEMU_ORIGIN + ENTRY_BYTES,
                                            "BYTES": len(kernel), "ENTRY": start})
    body = entry.ljust(ENTRY_BYTES, b"\0") + kernel
    target.write_bytes(_setup(image[:setup_size], body, start, end - start + ROOM) + body)


def _setup(setup, body, address, room):
    """The part of a bzImage in front of a body that wants to lie at an address, with that many bytes."""
    setup = bytearray(setup)
    struct.pack_into("<I", setup, 0x1f4, len(body) // 16)                       # syssize
    struct.pack_into("<H", setup, 0x236, 0)                                     # xloadflags: only the 32-bit entry
    struct.pack_into("<II", setup, 0x248, 0, 0)                                 # no payload
    struct.pack_into("<QI", setup, 0x258, address, room)                        # pref_address, init_size
    return setup


def _payload(image, setup_size, source):
    """The ELF file in a bzImage."""
    offset, size = struct.unpack_from("<II", image, 0x248)
    packed = image[setup_size + offset:setup_size + offset + size - 4]          # the last word is the unpacked size
    try:
        return lzma.decompress(packed)
    except lzma.LZMAError:
        raise BedError(f"{source} is not compressed with xz") from None


def _load(elf):
    """(start, end, bytes) of an ELF kernel in physical memory; end counts what is not in the file, too."""
    if elf[4] == ELF64:
        table, = struct.unpack_from("<Q", elf, 32)
        entry_size, count = struct.unpack_from("<HH", elf, 54)
        layout = "<I4xQ8xQQQ"
    else:
        table, = struct.unpack_from("<I", elf, 28)
        entry_size, count = struct.unpack_from("<HH", elf, 42)
        layout = "<II4xIII"
    headers = [struct.unpack_from(layout, elf, table + number * entry_size) for number in range(count)]
    segments = [(address, offset, in_file, in_memory)
                for kind, offset, address, in_file, in_memory in headers if kind == PT_LOAD]
    start = min(address for address, *_ in segments)
    end = max(address + in_memory for address, *_, in_memory in segments)
    kernel = bytearray(max(address + in_file for address, _, in_file, _ in segments) - start)
    for address, offset, in_file, _ in segments:
        kernel[address - start:address - start + in_file] = elf[offset:offset + in_file]
    return start, end, kernel + bytes(-len(kernel) % 4096)


def _entry_code(source, symbols):
    """The machine code of an assembler file of the bed, with these symbols."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "entry"
        defined = [word for name, value in symbols.items() for word in ("--defsym", f"{name}={value}")]
        subprocess.run(["as", "--32", *defined, "-o", f"{code}.o", str(BED / source)], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", f"{code}.o", str(code)], check=True)
        return code.read_bytes()


def _identity_tables(address):
    """Page tables for long mode, to be put at that address, that map 4 GiB to themselves in pages of 2 MiB."""
    top = struct.pack("<Q", address + 0x1003).ljust(0x1000, b"\0")
    directories = b"".join(struct.pack("<Q", address + 0x2003 + 0x1000 * number) for number in range(4))
    pages = b"".join(struct.pack("<Q", 0x200000 * number | 0x83) for number in range(2048))
    return top + directories.ljust(0x1000, b"\0") + pages
