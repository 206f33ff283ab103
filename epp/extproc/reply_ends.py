"""Keeps what the router asks to see of a reply without looking at every chunk: the first data and both ends.

Usage, errors and finish reasons stand in the first or the last bytes of a reply, so only these are kept and read once,
at the end.
"""

from __future__ import annotations

from collections import deque

from epp.exchange import ReplyEnd

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "ReplyEnds"]

HEAD_BYTES = 16 * 1024
"""Anthropic streams report prompt tokens in their first event, and error bodies are short."""

TAIL_BYTES = 64 * 1024
"""A last event with usage is some hundred bytes; the final event of the responses API repeats the reply's text."""

_DATA_FIELD = b"\ndata:"


class ReplyEnds:
    """First and last bytes of one reply, the moment of its first data, and a count of its events."""

    def __init__(self) -> None:
        self._event_stream = False
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._size_bytes = 0
        self._data_events = 0
        self._first_seen = False
        self._at_line_start = True
        self._edge = b"\n"

    def begin(self, *, event_stream: bool) -> None:
        """Says what kind of reply follows. Without it, it is taken as one document."""
        self._event_stream = event_stream

    def feed(self, chunk: bytes) -> bool:
        """Takes a chunk. True once, for the chunk with which the first data came."""
        if not chunk:
            return False
        self._size_bytes += len(chunk)
        self._keep(chunk)
        if self._event_stream:
            self._count_events(chunk)
        if self._first_seen or not (self._has_event(chunk) if self._event_stream else True):
            return False
        self._first_seen = True
        return True

    def finish(self) -> ReplyEnd:
        """What was kept."""
        return ReplyEnd(
            head=bytes(self._head),
            tail=b"".join(self._tail),
            size_bytes=self._size_bytes,
            data_events=self._data_events,
        )

    def _keep(self, chunk: bytes) -> None:
        room = HEAD_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk[-TAIL_BYTES:])
        self._tail_bytes += len(self._tail[-1])
        while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def _count_events(self, chunk: bytes) -> None:
        """Counts lines that begin with `data:`, also where a chunk ends within those characters."""
        joined = self._edge + chunk
        self._data_events += joined.count(_DATA_FIELD)
        self._edge = joined[-(len(_DATA_FIELD) - 1) :]

    def _has_event(self, chunk: bytes) -> bool:
        """Whether a line begins here that is neither blank nor a comment (`:`), which servers send to keep alive.

        Source: HTML, server-sent events, "Parsing an event stream".
        """
        position = 0
        while position < len(chunk):
            if self._at_line_start:
                if chunk[position] not in b":\r\n":
                    return True
                self._at_line_start = chunk[position] in b"\r\n"
                position += 1
            else:
                newline = chunk.find(b"\n", position)
                if newline < 0:
                    return False
                self._at_line_start = True
                position = newline + 1
        return False
