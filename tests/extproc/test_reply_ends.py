"""What is kept of a reply: both ends, whatever the chunks, and no more than that."""

import itertools
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.exchange import ReplyEnd
from epp.extproc.reply_ends import HEAD_BYTES, TAIL_BYTES, ReplyEnds
from epp.requests import Usage, read_reply

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
SEEN = Usage(7, None, 3)


def kept(*chunks: bytes, event_stream: bool = True) -> ReplyEnd:
    ends = ReplyEnds()
    ends.begin(event_stream=event_stream)
    for chunk in chunks:
        ends.feed(chunk)
    return ends.finish()


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


@given(chunks=st.lists(st.integers(0, 3 * TAIL_BYTES), max_size=8))
def test_both_ends_are_kept_whatever_the_chunks(chunks: list[int]) -> None:
    text = bytes(range(251)) * (sum(chunks) // 251 + 1)
    text, position, pieces = text[: sum(chunks)], 0, []
    for size in chunks:
        pieces.append(text[position : position + size])
        position += size
    end = kept(*pieces, event_stream=False)
    assert end.head == text[:HEAD_BYTES]
    assert end.tail == text[HEAD_BYTES:][-TAIL_BYTES:]
    assert end.size_bytes == len(text)


def firsts(*chunks: bytes, event_stream: bool = True) -> list[bool]:
    """For each chunk, whether the first data came with it."""
    ends = ReplyEnds()
    ends.begin(event_stream=event_stream)
    return [ends.feed(chunk) for chunk in chunks]


FIRST_DATA = {
    "an event": (["data: x\n"], 0),
    "an event without a space": (["data:x\n"], 0),
    "once only": (["data: x\n\n", "data: y\n\n"], 0),
    "after a comment": ([": ping\n\n", "data: x\n\n"], 1),
    "after blank lines": (["\n\n", "data: x\n\n"], 1),
    "after a time to retry": (["retry: 3000\n\n", "data: x\n\n"], 1),
    "after an id": (["id: 1\n\n", "data: x\n\n"], 1),
    "after a name": (["event: message_start\n", "data: {}\n\n"], 1),
    "after an unknown field": (["database: 1\n", "data: {}\n\n"], 1),
    "after talk of it": ([": data: x\n", "id: data: 1\n", "data: {}\n"], 2),
    "never": ([": ping\n\nretry: 1\n\nevent: x\nid: data:\n\n"], None),
    "after a byte order mark": (["\ufeffdata: x\n\n"], 0),
}


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize(("chunks", "first"), FIRST_DATA.values(), ids=FIRST_DATA)
def test_first_data_of_an_event_stream_is_its_first_data_field(
    chunks: list[str], first: int | None, newline: str
) -> None:
    seen = firsts(*(chunk.replace("\n", newline).encode() for chunk in chunks))
    assert seen == [index == first for index in range(len(chunks))]


@given(
    lines=st.lists(
        st.sampled_from(["data: x", "data:", "data", ": data: x", "id: 1", "retry:1", "", "event: e", "dat"])
    ),
    newlines=st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=20, max_size=20),
    cuts=st.lists(st.integers(0, 80), max_size=6),
)
def test_where_an_event_stream_is_cut_does_not_matter(lines: list[str], newlines: list[str], cuts: list[int]) -> None:
    text = "".join(line + newline for line, newline in zip(lines[:20], newlines, strict=False)).encode()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    ends = ReplyEnds()
    ends.begin(event_stream=True)
    seen = [ends.feed(text[start:end]) for start, end in itertools.pairwise(edges)]
    fields = [position for position, line in _lines(text) if line.startswith(b"data:")]
    complete = [fields[0] + len(b"data:") <= end for end in edges[1:]] if fields else [False] * len(seen)
    assert seen == [now and not before for before, now in itertools.pairwise([False, *complete])]
    assert ends.finish().data_events == len(fields)


def _lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    for line in text.splitlines(keepends=True):
        yield position, line
        position += len(line)


def test_first_data_of_a_document_is_its_first_byte() -> None:
    assert firsts(b"", b": ", b"data: x", event_stream=False) == [False, True, False]


LONG_ENDS = {
    "usage after a long text in the last event": [event({"text": "x" * 100_000, "usage": USAGE})],
    "the responses API: usage follows the text, and some settings follow it": [
        event({"type": "response.completed", "response": {"output": "x" * 100_000, "usage": USAGE, "user": "u" * 9000}})
    ],
    "a chunk of many events": [b"".join(event({"text": f"{i}"}) for i in range(5000)) + event({"usage": USAGE})],
    "usage, then as much as fits": [event({"text": "x" * 50_000}), event({"usage": USAGE}), b": " + b"x" * 16_000],
    "a chunk that is cut within the usage": [
        event({"text": "x" * 50_000}),
        event({"usage": USAGE})[:20],
        event({"usage": USAGE})[20:],
        b"data: [DONE]\n\n",
    ],
}


@pytest.mark.parametrize("chunks", LONG_ENDS.values(), ids=LONG_ENDS)
def test_usage_is_found_at_a_long_end(chunks: list[bytes]) -> None:
    first = [event({"text": "a"})] * 100
    assert read_reply(kept(*first, *chunks), status=200, event_stream=True).usage == SEEN


def test_usage_of_a_long_document_is_found() -> None:
    document = json.dumps({"choices": [{"text": "x" * 200_000}], "usage": USAGE}).encode()
    assert read_reply(kept(document, event_stream=False), status=200, event_stream=False).usage == SEEN


def test_a_long_stream_holds_little() -> None:
    replies = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            ends = ReplyEnds()
            ends.begin(event_stream=True)
            for _ in range(1000):
                ends.feed(b"data: " + b"x" * 200 + b"\n\n")
            replies.append(ends)
        held = (tracemalloc.get_traced_memory()[0] - before) / len(replies)
    finally:
        tracemalloc.stop()
    assert held < 64 * 1024
