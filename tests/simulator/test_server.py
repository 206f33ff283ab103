"""What a client sees over HTTP."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator

import pytest

from epp.simulator.server import MAX_BODY_BYTES
from tests.simulator.captures import capture, events
from tests.simulator.conftest import Client

LONG = "All work and no play. " * 40
"""880 bytes: 220 tokens and what the template adds."""


async def test_a_chat_is_answered(client: Client) -> None:
    status, reply = await client.chat(LONG, max_tokens=8)
    assert status == 200
    assert reply.keys() == json.loads(capture("chat.json")).keys()
    assert len(reply["choices"][0]["message"]["content"]) == 32
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 8
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{16}", reply["id"])


async def test_the_second_time_most_of_a_prompt_is_cached(client: Client) -> None:
    (_, first), (_, second) = [await client.chat(LONG, max_tokens=8) for _ in range(2)]
    assert first["choices"] == second["choices"]
    prompt = first["usage"]["prompt_tokens"]
    whole_blocks = (prompt - 1) // 16 * 16
    assert [reply["usage"]["prompt_tokens_details"]["cached_tokens"] for reply in (first, second)] == [0, whole_blocks]


async def test_a_conversation_that_goes_on_finds_its_reply_too(client: Client) -> None:
    _, first = await client.chat(LONG, max_tokens=64)
    turns = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
        {"role": "user", "content": "go on"},
    ]
    _, second = await client.post("/v1/chat/completions", messages=turns, max_tokens=1)
    known = first["usage"]["total_tokens"] - 1
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == known // 16 * 16


async def test_an_adapter_shares_no_cache_with_its_base_model(client: Client) -> None:
    await client.chat(LONG, max_tokens=1)
    _, reply = await client.chat(LONG, max_tokens=1, model="a")
    assert (reply["model"], reply["usage"]["prompt_tokens_details"]["cached_tokens"]) == ("a", 0)


async def test_headers_of_a_stream_go_out_before_the_first_token(client: Client) -> None:
    client.pod.slow_down(1e9)
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with client.session.post(client.url("/v1/chat/completions"), json=body) as response:
        assert response.status == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.headers["x-served-by"] == client.pod.address


async def test_a_stream_says_what_the_whole_reply_says(client: Client) -> None:
    _, whole = await client.chat(LONG, max_tokens=50, n=2)
    options = {"include_usage": True, "continuous_usage_stats": True}
    _, text = await client.chat(LONG, max_tokens=50, n=2, stream=True, stream_options=options)
    chunks = events(text)
    said = ["", ""]
    for chunk in chunks[:-1]:
        said[chunk["choices"][0]["index"]] += chunk["choices"][0]["delta"]["content"]
    assert said == [choice["message"]["content"] for choice in whole["choices"]]
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"] == 100
    assert len(chunks) == 2 * 51 + 1
    assert text.endswith("data: [DONE]\n\n")


async def test_completions_and_messages_stream_too(client: Client) -> None:
    _, text = await client.post("/v1/completions", prompt=LONG, max_tokens=3, stream=True)
    assert [len(chunk["choices"][0]["text"]) for chunk in events(text)] == [4, 4, 4]
    turns = [{"role": "user", "content": "hi"}]
    _, text = await client.post("/v1/messages", messages=turns, max_tokens=3, stream=True)
    assert [part["type"] for part in events(text)][-1] == "message_stop"
    _, reply = await client.post("/v1/messages", messages=turns, max_tokens=3)
    assert reply["stop_reason"] == "max_tokens"


async def test_embeddings_and_tokens_are_answered(client: Client) -> None:
    status, reply = await client.post("/v1/embeddings", input=["cat", "dog"])
    assert (status, len(reply["data"]), reply["usage"]["prompt_tokens"]) == (200, 2, 2)
    assert client.pod.metrics().counters.prompt_tokens == 2
    status, reply = await client.post("/tokenize", prompt="hello world")
    assert (status, reply["count"]) == (200, 3)


@pytest.mark.parametrize(("headers", "fields"), [({"x-request-id": "mine"}, {}), ({}, {"request_id": "mine"})])
async def test_a_client_can_choose_the_id(client: Client, headers: dict[str, str], fields: dict[str, str]) -> None:
    body = {"prompt": "hi", "max_tokens": 1, **fields}
    async with client.session.post(client.url("/v1/completions"), json=body, headers=headers) as response:
        assert (await response.json())["id"] == "cmpl-mine"


async def test_an_id_that_is_no_text_does_no_harm(client: Client) -> None:
    body = b'{"prompt":"hi","max_tokens":1}'
    reader, writer = await asyncio.open_connection(client.pod.settings.host, int(client.pod.address.split(":")[1]))
    writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: pod\r\nx-request-id: a\xff\r\nconnection: close\r\n")
    writer.write(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert b'"id":"cmpl-a?"' in await reader.read()
    writer.close()
    await writer.wait_closed()


PAGES = {
    "/health": (200, ""),
    "/version": (200, '{"version":"0.32.0"}'),
    "/nothing": (404, '{"detail":"Not Found"}'),
    "/v1/models/base": (404, '{"detail":"Not Found"}'),
    "/v1/chat/completions": (405, '{"detail":"Method Not Allowed"}'),
}


@pytest.mark.parametrize(("path", "answer"), PAGES.items())
async def test_pages(client: Client, path: str, answer: tuple[int, str]) -> None:
    assert await client.get(path) == answer


async def test_head_is_not_allowed_on_health(client: Client) -> None:
    async with client.session.head(client.url("/health")) as response:
        assert (response.status, response.headers["allow"]) == (405, "GET")


async def test_the_metrics_page_is_text_for_prometheus(client: Client) -> None:
    await client.chat(max_tokens=3)
    async with client.session.get(client.url("/metrics")) as response:
        assert response.headers["content-type"] == "text/plain; version=1.0.0; charset=utf-8"
        page = await response.text()
    assert 'vllm:generation_tokens_total{engine="0",model_name="base"} 3.0' in page


async def test_models_are_the_base_and_its_adapters(client: Client) -> None:
    _, text = await client.get("/v1/models")
    assert [card["id"] for card in json.loads(text)["data"]] == ["base", "a", "b"]


async def test_adapters_can_be_loaded_and_unloaded(client: Client) -> None:
    assert (await client.chat(model="c"))[0] == 404
    assert await client.post("/v1/load_lora_adapter", lora_name="c", lora_path="/c") == (
        200,
        "Success: LoRA adapter 'c' added successfully.",
    )
    assert (await client.chat(model="c", max_tokens=1))[0] == 200
    assert (await client.post("/v1/load_lora_adapter", lora_name="c", lora_path="/c"))[0] == 400
    assert await client.post("/v1/unload_lora_adapter", lora_name="c") == (
        200,
        "Success: LoRA adapter 'c' removed successfully.",
    )
    assert (await client.chat(model="c"))[0] == 404


ERRORS: dict[str, tuple[str, bytes, str, int, str]] = {
    # what: path, body, content type, status, part of the reply
    "no JSON": ("/v1/chat/completions", b"{", "application/json", 400, '"type":"Bad Request","param":"body"'),
    "another content type": ("/v1/completions", b"{}", "text/plain", 400, "Only 'application/json' is allowed"),
    "unknown model, streaming": (
        "/v1/completions",
        b'{"prompt":"a","model":"zz","stream":true}',
        "application/json",
        404,
        '"message":"The model `zz` does not exist. Valid aliases: base.","type":"NotFoundError","param":"model"',
    ),
    "too long": (
        "/v1/completions",
        b'{"prompt":"a","max_tokens":4096}',
        "application/json",
        400,
        "at least 4097 tokens",
    ),
    "unknown model of a message": (
        "/v1/messages",
        b'{"messages":[],"max_tokens":1,"model":"zz"}',
        "application/json",
        404,
        '{"type":"error","error":{"type":"NotFoundError"',
    ),
}


@pytest.mark.parametrize(("path", "body", "content_type", "status", "text"), ERRORS.values(), ids=ERRORS)
async def test_errors(client: Client, path: str, body: bytes, content_type: str, status: int, text: str) -> None:
    headers = {"content-type": content_type}
    async with client.session.post(client.url(path), data=body, headers=headers) as response:
        assert response.status == status
        assert text in await response.text()
        assert response.headers["x-served-by"] == client.pod.address


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    data, headers = io.BytesIO(bytes(MAX_BODY_BYTES + 1)), {"content-type": "application/json"}
    async with client.session.post(client.url("/tokenize"), data=data, headers=headers) as response:
        assert (response.status, (await response.json()).keys()) == (413, {"detail"})


async def test_more_than_the_queue_holds_is_busy(client: Client) -> None:
    client.pod.slow_down(1e9)
    waiting = [asyncio.create_task(client.chat()) for _ in range(6)]
    await client.wait_for_requests(6)
    status, reply = await client.chat()
    assert (status, reply["error"]["type"]) == (503, "Service Unavailable")
    for task in waiting:
        task.cancel()
    await client.wait_for_requests(0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_goes_away_frees_its_slot(client: Client, stream: bool) -> None:
    client.pod.slow_down(1e9)
    task = asyncio.create_task(client.chat(stream=stream))
    await client.wait_for_requests(1)
    task.cancel()
    await client.wait_for_requests(0)


async def test_a_body_in_pieces_is_read(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"prompt":', b'"hello', b' world"}'):
            yield piece

    headers = {"content-type": "application/json"}
    async with client.session.post(client.url("/tokenize"), data=pieces(), headers=headers) as response:
        assert (await response.json())["count"] == 3


async def test_a_slow_reader_gets_all_events(client: Client) -> None:
    body = {"prompt": "hi", "max_tokens": 3000, "stream": True}
    async with client.session.post(client.url("/v1/completions"), json=body) as response:
        await client.wait_for_requests(0)
        text = await response.text()
    assert len(events(text)) == 3000
    assert text.endswith("data: [DONE]\n\n")
