"""Exchanges are what a proxy sends: read back with our generated code and with json."""

from __future__ import annotations

import json

import pytest

from bench.extproc.comparison import SIZES
from bench.extproc.exchanges import Exchange, Message, Reply, exchange
from epp.extproc import wire_pb2 as wire


def sent(messages: tuple[Message, ...], number: int) -> list[wire.ProcessingRequest]:
    framed = [message.numbered(number) for message in messages]
    assert all(int.from_bytes(one[1:5], "big") == len(one) - 5 for one in framed)
    return [wire.ProcessingRequest.FromString(one[5:]) for one in framed]


def body_of(played: Exchange, number: int) -> bytes:
    return b"".join(message.request_body.body for message in sent(played.request, number)[1:])


@pytest.mark.parametrize("size", SIZES)
def test_the_body_is_a_chat_of_that_length(size: int) -> None:
    played = exchange(size, 1)
    body = body_of(played, 7)
    assert len(body) == played.prompt_bytes == size
    system, user = json.loads(body)["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    headers = sent(played.request, 7)[0].request_headers.headers.headers
    assert [header.raw_value for header in headers if header.key == b"content-length"] == [str(size).encode()]


def test_prompts_share_their_first_half_and_differ_from_there_on() -> None:
    played = exchange(4_096, 1)
    one, other = (json.loads(body_of(played, number))["messages"] for number in (1, 2))
    assert one[0] == other[0]
    assert len(one[0]["content"]) > 1_900
    assert one[1]["content"][:12] == "000000000001"
    assert other[1]["content"][:12] == "000000000002"


def test_a_body_can_come_in_several_messages() -> None:
    whole, cut = exchange(400_000, 1), exchange(400_000, 1, frame_bytes=65_536)
    messages = sent(cut.request, 3)[1:]
    assert len(messages) == 7
    assert [message.request_body.end_of_stream for message in messages] == [False] * 6 + [True]
    assert body_of(cut, 3) == body_of(whole, 3)


def test_in_full_mode_chunks_come_and_an_empty_one_ends_them() -> None:
    chunks = sent(exchange(200, 5).reply_body, 0)
    assert [bool(chunk.response_body.body) for chunk in chunks] == [True] * 5 + [False]
    assert [chunk.response_body.end_of_stream for chunk in chunks] == [False] * 5 + [True]
    assert b'"prompt_tokens":100' in chunks[4].response_body.body


def test_in_lean_mode_no_chunk_comes() -> None:
    played = exchange(200, 5, Reply.LEAN)
    assert (played.chunks, played.reply_body) == (0, ())
    assert sent(played.request, 0)[0].protocol_config.response_body_mode == wire.NONE


def test_a_body_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="100 bytes is too short for a chat"):
        exchange(100, 1)
