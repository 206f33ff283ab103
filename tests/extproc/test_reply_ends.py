"""What is kept of a reply: both ends, whatever the chunks, and no more than that."""

import json
import tracemalloc

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
