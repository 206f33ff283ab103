# ruff: noqa: TID251 - an edge: reads and watches a file
"""Endpoints from a file, taken again whenever it changes.

The directory is watched, not the file: editors and ConfigMaps replace files by renaming (a ConfigMap renames the
symbolic link `..data` beside it). Where no notice comes (network file systems, links that lead elsewhere), a look every
few seconds finds the change. While it runs, a file that cannot be used, or looks half-written, changes nothing (see
`file_versions`).
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
from epp.discovery.file_versions import STAYS_S, FileVersions
from epp.discovery.resolving import Resolving
from epp.discovery.source import Publish

__all__ = ["FileSource"]

_LOG = logging.getLogger(__name__)

LOOK_INTERVAL_S = 2.0
"""Between looks at the file when nothing is reported."""

QUIET_S = 0.8
"""A change is taken once nothing was reported for this long, so that a file is not read while it is written..."""

LONGEST_WAIT_S = 15.0
"""...or after this long in any case: somebody replaces the file again and again."""

STEP_MS, DEBOUNCE_MS = 50, 200
"""Reports are passed on when there were none for the first time, or after the second one; both well within QUIET_S."""

MAX_PROBLEMS_LOGGED = 20


@dataclass(frozen=True, slots=True)
class _Version:
    """Bytes of the file with what tells them from another version without reading it."""

    signature: tuple[int, ...]
    data: bytes

    @property
    def file(self) -> tuple[int, ...]:
        """Device and inode: another file has others."""
        return self.signature[:2]


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
            reported = asyncio.Event()
            versions = FileVersions(str(self._path), version.file, version.data, listed)
            await run_together(
                resolving.run(publish),
                self._follow(version, versions, resolving, reported),
                self._watch_directory(reported),
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

    async def _follow(
        self, version: _Version, versions: FileVersions, resolving: Resolving, reported: asyncio.Event
    ) -> None:
        """Takes each later version that can be used."""
        loop = asyncio.get_running_loop()
        complaint = ""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reported.wait(), LOOK_INTERVAL_S)
            try:
                if reported.is_set() or await asyncio.to_thread(_signature_of, self._path) != version.signature:
                    await self._wait_quiet(reported)
                    version = await asyncio.to_thread(_read, self._path)
                elif not versions.doubtful:
                    continue
                was_doubtful = versions.doubtful
                listed = await asyncio.to_thread(versions.found, version.data, loop.time(), version.file)
            except EndpointFileError as error:
                if str(error) != complaint:
                    _LOG.error("%s; the endpoints stay as they were", error)
                complaint = str(error)
                continue
            complaint = ""
            if listed:
                _LOG.info("%s: changed, %d endpoints listed", self._path, len(listed.targets))
                self._take(listed, resolving)
            elif versions.doubtful and not was_doubtful:
                text = "%s: ends where the list in use goes on; taken if it stays so for %g s"
                _LOG.warning(text, self._path, STAYS_S)

    async def _wait_quiet(self, reported: asyncio.Event) -> None:
        """Waits until nothing was written for a while: who writes line by line pauses between lines."""
        loop = asyncio.get_running_loop()
        until, signature = loop.time() + LONGEST_WAIT_S, await asyncio.to_thread(_signature_of, self._path)
        while loop.time() < until:
            reported.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reported.wait(), QUIET_S)
            before, signature = signature, await asyncio.to_thread(_signature_of, self._path)
            if not reported.is_set() and signature == before:
                return

    async def _watch_directory(self, reported: asyncio.Event) -> None:
        """Sets `reported` when something happens that may concern the file, for as long as the system tells."""
        directory, told = self._path.parent, False
        while True:
            try:
                async for _ in awatch(
                    directory,
                    watch_filter=self._concerns,
                    debounce=DEBOUNCE_MS,
                    step=STEP_MS,
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
