"""Which version of a watched endpoint file counts. No IO and no clock.

A version that cannot be used changes nothing. Nor does one that may be half of a version, because somebody writes the
file at this moment: what `parse_endpoint_file` takes for cut short is refused, and a version that lists the first few
endpoints of those in use, as a rewrite of the file does while it lasts, counts only when it stays so. That doubt is
spared a file that came in the place of the one before: it was written elsewhere and then renamed, or a ConfigMap's link
was moved to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from epp.discovery.endpoint_file import EndpointFile, parse_endpoint_file

__all__ = ["STAYS_S", "FileVersions"]

STAYS_S = 10.0
"""After this time nobody goes on writing: entries at the end of the file were removed."""


@dataclass(frozen=True, slots=True)
class _Doubtful:
    data: bytes
    listed: EndpointFile
    since: float


class FileVersions:
    """Takes versions of one file as they are found."""

    def __init__(self, path: str, file: tuple[int, ...], data: bytes, listed: EndpointFile) -> None:
        """`data` and what they list are in use. `file` is its device and inode."""
        self._path = path
        self._file = file
        self._in_use = data
        self._names = _names(listed)
        self._doubtful: _Doubtful | None = None

    @property
    def doubtful(self) -> bool:
        """The last version may be the beginning of what is being written."""
        return self._doubtful is not None

    def found(self, data: bytes, now: float, file: tuple[int, ...]) -> EndpointFile | None:
        """The file holds this now. What to use from now on; None: what is in use stays. Raises EndpointFileError.

        To be called again with the same bytes while they are doubtful.
        """
        another, self._file = file != self._file, file
        if self._doubtful and self._doubtful.data == data:
            return self._use(self._doubtful) if another or now - self._doubtful.since >= STAYS_S else None
        self._doubtful = None
        if data == self._in_use:
            return None
        version = _Doubtful(data, parse_endpoint_file(data, self._path, changing=True), now)
        if not another and self._may_go_on(version):
            self._doubtful = version
            return None
        return self._use(version)

    def __repr__(self) -> str:
        return f"<FileVersions {self._path}, {len(self._in_use)} bytes in use{', doubtful' if self._doubtful else ''}>"

    def _may_go_on(self, version: _Doubtful) -> bool:
        """Who writes the file may not have come to its end."""
        names = _names(version.listed)
        first_few = names != self._names and self._names[: len(names)] == names
        return self._in_use.startswith(version.data) or (bool(names) and first_few)

    def _use(self, version: _Doubtful) -> EndpointFile:
        self._in_use, self._names, self._doubtful = version.data, _names(version.listed), None
        return version.listed


def _names(listed: EndpointFile) -> tuple[str, ...]:
    return tuple(target.name for target in listed.targets)
