"""Where the time goes: one request's CPU time, by the room whose code was at work.

The picker's way of a request is run in this process, with a stand-in for gRPC that hands over messages and takes
answers. Timed as it is, it tells what all of our code costs together; run under cProfile, how that divides between the
rooms. cProfile makes calls of functions dearer than they are, so of two rooms the one with many small functions looks
larger. What a request costs a real server beyond it is gRPC and the event loop.
"""

from __future__ import annotations

import cProfile
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np

from bench.extproc.comparison import CONNECTIONS, OUTSTANDING
from bench.extproc.exchanges import Exchange, Reply, exchange
from bench.extproc.player import connected, play_bursts
from bench.extproc.servers import Server
from bench.extproc.usage import cpu_s
from epp.config import build_profile, load
from epp.endpoints import EndpointSpec
from epp.extproc import BodyBudget, ExtProcService
from epp.process.observing import Observing
from epp.protocol import EXT_PROC_SERVICE
from epp.router import Router

__all__ = ["GRPC", "LIBRARIES", "Part", "Parts", "measure_parts", "part_of"]

GRPC = "gRPC and the event loop"
LIBRARIES = "Python code of libraries"

_ROOMS = {
    "extproc/server.py": "transport: streams, protobuf",
    "extproc/": "exchange: phases, headers, answers",
    "exchange.py": "exchange: phases, headers, answers",
    "requests/replies.py": "reply: usage, status",
    "requests/fields.py": "request: JSON",
    "requests/": "request: operation, prompt, limits",
    "prefix/hashing.py": "prefix: hashing",
    "prefix/": "prefix: matching and remembering",
    "scheduling/cost.py": "schedule: cost",
    "scheduling/pickers.py": "schedule: pick",
    "scheduling/": "schedule: view, profile, trace",
    "endpoints/": "endpoints: ledger, rates, health",
    "router/": "router: records, answers",
    "telemetry/": "telemetry: metrics, logs",
}
"""Names of rooms by where their code is; the first that fits counts."""

_OURS = re.compile(r"(?:^|/)epp/(\S+\.py)$")
_GENERATOR = re.compile(r"(?:^|/)bench/")

_PREFIX_BYTES = 5
"""Of a gRPC message, which gRPC takes off."""

_REPEATS = 9
_REQUESTS = 200
"""In one repeat."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a room costs."""

    name: str
    us: float
    """CPU per request."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One request's CPU time, taken apart."""

    prompt_bytes: int
    total_us: float
    """On a server, under bursts."""
    parts: tuple[Part, ...]


class _Context:
    """Stands in for a gRPC stream: hands over messages, then their end."""

    def __init__(self, messages: Iterable[bytes]) -> None:
        self._messages = iter(messages)

    async def read(self) -> object:
        return next(self._messages, grpc.aio.EOF)

    async def write(self, data: bytes) -> None:
        assert data, "answers are not empty"

    @staticmethod
    def done() -> bool:
        return False


async def measure_parts(server: Server, endpoints: Sequence[str], prompt_bytes: int, seconds: float) -> Parts:
    """Takes the server's cost of prompts whose replies go by unseen apart. `endpoints` are the server's."""
    played = exchange(prompt_bytes, 0, Reply.LEAN)
    async with connected(server.port, CONNECTIONS) as wires:
        used = cpu_s(server.pid)
        tally = await play_bursts(wires, played, outstanding=OUTSTANDING, seconds=seconds)
        total_us = (cpu_s(server.pid) - used) / tally.ended * 1e6
    process = _process_method(endpoints)
    costs_us = [await _cost_us(process, played, repeat) for repeat in range(_REPEATS)]
    shares = await _shares(process, played)
    own_us = median(costs_us[1:])  # the first one fills caches
    parts = sorted((Part(name, own_us * share) for name, share in shares.items()), key=lambda part: -part.us)
    return Parts(prompt_bytes, total_us, (Part(GRPC, max(0.0, total_us - own_us)), *parts))


async def _cost_us(process: Any, played: Exchange, repeat: int) -> float:
    contexts = _contexts(played, repeat * _REQUESTS)
    began = time.process_time()
    for context in contexts:
        await process(None, context)
    return (time.process_time() - began) / _REQUESTS * 1e6


async def _shares(process: Any, played: Exchange) -> dict[str, float]:
    """Share of each part in what our code costs."""
    contexts = _contexts(played, _REPEATS * _REQUESTS)
    profiler = cProfile.Profile()
    profiler.enable()
    for context in contexts:
        await process(None, context)
    profiler.disable()
    seconds: defaultdict[str, float] = defaultdict(float)
    for function in profiler.getstats():
        if not isinstance(function.code, str) and (part := part_of(function.code.co_filename)):
            # What is not Python's has a name only, and counts for who called it.
            called = (one.inlinetime for one in function.calls or () if isinstance(one.code, str))
            seconds[part] += function.inlinetime + sum(called)
    total = sum(seconds.values())
    return {part: spent / total for part, spent in seconds.items()}


def part_of(file: str) -> str | None:
    """The part to which a file's functions belong; None for those of the benchmark."""
    if ours := _OURS.search(file):
        return next((part for place, part in _ROOMS.items() if ours[1].startswith(place)), LIBRARIES)
    return None if _GENERATOR.search(file) else LIBRARIES


def _contexts(played: Exchange, first: int) -> list[_Context]:
    messages = (*played.request, played.reply_headers, *played.reply_body)
    numbers = range(first, first + _REQUESTS)
    return [_Context([message.numbered(number)[_PREFIX_BYTES:] for message in messages]) for number in numbers]


def _process_method(endpoints: Sequence[str]) -> Any:
    """What grpc.aio would call for a stream: of a picker as `epp serve` makes it, but for scraping."""
    config = {"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig", "epp": {"overload": {"maxLag": "10s"}}}
    settings = load({"config-text": json.dumps(config), "endpoint": tuple(endpoints)}, {}).settings
    bodies = BodyBudget(settings.bodies_in_flight_bytes)
    observing = Observing.start(settings, bodies, lambda: 0)
    router = Router(
        build_profile(settings, observing.router, time.perf_counter),
        settings.router,
        np.random.default_rng(),
        observer=observing.router,
        stopwatch=time.perf_counter,
    )
    router.replace_endpoints([EndpointSpec(endpoint) for endpoint in endpoints], time.monotonic())
    service = ExtProcService(
        router, settings.exchange, bodies, clock=time.monotonic, observer=observing.streams, overloaded=lambda: False
    )
    details = SimpleNamespace(method=f"/{EXT_PROC_SERVICE}/Process")
    return service.handlers()[0].service(details).stream_stream
