"""Chats with simulated vLLM pods: repeated prompts find their cache, different ones spread, pods may come and go."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout

from epp.envoy import EnvoySettings, Observation, Routing
from epp.simulator import EngineSettings, SimPods, SimServerSettings, serve
from tests.envoy.world import PATIENCE_S, RunningPicker, running_envoy, running_picker, until, until_told

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

PODS = 3

FAST = 50.0
"""A decode step takes a fifth of a millisecond."""


@dataclass(frozen=True)
class Reply:
    """A chat's answer."""

    status: int
    pod: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    models: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fleet:
    """An Envoy, its picker, and pods behind them."""

    url: str
    picker: RunningPicker
    pods: SimPods
    session: ClientSession

    async def chat(self, text: str, *, stream: bool = True, model: str = "sim-model", tokens: int = 8) -> Reply:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as reply:
            data = await reply.read()
            if reply.status != 200:
                return Reply(reply.status, "")
            events = _events(data) if stream else [json.loads(data)]
            usage = next(event["usage"] for event in reversed(events) if event.get("usage"))
            return Reply(
                reply.status,
                reply.headers["x-served-by"],
                usage["prompt_tokens"],
                usage["prompt_tokens_details"]["cached_tokens"],
                frozenset(event["model"] for event in events),
            )

    async def failed_probes(self, address: str) -> int:
        """The last health probes of an endpoint that failed in a row."""
        page = f"http://127.0.0.1:{self.picker.ports.http}/endpoints"
        async with self.session.get(page, params={"endpoint": address}) as reply:
            (view,) = (await reply.json())["endpoints"]
        return view["probes"]["health"]["failures"]


def _events(stream: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def text_of(name: str, words: int = 400) -> str:
    return " ".join(f"{name}{number}" for number in range(words))


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["original-destination", "override-host", "lean"],
)
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    name = request.param
    async with AsyncExitStack() as stack:
        engine = EngineSettings(num_gpu_blocks=2000, max_model_len=16_000)
        pods = await stack.enter_async_context(
            serve(SimServerSettings(pods=PODS, port=0, speeds=(FAST,), engine=engine))
        )
        rewrites = [{"models": ["chat"], "targets": [{"model": "sim-model"}]}]
        # A pod that came back is used again soon, instead of after half a minute.
        health = {"ejection": "1s", "slowStart": "0s"}
        picker = await stack.enter_async_context(
            running_picker(pods.addresses, {"epp": {"models": {"rewrites": rewrites}, "health": health}})
        )
        routing = Routing.OVERRIDE_HOST if name == "override-host" else Routing.ORIGINAL_DESTINATION
        settings = EnvoySettings(
            routing=routing,
            observation=Observation.LEAN if name == "lean" else Observation.FULL,
            endpoints=pods.addresses if name == "override-host" else (),
            picker_port=picker.ports.extproc,
            picker_tls=None,
        )
        envoy = await stack.enter_async_context(running_envoy(settings))
        session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=PATIENCE_S)))
        yield Fleet(f"http://{envoy.listener_address}", picker, pods, session)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_repeated_prompt_finds_its_cache(stream: bool, fleet: Fleet) -> None:
    for number in range(6):
        text = text_of(f"again{number}{stream}")
        first = await fleet.chat(text, stream=stream)
        assert (first.status, first.cached_tokens) == (200, 0)
        await until(lambda: fleet.picker.quiet)
        for _ in range(3):
            later = await fleet.chat(text, stream=stream)
            assert (later.pod, later.prompt_tokens) == (first.pod, first.prompt_tokens)
            assert later.cached_tokens > 0.9 * first.prompt_tokens


async def test_a_longer_conversation_stays_where_it_began(fleet: Fleet) -> None:
    text = text_of("talk")
    first = await fleet.chat(text)
    for turn in range(3):
        text += " and then " + text_of(f"turn{turn}", 50)
        later = await fleet.chat(text)
        assert later.pod == first.pod
        assert later.cached_tokens > 0.5 * later.prompt_tokens


async def test_different_prompts_spread(fleet: Fleet) -> None:
    replies = await asyncio.gather(*(fleet.chat(text_of(f"spread{number}")) for number in range(30)))
    assert {reply.status for reply in replies} == {200}
    served = Counter(reply.pod for reply in replies)
    assert set(served) == set(fleet.pods.addresses)
    assert min(served.values()) >= 5, served
    await until(lambda: fleet.picker.quiet)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_rewritten_model_is_served(stream: bool, fleet: Fleet, request: pytest.FixtureRequest) -> None:
    reply = await fleet.chat(text_of("rewritten"), stream=stream, model="chat")
    lean = "lean" in request.node.callspec.id
    assert (reply.status, reply.models) == (200, {"sim-model" if lean else "chat"}), "lean shows no reply to the picker"


async def test_a_killed_pod_is_left_and_used_again_when_it_is_back(fleet: Fleet) -> None:
    victim = fleet.pods[0]
    await fleet.chat(text_of("before"))
    await victim.kill()
    statuses: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while statuses[-20:] != [200] * 20:
            statuses.append((await fleet.chat(text_of(f"while{len(statuses)}", 50))).status)
    # Failed replies eject it after three. Before that ejection is over, or after it, probes find out.
    assert statuses.count(503) + statuses.count(502) == len(statuses) - statuses.count(200) <= 10
    await until_told(lambda: fleet.failed_probes(victim.address), lambda number: number >= 2)
    replies = await asyncio.gather(*(fleet.chat(text_of(f"without{number}", 50)) for number in range(20)))
    assert {reply.pod for reply in replies} <= set(fleet.pods.addresses) - {victim.address}
    await victim.start()
    async with asyncio.timeout(PATIENCE_S):
        pods: set[str] = set()
        number = 0
        while victim.address not in pods:
            pods.add((await fleet.chat(text_of(f"after{number}", 50))).pod)
            number += 1
    await until(lambda: fleet.picker.quiet)
