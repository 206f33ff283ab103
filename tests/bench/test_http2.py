"""Our half of HTTP/2 against hyper-h2 as the server, and cases that hyper-h2 does not bring about."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.extproc.http2 import (
    DATA,
    END_STREAM,
    GOAWAY,
    INITIAL_WINDOW,
    LOST,
    RST_STREAM,
    Connection,
    Stream,
    frame,
    prefixed,
    request_headers,
)

HEADERS = request_headers("/service/Method", "127.0.0.1:1")


class Heard:
    """Notes what a stream is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, int]] = []
        self.ends: list[int | None] = []

    def message(self, head: bytes, size: int) -> None:
        self.messages.append((head, size))

    def closed(self, error: int | None) -> None:
        self.ends.append(error)


class Server:
    """hyper-h2 as the other side. Its windows open only when `drain` is called."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    def exchange_with(self, client: Connection) -> None:
        """Carries bytes until neither side has any."""
        while (out := client.outgoing()) or self.h2._data_to_send:
            self.events += self.h2.receive_data(out)
            client.take(self.h2.data_to_send())

    def data(self, stream: int) -> bytes:
        return b"".join(e.data for e in self.events if isinstance(e, h2.events.DataReceived) and e.stream_id == stream)

    def drain(self, client: Connection, stream: int, size: int) -> None:
        """Opens the windows by so much."""
        self.h2.increment_flow_control_window(size)
        self.h2.increment_flow_control_window(size, stream)
        self.exchange_with(client)


def test_a_call_reaches_the_server_and_its_answer_comes_back() -> None:
    client, server, heard = Connection(HEADERS), Server(), Heard()
    stream = client.open(heard)
    client.send(stream, prefixed(b"question"))
    server.exchange_with(client)
    request = next(e for e in server.events if isinstance(e, h2.events.RequestReceived))
    assert dict(request.headers) == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/service/Method",
        b":authority": b"127.0.0.1:1",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    assert server.data(1) == prefixed(b"question")

    server.h2.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    server.h2.send_data(1, prefixed(b"answer"))
    server.h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
    server.exchange_with(client)
    assert heard.messages == [(b"answer", 6)]
    assert heard.ends == [None]
    assert any(isinstance(event, h2.events.StreamEnded) for event in server.events), "we half-close after the server"
    assert len(client) == 0


def test_more_than_the_windows_allow_waits_for_them() -> None:
    client, server, heard = Connection(HEADERS), Server(), Heard()
    stream = client.open(heard)
    body = bytes(200_000)
    client.send(stream, body, end=True)
    server.exchange_with(client)
    assert len(server.data(1)) == INITIAL_WINDOW
    server.drain(client, 1, 100_000)
    assert len(server.data(1)) == INITIAL_WINDOW + 100_000
    server.drain(client, 1, 100_000)
    assert server.data(1) == body
    assert any(isinstance(event, h2.events.StreamEnded) for event in server.events)


def test_what_is_sent_behind_a_stuck_message_keeps_its_place() -> None:
    client, server, heard = Connection(HEADERS), Server(), Heard()
    stream = client.open(heard)
    client.send(stream, b"a" * 70_000)
    client.send(stream, b"b" * 10)
    client.half_close(stream)
    server.exchange_with(client)
    server.drain(client, 1, 50_000)
    assert server.data(1) == b"a" * 70_000 + b"b" * 10
    assert any(isinstance(event, h2.events.StreamEnded) for event in server.events)


def test_a_larger_initial_window_counts_for_open_streams() -> None:
    client, server, heard = Connection(HEADERS), Server(), Heard()
    stream = client.open(heard)
    client.send(stream, bytes(80_000))
    server.exchange_with(client)
    server.h2.increment_flow_control_window(100_000)
    server.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100_000})
    server.exchange_with(client)
    assert len(server.data(1)) == 80_000


def test_a_server_that_resets_the_stream() -> None:
    client, heard = Connection(HEADERS), Heard()
    client.open(heard)
    client.take(frame(RST_STREAM, 0, 1, (8).to_bytes(4, "big")))
    client.take(frame(DATA, END_STREAM, 1, prefixed(b"late")))
    assert (heard.messages, heard.ends) == ([], [8])


def test_a_server_that_goes_away_gets_no_new_streams() -> None:
    client = Connection(HEADERS)
    assert client.usable
    client.take(frame(GOAWAY, 0, 0, bytes(8)))
    assert not client.usable


def test_all_calls_are_lost_with_the_connection() -> None:
    client, first, second = Connection(HEADERS), Heard(), Heard()
    client.open(first)
    client.open(second)
    client.lose()
    assert (first.ends, second.ends) == ([LOST], [LOST])


@given(
    messages=st.lists(st.binary(max_size=600), max_size=8),
    frames=st.lists(st.integers(1, 700), max_size=12),
    reads=st.lists(st.integers(1, 900), max_size=12),
)
def test_where_messages_are_cut_into_frames_and_reads_does_not_matter(
    messages: list[bytes], frames: list[int], reads: list[int]
) -> None:
    client, heard = Connection(HEADERS), Heard()
    client.open(heard)
    payload = b"".join(map(prefixed, messages))
    wire = b"".join(frame(DATA, 0, 1, piece) for piece in pieces(payload, frames))
    for read in pieces(wire, reads):
        client.take(read)
    assert heard.messages == [(message[: Stream.HEAD_BYTES], len(message)) for message in messages]


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Data cut into pieces of these sizes, and the rest."""
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [*found, data]


@pytest.mark.parametrize("sizes", [[1] * 40, [5, 3, 5], []])
def test_empty_messages_count_too(sizes: list[int]) -> None:
    client, heard = Connection(HEADERS), Heard()
    client.open(heard)
    for piece in pieces(frame(DATA, 0, 1, prefixed(b"") + prefixed(b"x") + prefixed(b"")), sizes):
        client.take(piece)
    assert heard.messages == [(b"", 0), (b"x", 1), (b"", 0)]
