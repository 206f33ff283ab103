"""Keeps what the router asks to see of a reply without looking at every chunk: the first data and both ends.

Usage, errors and finish reasons stand in the first or the last bytes of a reply, so only these are kept and read once,
at the end.
"""

from __future__ import annotations

from epp.exchange import ReplyEnd

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "ReplyEnds"]

HEAD_BYTES = 8 * 1024
"""Anthropic streams report prompt tokens in their first event, and error bodies are short."""

TAIL_BYTES = 16 * 1024
"""A last event with usage is some hundred bytes. The final event of the responses API repeats the reply's text, but
names the usage after it. Every reply under way holds this much, so it is little."""

_DATA_FIELD = b"\ndata:"
_DATA_FIELD_AFTER_CR = b"\rdata:"
"""Beginnings of lines that carry data, after either end of a line. An event without data is not dispatched, and servers
send such, or comments, to keep a connection alive. Source: HTML, server-sent events."""

_EDGE_BYTES = len(_DATA_FIELD) - 1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ReplyEnds:
    """First and last bytes of one reply, the moment of its first data, and a count of its events."""

    def __init__(self) -> None:
        self._event_stream = False
        self._head = bytearray()
        self._tail = bytearray()
        self._size_bytes = 0
        self._data_events = 0
        self._first_seen = False
        self._edge = b"\n"

    def begin(self, *, event_stream: bool) -> None:
        """Says what kind of reply follows. Without it, it is taken as one document."""
        self._event_stream = event_stream

    def feed(self, chunk: bytes) -> bool:
        """Takes a chunk. True once, for the chunk with which the first data came."""
        if not chunk:
            return False
        if self._event_stream:
            self._count_events(chunk if self._size_bytes else chunk.removeprefix(_BYTE_ORDER_MARK))
        self._size_bytes += len(chunk)
        self._keep(chunk)
        if self._first_seen:
            return False
        self._first_seen = self._data_events > 0 or not self._event_stream
        return self._first_seen

    def finish(self) -> ReplyEnd:
        """What was kept."""
        return ReplyEnd(
            head=bytes(self._head),
            tail=bytes(self._tail[-TAIL_BYTES:]),
            size_bytes=self._size_bytes,
            data_events=self._data_events,
        )

    def _keep(self, chunk: bytes) -> None:
        """The tail is cut when it is twice too long, so that each byte is moved once at most."""
        room = HEAD_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk[-TAIL_BYTES:]
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def _count_events(self, chunk: bytes) -> None:
        """Counts lines that begin with `data:`, also where a chunk ends within those characters."""
        joined = self._edge + chunk
        self._data_events += joined.count(_DATA_FIELD) + joined.count(_DATA_FIELD_AFTER_CR)
        self._edge = joined[-_EDGE_BYTES:]
