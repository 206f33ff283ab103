"""Requests find the cache, the adapter and the idle server that they should find, with real vLLM servers."""

from __future__ import annotations

import asyncio
import json
import re
from time import monotonic
from typing import Any

import pytest

from epp.protocol import DESTINATION
from tests.envoy.world import PATIENCE_S
from tests.vllm.conftest import Site, chat, text_of
from tests.vllm.servers import BLOCK_SIZE, BLOCKS, MAX_BATCH

pytestmark = [pytest.mark.vllm, pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


async def test_different_prompts_spread_and_repeated_ones_find_their_cache(site: Site) -> None:
    texts = [text_of(f"repeated{number}x") for number in range(8)]
    first = await asyncio.gather(*(site.ask(text) for text in texts))
    assert {reply.server for reply in first} == {server.address for server in site.servers}
    assert {reply.cached_tokens // BLOCK_SIZE for reply in first} == {0}
    for text, before in zip(texts, first, strict=True):
        again = await site.ask(text)
        assert again.server == before.server
        assert again.cached_tokens == (again.prompt_tokens - 1) // BLOCK_SIZE * BLOCK_SIZE > 300
    (other,) = (server for server in site.servers if server.address != first[0].server)
    elsewhere = await site.send(other.url, chat(texts[0]))
    assert elsewhere.cached_tokens == 0, "a picker that did not care would have found nothing"


async def test_the_turns_of_a_conversation_stay_where_their_cache_is(site: Site) -> None:
    text = text_of("conversation")
    first = await site.ask(text)
    for turn in range(3):
        held = len(text)
        text += " " + text_of(f"turn{turn}x", 20)
        later = await site.ask(text)
        assert later.server == first.server
        assert later.cached_tokens >= 0.8 * later.prompt_tokens * held / len(text)


async def test_the_picker_learns_from_replies_what_was_cached(site: Site) -> None:
    before = await site.picker.metrics()
    text = text_of("counted")
    replies = [await site.ask(text) for _ in range(3)]
    after = await site.picker.metrics()
    for name, reported in (
        ("epp_observed_hit_tokens_total", sum(reply.cached_tokens for reply in replies)),
        ("epp_compared_prompt_tokens_total", sum(reply.prompt_tokens for reply in replies)),
    ):
        assert after[name] - before[name] == reported > 0
    predicted = after["epp_predicted_hit_tokens_total"] - before["epp_predicted_hit_tokens_total"]
    assert predicted == pytest.approx(sum(reply.cached_tokens for reply in replies), rel=0.3)


@pytest.mark.parametrize(("number", "adapter"), [(0, "a"), (1, "b")])
async def test_an_adapter_attracts_its_requests(number: int, adapter: str, site: Site) -> None:
    holder = site.servers[number]
    async with site.busy(holder, 1, adapter):
        await site.wait_known(holder, lambda view: adapter in view["adapters"])
        while_running = [await site.ask(text_of(f"running{turn}{adapter}", 10), adapter) for turn in range(5)]
    later = [await site.ask(text_of(f"later{turn}{adapter}", 10), adapter) for turn in range(5)]
    assert {(reply.status, reply.server) for reply in while_running} == {(200, holder.address)}
    assert {(reply.status, reply.server) for reply in later} == {(200, holder.address)}, "idle, it is not listed"


@pytest.mark.parametrize("number", [0, 1])
async def test_an_adapter_that_one_server_lists_goes_only_there(number: int, site: Site) -> None:
    holder, name = site.servers[number], f"only-on-{number}"
    await holder.load_adapter(site.session, name, holder.environment.adapter("a"))
    try:
        await site.wait_known(holder, lambda view: name in view["models"])
        replies = await asyncio.gather(*(site.ask(text_of(f"{name}{turn}", 10), name) for turn in range(3 * MAX_BATCH)))
    finally:
        await holder.unload_adapter(site.session, name)
    assert {(reply.status, reply.server) for reply in replies} == {(200, holder.address)}


@pytest.mark.parametrize("number", [0, 1])
async def test_a_busy_server_is_avoided(number: int, site: Site) -> None:
    busy, idle = site.servers[number], site.servers[1 - number]
    async with site.busy(busy, MAX_BATCH + 4):
        replies = [await site.ask(text_of(f"new{number}{turn}", 10)) for turn in range(10)]
    assert {(reply.status, reply.server) for reply in replies} == {(200, idle.address)}


async def test_what_is_known_of_a_server_is_what_it_says(site: Site) -> None:
    server = site.servers[0]
    async with site.session.get(f"{server.url}/metrics") as reply:
        (info,) = re.findall(r"^vllm:cache_config_info\{(.*)\}", await reply.text(), re.MULTILINE)
    labels = dict(re.findall(r'(\w+)="([^"]*)"', info))
    async with site.busy(server, MAX_BATCH + 2):
        columns = (await site.known(server))["columns"]
        running = await server.gauge(site.session, "vllm:num_requests_running")
        waiting = await server.gauge(site.session, "vllm:num_requests_waiting")
        assert (columns["running_seen"], columns["waiting_seen"]) == (running, waiting) == (MAX_BATCH, 2)
        view = await site.wait_known(server, lambda view: view["columns"]["kv_usage_seen"] > 0)
    assert (columns["block_size"], columns["capacity_tokens"]) == (BLOCK_SIZE, BLOCKS * BLOCK_SIZE)
    assert columns["block_size"] == int(labels["block_size"])
    assert columns["capacity_tokens"] == int(labels["kv_cache_size_tokens"])
    assert columns["max_loras"] == 2
    assert set(view["models"]) >= {"tiny", "a", "b"}
    assert view["state"] == "serving"


async def test_a_streamed_reply_passes_with_its_usage(site: Site) -> None:
    """Where vLLM cuts a stream depends on how busy it is, so two of them are compared by what they say."""
    body = chat(text_of("streamed"), tokens=40, stream=True, stream_options={"include_usage": True})
    first = await site.send(site.url, body)
    passed = await site.send(site.url, body)
    direct = await site.send(f"http://{first.server}", body)
    assert (first.status, passed.server) == (200, first.server)
    assert said(passed.body) == said(direct.body)
    text, reason, usage = said(passed.body)
    assert text
    assert (reason, usage["completion_tokens"]) == ("length", 40)
    assert usage["prompt_tokens_details"]["cached_tokens"] > 300


async def test_errors_of_a_server_pass_unchanged(site: Site) -> None:
    body = chat("hello", "no-such-model")
    passed, direct = await site.send(site.url, body), await site.send(site.servers[0].url, body)
    assert (passed.status, passed.body) == (direct.status, direct.body)
    assert passed.status == 404


async def test_what_has_no_body_is_served(site: Site) -> None:
    async with site.session.get(f"{site.url}/v1/models", headers={DESTINATION: "192.0.2.1:80"}) as reply:
        assert reply.status == 200
        assert {"tiny", "a", "b"} <= {card["id"] for card in (await reply.json())["data"]}


async def test_a_killed_server_is_left_and_used_again_when_it_is_back(site: Site) -> None:
    victim, other = site.servers
    began = monotonic()
    await victim.kill()
    statuses: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while statuses[-20:] != [200] * 20:
            statuses.append((await site.ask(text_of(f"while{len(statuses)}", 5), tokens=1)).status)
    took = monotonic() - began
    assert len(statuses) - statuses.count(200) <= 10, "failed replies eject it after three"
    assert took < 20, "it takes two seconds; the rest is for a busy machine"
    await site.wait_known(victim, lambda view: view["probes"]["health"]["failures"] >= 2)
    replies = await asyncio.gather(*(site.ask(text_of(f"without{turn}", 10)) for turn in range(8)))
    assert {(reply.status, reply.server) for reply in replies} == {(200, other.address)}
    await victim.start()
    await site.wait_known(victim, lambda view: view["state"] == "serving")
    replies = await asyncio.gather(*(site.ask(text_of(f"after{turn}", 10)) for turn in range(8)))
    assert {reply.server for reply in replies} == {victim.address, other.address}


def said(stream: bytes) -> tuple[str, str, Any]:
    """Text, reason of the end, and usage of a streamed chat."""
    *events, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    parsed = [json.loads(event.removeprefix(b"data: ")) for event in events]
    *_, end, usage = parsed
    assert usage["choices"] == []
    deltas = [event["choices"][0]["delta"] for event in parsed[:-1]]
    return "".join(delta.get("content") or "" for delta in deltas), end["choices"][0]["finish_reason"], usage["usage"]
