"""Two real vLLM servers behind a real Envoy and `epp serve`. Skipped where `make vllm-env` has not run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout, TCPConnector

from epp.envoy import EnvoySettings
from tests.envoy.world import PATIENCE_S, Document, ServedPicker, running_envoy, until_told
from tests.vllm.servers import MAX_TOKENS, MODEL, VllmServer
from tools.vllm_env import environment

SERVED_BY = "x-served-by"

CONFIG: Document = {
    "epp": {
        "scraping": {"models": {"interval": "1s"}, "maxBackoff": "1s"},
        # A server that came back is used again soon, instead of after half a minute.
        "health": {"ejection": "1s", "slowStart": "0s"},
    },
}


def show_who_served(config: Document) -> None:
    """Envoy itself says where a reply came from, whatever the picker believes."""
    (manager,) = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    host["response_headers_to_add"] = [{"header": {"key": SERVED_BY, "value": "%UPSTREAM_HOST%"}}]


@dataclass(frozen=True)
class Reply:
    """A chat's answer."""

    status: int
    server: str
    body: bytes

    @property
    def prompt_tokens(self) -> int:
        return self._usage["prompt_tokens"]

    @property
    def cached_tokens(self) -> int:
        return self._usage["prompt_tokens_details"]["cached_tokens"]

    @property
    def _usage(self) -> Any:
        return json.loads(self.body)["usage"]


def chat(text: str, model: str = MODEL, tokens: int = 8, **more: Any) -> Document:
    """A request for exactly that many tokens."""
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "max_tokens": tokens, "ignore_eos": True, "temperature": 0, **more}


def text_of(name: str, words: int = 60) -> str:
    """A prompt of about 8 tokens per word: the tiny model's tokenizer knows few of them."""
    return " ".join(f"{name}{number}" for number in range(words))


def requests_at(view: Document) -> int:
    """Running and waiting requests at a server, by its last scrape."""
    return view["columns"]["running_seen"] + view["columns"]["waiting_seen"]


@dataclass(frozen=True)
class Site:
    """What the tests talk to."""

    url: str
    picker: ServedPicker
    servers: tuple[VllmServer, ...]
    session: ClientSession

    async def ask(self, text: str, model: str = MODEL, tokens: int = 8) -> Reply:
        """A chat through the gateway."""
        return await self.send(self.url, chat(text, model, tokens))

    async def send(self, url: str, body: Document) -> Reply:
        async with self.session.post(f"{url}/v1/chat/completions", json=body) as reply:
            return Reply(reply.status, reply.headers.get(SERVED_BY, ""), await reply.read())

    async def known(self, server: VllmServer) -> Document:
        """What the picker knows of a server."""
        page = f"http://{self.picker.host}:{self.picker.ports['metrics_port']}/endpoints"
        async with self.session.get(page, params={"endpoint": server.address}) as reply:
            (view,) = (await reply.json())["endpoints"]
        return view

    async def wait_known(self, server: VllmServer, condition: Callable[[Document], bool]) -> Document:
        """Until the picker knows that of a server."""
        return await until_told(lambda: self.known(server), condition)

    async def wait_quiet(self) -> None:
        """Until no server works on anything, and the picker knows."""
        for server in self.servers:
            await self.wait_known(server, lambda view: requests_at(view) == 0)
        await until_told(self.picker.metrics, lambda metrics: not metrics["epp_ledger_open_charges"])

    @asynccontextmanager
    async def busy(self, server: VllmServer, requests: int, model: str = MODEL) -> AsyncIterator[None]:
        """A server works on so many long requests that came to it directly; the picker has seen it."""
        texts = [f"{model} {number}, please count" for number in range(requests)]
        bodies = [chat(text, model, MAX_TOKENS - 200, stream=True) for text in texts]
        tasks = [asyncio.create_task(self.send(server.url, body)) for body in bodies]
        try:
            await self.wait_known(server, lambda view: requests_at(view) == requests)
            yield
            assert not any(task.done() for task in tasks), "it was not busy all the time"
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await self.wait_quiet()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    found = environment()
    if not found.complete:
        pytest.skip("needs a real vLLM; make vllm-env installs it")
    logs = tmp_path_factory.mktemp("vllm")
    async with AsyncExitStack() as stack:
        servers = tuple(VllmServer(found, port, logs / f"{port}.log") for port in (8000, 8001))
        async with asyncio.TaskGroup() as starting:
            for server in servers:
                starting.create_task(stack.enter_async_context(server))
        flags = [f"--endpoint={server.address}" for server in servers]
        picker = await stack.enter_async_context(ServedPicker(flags, CONFIG))
        settings = EnvoySettings(picker_address=picker.host, picker_port=picker.ports["extproc_port"], picker_tls=None)
        envoy = await stack.enter_async_context(running_envoy(settings, show_who_served))
        session = await stack.enter_async_context(
            ClientSession(timeout=ClientTimeout(total=PATIENCE_S), connector=TCPConnector(force_close=True))
        )
        yield Site(f"http://{envoy.listener_address}", picker, servers, session)
