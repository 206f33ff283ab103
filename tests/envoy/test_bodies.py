"""Requests and replies of every shape reach the other side as they were sent, in every configuration."""

from __future__ import annotations

import hashlib
import json
import random

import pytest

from epp.protocol import DESTINATION
from tests.envoy.conftest import Gateway
from tests.envoy.http2 import Http2Call
from tests.envoy.world import Call, exchange, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

CHAT = "/v1/chat/completions"


def prompt_of(size: int) -> bytes:
    """A chat request of about that many bytes; no two parts of it are alike."""
    text = random.Random(size).randbytes(size // 2).hex()
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


SMALL, LARGE = prompt_of(1000), prompt_of(20_000_000)

BODIES = {"small": SMALL, "large": LARGE, "empty": b"", "no JSON": bytes(range(256)) * 10}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_arrives_byte_for_byte(body: bytes, gateway: Gateway, client: Call) -> None:
    path = CHAT if body.startswith(b"{") else "/v2/upload"
    answer = await exchange(client, gateway.address, "POST", path, body=body)
    assert (answer.status, answer.json["length"]) == (200, len(body))
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()
    await until(lambda: gateway.picker.quiet)


PIECES = {"none": [], "one": [SMALL], "many": [SMALL[at : at + 7] for at in range(0, len(SMALL), 7)]}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
async def test_a_body_without_a_length_arrives(pieces: list[bytes], gateway: Gateway, client: Call) -> None:
    path = CHAT if pieces else "/v2/upload"
    answer = await exchange(client, gateway.address, "POST", path, pieces=pieces)
    assert (answer.status, answer.json["sha256"]) == (200, hashlib.sha256(b"".join(pieces)).hexdigest())


async def test_a_request_without_a_body_is_routed(gateway: Gateway, client: Call) -> None:
    answer = await exchange(client, gateway.address, "GET", "/v1/files")
    assert (answer.status, answer.json["method"], answer.json["path"]) == (200, "GET", "/v1/files")
    assert dict(answer.json["headers"])[DESTINATION] == answer.json["server"]


async def test_the_reply_to_head_has_no_body(gateway: Gateway, client: Call) -> None:
    answer = await exchange(client, gateway.address, "HEAD", "/v1/files")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.head.get("content-type") == "application/json"
    await until(lambda: gateway.picker.quiet)


async def test_trailers_end_a_body_over_http2(gateway: Gateway) -> None:
    answer = await exchange(Http2Call, gateway.address, "POST", CHAT, pieces=[SMALL], trailers=[("x-checksum", "abc")])
    assert (answer.status, answer.json["sha256"]) == (200, hashlib.sha256(SMALL).hexdigest())


async def test_an_error_of_the_model_server_passes(gateway: Gateway, client: Call) -> None:
    answer = await exchange(client, gateway.address, "POST", CHAT, body=SMALL, headers=[("x-echo", "missing")])
    assert (answer.status, answer.json["sha256"]) == (404, hashlib.sha256(SMALL).hexdigest())


async def test_a_reply_in_chunks_that_is_no_event_stream_passes(gateway: Gateway, client: Call) -> None:
    answer = await exchange(client, gateway.address, "POST", CHAT, body=SMALL, headers=[("x-echo", "chunked")])
    assert (answer.status, answer.json["sha256"]) == (200, hashlib.sha256(SMALL).hexdigest())


async def test_each_event_of_a_stream_comes_before_the_next_is_written(gateway: Gateway, client: Call) -> None:
    async with await client.start(gateway.address, "POST", CHAT, [("x-echo", "events")], length=len(SMALL)) as call:
        await call.send(SMALL)
        await call.finish()
        assert (await call.head()).first == "200"
        await until(lambda: any(echo.waiting for echo in gateway.echoes))
        (echo,) = [echo for echo in gateway.echoes if echo.waiting]
        for number in range(20):
            event = b"data: %d\n\n" % number
            echo.events.put_nowait(event)
            assert await call.read() == event
        assert gateway.picker.charges == {echo.address: 1}
        echo.events.put_nowait(None)
        assert await call.read() == b""
        await until(lambda: gateway.picker.quiet)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_destination_that_a_client_names_does_not_survive(
    method: str, gateway: Gateway, client: Call
) -> None:
    for echo in gateway.echoes:
        asked = [(DESTINATION, echo.address), (DESTINATION, "192.0.2.1:80")]
        answer = await exchange(client, gateway.address, method, CHAT, body=SMALL, headers=asked)
        assert answer.status == 200
        arrived = [value for name, value in answer.json["headers"] if name == DESTINATION]
        assert arrived == [answer.json["server"]]
