"""The client half of gRPC over HTTP/2, as far as a load generator needs it. No IO: bytes in, bytes out.

It has to cost far less than what it measures, so header blocks of the server are not read at all: an answer counts by
its messages, and a stream that ends without them has failed, whatever its trailers say. Request headers are HPACK
literals that leave the server's dynamic table alone, so that their bytes are the same for every stream.

Sources: RFC 9113 (frames, windows), RFC 7541 6.2.2 (literals), gRPC over HTTP/2 (message prefix).
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

__all__ = ["LOST", "NO_ERROR", "Connection", "Stream", "StreamListener", "prefixed", "request_headers"]

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4

FRAME_HEADER_BYTES = 9
_PREFIX_BYTES = 5
"""Of a gRPC message: a flag and the length."""

MAX_FRAME_BYTES = 16_384
"""The default of SETTINGS_MAX_FRAME_SIZE, and what Envoy sends at most, whatever the server allows."""

INITIAL_WINDOW = 65_535
NO_ERROR = 0
"""HTTP/2 error code of a server that has said all and does not wait for our half-close."""

_STREAM_WINDOW = 16_777_216
_CONNECTION_WINDOW = 25_165_824
"""What the server may send ahead: Envoy's defaults since 1.36. No stream gets more, so its window stays as it is."""

_INITIAL_WINDOW_SIZE = 4
"""Identifier of the setting."""

LOST = -1
"""Stands for an HTTP/2 error code when the connection is gone."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def prefixed(message: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def request_headers(path: str, authority: str) -> bytes:
    """The header block of a gRPC request."""
    literals = ((b"te", b"trailers"), (b"content-type", b"application/grpc"))
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(path.encode()),
            b"\x01" + _text(authority.encode()),
            *(b"\x00" + _text(name) + _text(value) for name, value in literals),
        )
    )


def _text(value: bytes) -> bytes:
    assert len(value) < 127, "longer texts need more than one byte of length"
    return bytes((len(value),)) + value


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


class StreamListener(Protocol):
    """Who has opened a stream."""

    def message(self, head: bytes, size: int) -> None:
        """A message of `size` bytes came; `head` are its first ones, all of it when it is small."""
        ...

    def closed(self, error: int | None) -> None:
        """The stream is over: by the server's end (None), or by a reset with an HTTP/2 error code, or `LOST`."""
        ...


class Stream:
    """One gRPC call."""

    __slots__ = ("_left", "_partial", "ended", "id", "listener", "queue", "queue_ends", "window")

    HEAD_BYTES = 256

    def __init__(self, number: int, listener: StreamListener, window: int) -> None:
        self.id = number
        self.listener = listener
        self.window = window
        self.queue: deque[memoryview] = deque()
        """What the server's window does not allow yet."""
        self.queue_ends = False
        """After the queue the stream is to be half-closed."""
        self.ended = False
        """We have half-closed."""
        self._partial = b""
        """Prefix and head of a message of which more must come."""
        self._left = 0
        """Bytes that are to come of a message, beyond what `_partial` has."""

    def take(self, data: bytes, start: int, stop: int) -> None:
        """Takes payload bytes of DATA frames."""
        while start < stop:
            if self._left:
                start = self._go_on(data, start, stop)
            elif self._partial or stop - start < _PREFIX_BYTES:
                start = self._begin_again(data, start, stop)
            else:
                size = int.from_bytes(data[start + 1 : start + _PREFIX_BYTES], "big")
                start += _PREFIX_BYTES
                if size <= stop - start:
                    self.listener.message(data[start : start + min(size, self.HEAD_BYTES)], size)
                    start += size
                else:
                    self._partial = data[start - _PREFIX_BYTES : stop]
                    self._left = size - (stop - start)
                    start = stop

    def _begin_again(self, data: bytes, start: int, stop: int) -> int:
        """The prefix is spread over frames."""
        missing = _PREFIX_BYTES - len(self._partial)
        self._partial += data[start : min(stop, start + missing)]
        if len(self._partial) == _PREFIX_BYTES:
            self._left = int.from_bytes(self._partial[1:], "big")
            if not self._left:
                self._partial = b""
                self.listener.message(b"", 0)
        return min(stop, start + missing)

    def _go_on(self, data: bytes, start: int, stop: int) -> int:
        taken = min(self._left, stop - start)
        room = _PREFIX_BYTES + self.HEAD_BYTES - len(self._partial)
        if room > 0:
            self._partial += data[start : start + min(room, taken)]
        self._left -= taken
        if not self._left:
            partial, self._partial = self._partial, b""
            size = int.from_bytes(partial[1:_PREFIX_BYTES], "big")
            self.listener.message(partial[_PREFIX_BYTES : _PREFIX_BYTES + self.HEAD_BYTES], size)
        return start + taken


class Connection:
    """One HTTP/2 connection. `take` what came, and write what `outgoing` gives."""

    def __init__(self, headers: bytes) -> None:
        """`headers` is the header block of every request."""
        settings = _INITIAL_WINDOW_SIZE.to_bytes(2, "big") + _STREAM_WINDOW.to_bytes(4, "big")
        self._out: list[bytes | memoryview] = [
            _PREFACE,
            frame(SETTINGS, 0, 0, settings),
            _window_update(0, _CONNECTION_WINDOW - INITIAL_WINDOW),
        ]
        self._headers_head = len(headers).to_bytes(3, "big") + bytes((HEADERS, END_HEADERS))
        self._headers = headers
        self._streams: dict[int, Stream] = {}
        self._next_id = 1
        self._window = INITIAL_WINDOW
        self._stream_window = INITIAL_WINDOW
        self._stuck: deque[Stream] = deque()
        """Streams with queues, in the order in which they got stuck."""
        self._unread = b""
        self._taken = 0
        """Bytes of DATA since the last update of our window."""
        self._going_away = False

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def usable(self) -> bool:
        """Takes new streams."""
        return not self._going_away

    def outgoing(self) -> bytes:
        """What is to be written now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def open(self, listener: StreamListener) -> Stream:
        """Begins a call."""
        stream = self._streams[self._next_id] = Stream(self._next_id, listener, self._stream_window)
        self._next_id += 2
        self._out += (self._headers_head, stream.id.to_bytes(4, "big"), self._headers)
        return stream

    def send(self, stream: Stream, data: bytes, *, end: bool = False) -> None:
        """Sends bytes of a call, as far as windows allow; the rest follows by itself."""
        if stream.queue or len(data) > min(self._window, stream.window):
            if not stream.queue:
                self._stuck.append(stream)
            stream.queue.append(memoryview(data))
            stream.queue_ends = end
            self._pump()
            return
        self._window -= len(data)
        stream.window -= len(data)
        stream.ended = end
        if len(data) <= MAX_FRAME_BYTES:
            self._out += (_data_head(len(data), stream.id, end=end), data)
        else:
            self._cut(stream.id, memoryview(data), end=end)

    def half_close(self, stream: Stream) -> None:
        """Says that nothing more will be sent."""
        if stream.queue:
            stream.queue_ends = True
        elif not stream.ended:
            stream.ended = True
            self._out.append(_data_head(0, stream.id, end=True))

    def lose(self) -> None:
        """The connection is gone."""
        self._going_away = True
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.listener.closed(LOST)

    def take(self, data: bytes) -> None:
        """Takes what came from the server."""
        data = self._unread + data if self._unread else data
        start, length = 0, len(data)
        while length - start >= FRAME_HEADER_BYTES:
            size = int.from_bytes(data[start : start + 3], "big")
            begin = start + FRAME_HEADER_BYTES
            stop = begin + size
            if stop > length:
                break
            kind, flags, number = data[start + 3], data[start + 4], int.from_bytes(data[start + 5 : begin], "big")
            if kind == DATA:
                self._taken += size
                if stream := self._streams.get(number):
                    stream.take(data, begin, stop)
            elif kind not in (HEADERS, RST_STREAM):
                self._control(kind, flags, number, data[begin:stop])
            if kind <= HEADERS and flags & END_STREAM:
                self._close(number, None)
            elif kind == RST_STREAM:
                self._close(number, int.from_bytes(data[begin:stop], "big"))
            start = stop
        self._unread = data[start:]
        if self._taken > _CONNECTION_WINDOW // 4:
            self._out.append(_window_update(0, self._taken))
            self._taken = 0

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if not number:
                self._window += more
            elif stream := self._streams.get(number):
                stream.window += more
            self._pump()
        elif kind == SETTINGS and not flags & ACK:
            # First the acknowledgement: what follows it may use what is allowed by it.
            self._out.append(frame(SETTINGS, ACK, 0, b""))
            for at in range(0, len(payload), 6):
                if int.from_bytes(payload[at : at + 2], "big") == _INITIAL_WINDOW_SIZE:
                    self._resize(int.from_bytes(payload[at + 2 : at + 6], "big"))
        elif kind == PING and not flags & ACK:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._going_away = True

    def _resize(self, window: int) -> None:
        """A changed initial window changes that of open streams too (RFC 9113 6.9.2)."""
        for stream in self._streams.values():
            stream.window += window - self._stream_window
        self._stream_window = window
        self._pump()

    def _close(self, number: int, error: int | None) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        if error is None and not stream.ended:
            stream.queue.clear()
            self.half_close(stream)
        stream.ended = True
        stream.listener.closed(error)

    def _pump(self) -> None:
        """Sends what windows allow of what is stuck, in turn."""
        for _ in range(len(self._stuck)):
            stream = self._stuck.popleft()
            while stream.queue and not stream.ended:
                size = min(len(stream.queue[0]), self._window, stream.window)
                if size <= 0:
                    self._stuck.append(stream)
                    break
                data = stream.queue[0]
                if size == len(data):
                    stream.queue.popleft()
                else:
                    stream.queue[0] = data[size:]
                self._window -= size
                stream.window -= size
                stream.ended = stream.queue_ends and not stream.queue
                self._cut(stream.id, data[:size], end=stream.ended)

    def _cut(self, number: int, data: memoryview, *, end: bool) -> None:
        for start in range(0, len(data), MAX_FRAME_BYTES):
            piece = data[start : start + MAX_FRAME_BYTES]
            self._out += (_data_head(len(piece), number, end=end and start + MAX_FRAME_BYTES >= len(data)), piece)


def _data_head(size: int, number: int, *, end: bool) -> bytes:
    return size.to_bytes(3, "big") + (b"\0\1" if end else b"\0\0") + number.to_bytes(4, "big")


def _window_update(number: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, number, more.to_bytes(4, "big"))
