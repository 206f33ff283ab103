"""Cuts an event stream into the data of its events, however it arrives. Source: HTML, server-sent events."""

from __future__ import annotations

import re

__all__ = ["MAX_EVENT_BYTES", "EventStream"]

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Data of one event. Those of completions have some hundred bytes."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """Takes bytes, gives the data of each event that they complete. An event that is not complete is never given."""

    def __init__(self) -> None:
        self._partial = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._ended_with_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of the events that end here. Raises ValueError for an event that is too long."""
        if not chunk:
            return []
        if self._ended_with_cr and chunk.startswith(b"\n"):
            chunk, self._ended_with_cr = chunk[1:], False
        self._ended_with_cr = chunk.endswith(b"\r") if chunk else False
        *lines, self._partial = _LINE_END.split(self._partial + chunk)
        events = [event for line in lines if (event := self._take(line)) is not None]
        self._check(len(self._partial))
        return events

    def _take(self, line: bytes) -> bytes | None:
        """The event's data when this line ends it."""
        if self._at_start:
            line, self._at_start = line.removeprefix(_BOM), False
        if not line:
            data, self._data, self._data_bytes = self._data, [], 0
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value) + 1
            self._check(0)
        return None

    def _check(self, more_bytes: int) -> None:
        if self._data_bytes + more_bytes > MAX_EVENT_BYTES:
            raise ValueError(f"an event of the stream has more than {MAX_EVENT_BYTES} bytes")
