# ruff: noqa: TID251 - an edge: reads and watches a file
"""Endpoints from a file, taken again whenever it changes.

The directory is watched, not the file: editors and ConfigMaps replace files by renaming (a ConfigMap renames the
symbolic link `..data` beside it). Where no notice comes (network file systems, links that lead elsewhere), a look every
few seconds finds the change. While it runs, a file that cannot be used changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch

from epp.discovery.combined_source import run_together
from epp.discovery.directory import DnsSettings
from epp.discovery.dns_lookup import DnsLookup, Lookup
from epp.discovery.endpoint_file import (
    MAX_FILE_BYTES,
    EndpointFile,
    EndpointFileError,
    parse_endpoint_file,
)
from epp.discovery.resolving import Resolving
from epp.discovery.source import Publish

__all__ = ["FileSource"]

_LOG = logging.getLogger(__name__)

LOOK_INTERVAL_S = 2.0
"""Between looks at the file when nothing is reported."""

QUIET_MS = 100
"""A change is taken once the directory is quiet for this long, so that a file is not read while it is written..."""

LONGEST_WAIT_MS = 400
"""...or after this long in any case."""

MAX_PROBLEMS_LOGGED = 20


@dataclass(frozen=True, slots=True)
class _Version:
    """Bytes of the file with what tells them from another version without reading it."""

    signature: tuple[int, ...]
    data: bytes


class FileSource:
    """Endpoints that a file lists, in the format of `endpoint_file`. With `watch` changes take effect while it runs."""

    def __init__(
        self, path: Path, dns: DnsSettings | None = None, *, watch: bool = False, lookup: Lookup | None = None
    ) -> None:
        self._path = path
        self._watch = watch
        self._dns = dns or DnsSettings()
        self._lookup = lookup or DnsLookup(self._dns)

    async def run(self, publish: Publish) -> None:
        """Publishes until cancelled, see `Source`. Raises EndpointFileError when the first version cannot be used."""
        version = await asyncio.to_thread(_read, self._path)
        listed = await asyncio.to_thread(parse_endpoint_file, version.data, str(self._path))
        resolving = Resolving(self._lookup, self._dns)
        self._take(listed, resolving)
        if self._watch:
            looked = asyncio.Event()
            await run_together(
                resolving.run(publish), self._follow(version, resolving, looked), self._watch_directory(looked)
            )
        else:
            await resolving.run(publish)

    def __repr__(self) -> str:
        return f"<FileSource {self._path}{' watched' if self._watch else ''}>"

    def _take(self, listed: EndpointFile, resolving: Resolving) -> None:
        for problem in listed.problems[:MAX_PROBLEMS_LOGGED]:
            _LOG.warning("%s:%d: %s", self._path, problem.line, problem.message)
        if (more := len(listed.problems) - MAX_PROBLEMS_LOGGED) > 0:
            _LOG.warning("%s: %d more problems", self._path, more)
        resolving.set_targets(listed.targets)

    async def _follow(self, version: _Version, resolving: Resolving, reported: asyncio.Event) -> None:
        """Takes each later version that can be used."""
        complaint = ""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reported.wait(), LOOK_INTERVAL_S)
            noticed = reported.is_set()
            reported.clear()
            try:
                found = await asyncio.to_thread(_read_newer, self._path, version.signature, noticed)
                if found is None:
                    continue
                before, version = version, found
                if found.data == before.data:
                    complaint = ""
                    continue
                listed = await asyncio.to_thread(parse_endpoint_file, found.data, str(self._path), suspect_cut=True)
            except EndpointFileError as error:
                if str(error) != complaint:
                    _LOG.error("%s; the endpoints stay as they were", error)
                complaint = str(error)
                continue
            complaint = ""
            _LOG.info("%s: changed, %d endpoints listed", self._path, len(listed.targets))
            self._take(listed, resolving)

    async def _watch_directory(self, reported: asyncio.Event) -> None:
        """Sets `reported` when something happens that may concern the file, for as long as the system tells."""
        directory, told = self._path.parent, False
        while True:
            try:
                async for _ in awatch(
                    directory,
                    watch_filter=self._concerns,
                    debounce=LONGEST_WAIT_MS,
                    step=QUIET_MS,
                    recursive=False,
                ):
                    reported.set()
            except (OSError, RuntimeError) as error:  # RuntimeError: watchfiles' own internal errors
                if not told:
                    _LOG.warning("%s cannot be watched (%s): looking every %g s", directory, error, LOOK_INTERVAL_S)
                told = True
            await asyncio.sleep(LOOK_INTERVAL_S * 10)

    def _concerns(self, change: Change, path: str) -> bool:  # noqa: ARG002 - watchfiles calls it so
        """The file itself, or a link through which a ConfigMap shows it (`..data`)."""
        name = Path(path).name
        return name == self._path.name or name.startswith("..")


def _read_newer(path: Path, known: tuple[int, ...], noticed: bool) -> _Version | None:  # noqa: FBT001 - for to_thread
    """The file's present version, or None when metadata tell that it is the known one. Raises EndpointFileError.

    After a notice metadata are not trusted: two writes can fall into one tick of the file system's clock.
    """
    return None if not noticed and _signature_of(path) == known else _read(path)


def _read(path: Path) -> _Version:
    """Raises EndpointFileError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise EndpointFileError(str(path), None, "is not a regular file")
        with path.open("rb") as file:
            signature = _signature(os.fstat(file.fileno()))
            return _Version(signature, file.read(MAX_FILE_BYTES + 1))
    except OSError as error:
        raise EndpointFileError(
            str(path), None, f"cannot be read ({error.strerror or error}): correct the path or its permissions"
        ) from None


def _signature_of(path: Path) -> tuple[int, ...]:
    try:
        return _signature(path.stat())
    except OSError:
        return ()


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
