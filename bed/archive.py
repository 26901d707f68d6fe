# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The newc cpio format, which the kernel unpacks as an initramfs."""
import os
import stat


class Archive:
    """Writes a newc cpio archive to a binary file; a name that is already in is refused silently.

    Parent folders are added as needed. Leave the `with` block, or call close(), to end the archive.
    """

    def __init__(self, stream):
        self._stream = stream
        self._names = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def folder(self, name):
        """Add an empty folder."""
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, data, mode=0o644):
        """Add a file with these bytes."""
        self._entry(name, stat.S_IFREG | mode, data)

    def close(self):
        """Write the trailer and close the stream."""
        self._entry("TRAILER!!!", 0, b"")
        self._stream.close()

    def _entry(self, name, mode, data):
        name = name.strip("/")
        if name in self._names:
            return
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)
        self._names.add(name)
        path = name.encode() + b"\0"
        fields = (len(self._names), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._stream.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))
