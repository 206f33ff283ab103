"""Pods over loopback, and a client that looks at one of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from epp.simulator import EngineSettings, PodSettings, SimPod, serve

FAST = 1000.0
"""A token takes ten microseconds."""


@dataclass
class Client:
    """Talks to a pod."""

    session: aiohttp.ClientSession
    pod: SimPod

    def url(self, path: str) -> str:
        return f"http://{self.pod.address}{path}"

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url(path)) as response:
            return response.status, await response.text()

    async def post(self, path: str, **fields: object) -> tuple[int, Any]:
        """Status of a reply, and its JSON or its text."""
        async with self.session.post(self.url(path), json=fields) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text

    async def chat(self, text: str = "hi", **fields: object) -> tuple[int, Any]:
        return await self.post("/v1/chat/completions", messages=[{"role": "user", "content": text}], **fields)

    async def wait_for_requests(self, number: int) -> None:
        """Until that many are in the pod's engine."""
        async with asyncio.timeout(20):
            while self.pod.metrics().requests != number:  # noqa: ASYNC110 - a pod tells nobody when that changes
                await asyncio.sleep(0.001)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
async def client(session: aiohttp.ClientSession) -> AsyncIterator[Client]:
    engine = EngineSettings(max_num_seqs=4, max_loras=2, max_model_len=4096, max_queued_requests=6)
    settings = PodSettings(model="base", adapters=("a", "b"), engine=engine, speed=FAST, mean_output_tokens=10)
    async with serve([settings]) as pods:
        yield Client(session, pods[0])
