"""Event streams, whole and in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.http.sse import MAX_EVENT_BYTES, EventStream

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "one event": (b"data: {}\n\n", [b"{}"]),
    "two events": (b"data: 1\n\ndata: 2\n\n", [b"1", b"2"]),
    "carriage returns and line feeds": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [b"1", b"2"]),
    "carriage returns": (b"data: 1\r\rdata: 2\r\r", [b"1", b"2"]),
    "data of several lines": (b"data: 1\ndata: 2\n\n", [b"1\n2"]),
    "no space after the colon": (b"data:1\n\n", [b"1"]),
    "only the first space belongs to the form": (b"data:  1\n\n", [b" 1"]),
    "empty data": (b"data\n\ndata:\n\n", [b"", b""]),
    "comments keep the connection alive": (b": ping\n\n: ping\n\ndata: 1\n\n", [b"1"]),
    "other fields": (b"event: delta\nid: 7\nretry: 3\ndata: 1\n\n", [b"1"]),
    "a byte order mark": (b"\xef\xbb\xbfdata: 1\n\n", [b"1"]),
    "an event that is cut off": (b"data: 1\n\ndata: 2\n", [b"1"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_events(stream: bytes, events: list[bytes]) -> None:
    assert EventStream().feed(stream) == events


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_events_byte_by_byte(stream: bytes, events: list[bytes]) -> None:
    parser = EventStream()
    assert [event for place in range(len(stream)) for event in parser.feed(stream[place : place + 1])] == events


@given(
    lines=st.lists(st.sampled_from([b"data: a", b"data:b", b"", b": x", b"event: y", b"data"]), max_size=12),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=12, max_size=12),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
def test_where_a_stream_is_cut_does_not_matter(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    places = [0, *sorted(cuts), len(stream)]
    parser = EventStream()
    pieces = [parser.feed(stream[begin:end]) for begin, end in pairwise(places)]
    assert [event for piece in pieces for event in piece] == EventStream().feed(stream)


LONG = b"x" * (MAX_EVENT_BYTES // 2 + 1)


@pytest.mark.parametrize("pieces", [(b"data: " + LONG, LONG), (b"data: " + LONG + b"\n", b"data: " + LONG + b"\n")])
def test_an_event_that_is_too_long_is_refused(pieces: tuple[bytes, bytes]) -> None:
    parser = EventStream()
    assert parser.feed(pieces[0]) == []
    with pytest.raises(ValueError, match="more than"):
        parser.feed(pieces[1])
