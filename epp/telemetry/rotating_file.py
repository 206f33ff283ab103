"""A file of lines that is set aside when it grows too large. Calls block: they are for a thread beside the event loop.

The standard library's rotating handler is not used, because it writes record by record and keeps half a line when the
disk is full: here many lines are one write, and one that fails leaves only whole lines.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

__all__ = ["RotatingFile"]

MODE = 0o600


class RotatingFile:
    """Appends lines to `path`; what was set aside is `path.1` to `path.keep`, the newest first.

    What is no regular file, such as /dev/stdout in a container, is never set aside. One process writes to a path.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self.path = path
        self.lines = 0
        """Lines written."""
        self._max_bytes = max_bytes
        self._keep = keep
        self._file = -1
        self._size = 0
        self._place: Path | None = None
        """The regular file that is written, links followed; None when it is none."""

    def open(self) -> None:
        """Opens the file, and makes it when there is none, for its owner alone. Raises OSError."""
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        found = os.fstat(self._file)
        self._place = self.path.resolve() if stat.S_ISREG(found.st_mode) else None
        self._size = found.st_size
        if self._place and self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            self._write(b"\n")  # ends a line that a crash cut short

    def write(self, lines: Sequence[bytes]) -> None:
        """Appends lines, each with its end. Raises OSError; `lines` tells how many were written, all of them whole."""
        if self._file < 0 or self._is_gone():
            self.close()
            self.open()
        for batch in self._batches(lines):
            self._write(b"".join(batch))
            self.lines += len(batch)

    def close(self) -> None:
        """Closes the file. Again: nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __repr__(self) -> str:
        return f"<RotatingFile {self.path}, {self._size} bytes>"

    def _batches(self, lines: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Lines that fit into the file, and so on with each next one. A line that is too large for any has its own."""
        batch: list[bytes] = []
        room = self._max_bytes - self._size
        for line in lines:
            if self._place and len(line) > room and (batch or self._size):
                yield batch
                self._set_aside(self._place)
                batch, room = [], self._max_bytes
            batch.append(line)
            room -= len(line)
        yield batch

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            if self._place and len(rest) < len(data):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _set_aside(self, place: Path) -> None:
        """The file becomes `.1`, that one `.2`, and so on; the last one is replaced."""
        self.close()
        names = [place, *(Path(f"{place}.{number}") for number in range(1, self._keep + 1))]
        if not self._keep:
            place.unlink(missing_ok=True)
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self.open()

    def _is_gone(self) -> bool:
        """Somebody moved the file away or deleted it, as other log rotation does."""
        if self._place is None:
            return False
        try:
            return not os.path.samestat(self._place.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return True
