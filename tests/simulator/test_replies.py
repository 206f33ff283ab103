"""Replies against those of a real vLLM, byte by byte but for what `shape` takes out."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulator.errors import engine_dead
from epp.simulator.replies import (
    Choice,
    ReplyHead,
    ReplyStream,
    chat_reply,
    chat_stream,
    completion_reply,
    completion_stream,
    usage_of,
)
from epp.simulator.sequences import Finish
from epp.simulator.tokens import filler_text
from tests.simulator.captures import capture, events, shape

HEAD = ReplyHead(id="chatcmpl-1", model="m", created=1, block_size=32)
USAGE = ReplyHead(id="chatcmpl-1", model="m", created=1, block_size=32, include_usage=True)
CONTINUOUS = ReplyHead(id="c-1", model="m", created=1, block_size=32, include_usage=True, continuous_usage=True)


def choice(prompt: int, output: int, index: int = 0, prompt_index: int = 0, finish: Finish = Finish.LENGTH) -> Choice:
    return Choice(index, prompt_index, prompt, filler_text(output, index), finish)


def whole_stream(stream: ReplyStream, choices: Sequence[Choice], cached: int) -> str:
    """All bytes of a stream whose tokens come one by one."""
    written = [stream.tokens(each, at, at + 1) for each in choices for at in range(each.tokens)]
    return (b"".join(written) + stream.end([cached] * len(choices))).decode()


STREAMS: dict[str, tuple[Callable[[ReplyHead, Sequence[Choice]], ReplyStream], ReplyHead, Choice, int]] = {
    "chat_stream.txt": (chat_stream, HEAD, choice(6, 3), 0),
    "chat_stream_usage.txt": (chat_stream, USAGE, choice(99, 5), 0),
    "chat_stream_continuous.txt": (chat_stream, CONTINUOUS, choice(99, 3), 96),
    "completion_stream_usage.txt": (completion_stream, USAGE, choice(95, 4), 64),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_what_vllm_writes(name: str) -> None:
    make, head, only, cached = STREAMS[name]
    assert shape(whole_stream(make(head, [only]), [only], cached)) == shape(capture(name))


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("chat.json", chat_reply(HEAD, [choice(107, 8)], [0])),
        ("completion.json", completion_reply(HEAD, [choice(95, 6)], [0])),
    ],
)
def test_a_whole_reply_is_what_vllm_writes(name: str, reply: bytes) -> None:
    assert shape(reply.decode()) == shape(capture(name).strip())


@given(st.integers(1, 20), st.lists(st.integers(0, 20)), st.sampled_from([HEAD, USAGE, CONTINUOUS]))
def test_it_does_not_matter_how_many_tokens_come_at_a_time(tokens: int, cuts: list[int], head: ReplyHead) -> None:
    only = choice(10, tokens)
    stops = sorted({cut for cut in cuts if 0 < cut < tokens} | {0, tokens})
    for make in (chat_stream, completion_stream):
        stream = make(head, [only])
        pieces = [stream.tokens(only, start, stop) for start, stop in pairwise(stops)]
        assert (b"".join(pieces) + stream.end([0])).decode() == whole_stream(stream, [only], 0)


def test_a_stream_says_all_and_why_it_ended() -> None:
    only = choice(10, 7, finish=Finish.STOP)
    chunks = events(whole_stream(chat_stream(HEAD, [only]), [only], 0))
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks).encode() == only.text
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 7 + ["stop"]


def test_choices_are_told_apart_by_their_index() -> None:
    choices = [choice(10, 2, 0), choice(10, 3, 1)]
    chunks = events(whole_stream(chat_stream(USAGE, choices), choices, 0))
    assert [chunk["choices"][0]["index"] for chunk in chunks[:-1]] == [0, 0, 0, 1, 1, 1, 1]
    assert chunks[-1]["usage"]["completion_tokens"] == 5


def test_a_prompt_counts_once_however_many_sequences_it_has() -> None:
    choices = [choice(40, 2, 0, 0), choice(40, 2, 1, 0), choice(70, 2, 2, 1)]
    usage = usage_of(choices, [0, 32, 64], 32)
    assert (usage.prompt_tokens, usage.cached_tokens, usage.created_cache_tokens, usage.completion_tokens) == (
        110,
        64,
        32,
        6,
    )


def test_a_stream_that_the_engine_left_ends_with_an_error_and_done() -> None:
    text = chat_stream(HEAD, [choice(10, 2)]).error(engine_dead()).decode()
    assert text.endswith("\n\ndata: [DONE]\n\n")
    assert events(text) == [json.loads(engine_dead().openai())]


def test_names_are_escaped() -> None:
    head = ReplyHead(id='a"b', model="m\\\n", created=1, block_size=16)
    chunk = events(whole_stream(chat_stream(head, [choice(1, 1)]), [choice(1, 1)], 0))[0]
    assert (chunk["id"], chunk["model"]) == ('a"b', "m\\\n")
