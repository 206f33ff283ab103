"""Opens files of traces: plain, gzip, or tar (also gzipped). The one place of this room that reads files.

Archives are read member by member and never unpacked to disk; only members named `*.jsonl` or `*.csv` are looked at.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, cast

from epp.workloads.errors import WorkloadError
from epp.workloads.formats import FORMATS, format_of
from epp.workloads.lines import LIMITS, Limits, TraceLines
from epp.workloads.types import Workload

__all__ = ["load_workload"]

_GZIP_MAGIC = b"\x1f\x8b"
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_ENDINGS = (".jsonl", ".csv")


def load_workload(path: Path, *, most: int | None = None, limits: Limits = LIMITS) -> Workload:
    """The workload of a file, whose format is told from its content. `most`: only so many calls; None: all.

    Raises WorkloadError for what cannot be opened or read.
    """
    try:
        with ExitStack() as stack:
            workload = _read(_files(stack, path, limits), path.name, most)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise WorkloadError(f"{path}: {error}") from error
    return workload if most is None else workload.first(most)


def _read(files: list[TraceLines], name: str, most: int | None) -> Workload:
    """Reads lines until one tells the format; with that one back in its place, the format's reader takes over.

    A header is a line, too: so one line more than calls are wanted.
    """
    for place, file in enumerate(files):
        lines = iter(file.raw)
        seen: list[bytes] = []
        for line in lines:
            seen.append(line)
            if line.strip():
                (first,) = replace(file, raw=seen)
                kind = format_of(first)
                files[place] = replace(file, raw=chain(seen, lines))
                lines_wanted = most + 1 if most is not None and FORMATS[kind].ordered else None
                return FORMATS[kind].read([replace(each, most=lines_wanted) for each in files], name)
    raise WorkloadError(f"{name}: there are no lines in it")


def _files(stack: ExitStack, path: Path, limits: Limits) -> list[TraceLines]:
    plain = stack.enter_context(path.open("rb"))
    is_packed = plain.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    plain.seek(0)
    opened: BinaryIO = stack.enter_context(_gunzipped(plain)) if is_packed else plain
    is_archive = opened.read(_TAR_MAGIC_AT + len(_TAR_MAGIC)).endswith(_TAR_MAGIC)
    opened.seek(0)
    if not is_archive:
        return [TraceLines(path.name, _lines(opened, limits), limits=limits)]
    archive = stack.enter_context(tarfile.TarFile(fileobj=opened))
    return [
        TraceLines(member.name, _member_lines(archive, member, limits), limits=limits)
        for member in _members(archive, path, limits)
    ]


def _members(archive: tarfile.TarFile, path: Path, limits: Limits) -> list[tarfile.TarInfo]:
    found: list[tarfile.TarInfo] = []
    total = 0
    for number, member in enumerate(archive, 1):
        total += member.size
        if total > limits.trace_bytes or number > limits.files:
            raise WorkloadError(
                f"{path}: more than {limits.trace_bytes} bytes or {limits.files} files; unpack it and read a part"
            )
        if member.isfile() and member.name.endswith(_ENDINGS):
            found.append(member)
    return found


def _member_lines(archive: tarfile.TarFile, member: tarfile.TarInfo, limits: Limits) -> Iterator[bytes]:
    opened = archive.extractfile(member)
    if opened is not None:
        with opened:
            yield from _lines(opened, limits)


def _lines(opened: IO[bytes], limits: Limits) -> Iterator[bytes]:
    """Lines; one that is too long comes in pieces, of which the first is too long already."""
    while line := opened.readline(limits.line_bytes + 1):
        yield line


def _gunzipped(plain: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=plain, mode="rb"))
