"""Plays the same exchanges against several servers, turn by turn, and compares what they cost.

A machine's speed changes from second to second, so a server's cost is divided by what the first server of the list cost
in the same round, and the middle one of these ratios counts.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles

from bench.extproc.exchanges import Exchange, Reply, exchange
from bench.extproc.player import Wire, connected, play_bursts, play_paced
from bench.extproc.runs import Fate, Tally
from bench.extproc.servers import BenchError, Server
from bench.extproc.usage import cpu_s

__all__ = [
    "CONNECTIONS",
    "FRAME_BYTES",
    "OUTSTANDING",
    "SIZES",
    "Comparison",
    "Cost",
    "Load",
    "Plan",
    "Sample",
    "chunk_loads",
    "compare",
    "costs_of",
    "frame_loads",
    "paced_chunk_loads",
    "prompt_loads",
]

SIZES = (200, 4_096, 32_768, 131_072, 400_000)
"""Bytes of a prompt's body."""

FRAME_BYTES = 65_536

OUTSTANDING = 8
"""Exchanges under way in bursts."""

CONNECTIONS = 2
"""As an Envoy with two workers makes them."""

_WARM_UP = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What is played."""

    exchange: Exchange
    frame_bytes: int | None = None
    """Bytes of body in a message; None: all."""
    per_s: float | None = None
    """Poisson arrivals; None: bursts."""

    @property
    def name(self) -> str:
        """For people."""
        size = self.exchange.prompt_bytes
        shown = f"{size} B" if size < 1024 else f"{size / 1024:.0f} KB" if size != 400_000 else "400 KB"
        frames = f" in frames of {self.frame_bytes // 1024} KB" if self.frame_bytes else ""
        chunks = f", {self.exchange.chunks} reply chunks" if self.exchange.reply is Reply.FULL else ", lean"
        pace = f", {self.per_s:.0f}/s" if self.per_s else ", bursts"
        return shown + frames + chunks + pace


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one server."""

    exchanges: int
    cpu_s: float
    wall_s: float
    generator_cpu_s: float
    pick_p50_s: float
    pick_p99_s: float

    @property
    def cost_s(self) -> float:
        """CPU per exchange."""
        return self.cpu_s / self.exchanges


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load costs a server, by all of its turns."""

    cpu_us: float
    """CPU per exchange, the median."""
    low_us: float
    high_us: float
    ratio: float
    """To the first server, the median of the rounds."""
    busy: float
    """Share of a core that the server used."""
    generator_us: float
    pick_p50_ms: float
    pick_p99_ms: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How long is measured."""

    rounds: int
    seconds: float
    """Of one server's turn in bursts."""
    paced_seconds: float


@dataclass(frozen=True, slots=True)
class _Player:
    """A server with connections to it."""

    server: Server
    wires: Sequence[Wire]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Costs by load and server."""

    servers: tuple[str, ...]
    costs: tuple[tuple[Load, tuple[Cost, ...]], ...]


def prompt_loads(*, per_s: float | None = None) -> list[Load]:
    """Prompts of all sizes whose replies go by unseen, so that the request alone is measured."""
    return [Load(exchange(size, 0, Reply.LEAN), per_s=per_s) for size in SIZES]


def frame_loads() -> list[Load]:
    """Prompts that come in several messages, as Envoy sends them."""
    large = [size for size in SIZES if size > FRAME_BYTES]
    return [Load(exchange(size, 0, Reply.LEAN, frame_bytes=FRAME_BYTES), FRAME_BYTES) for size in large]


def chunk_loads() -> list[Load]:
    """Replies of several lengths behind a prompt of 4 KB, in full."""
    return [Load(exchange(4_096, chunks)) for chunks in (1, 100, 1_000)]


def paced_chunk_loads() -> list[Load]:
    """The same at the pace of a model server: few exchanges per second, many chunks."""
    return [Load(exchange(4_096, 1), per_s=100.0), Load(exchange(4_096, 100), per_s=20.0)]


@asynccontextmanager
async def _players(servers: Sequence[Server]) -> AsyncIterator[list[_Player]]:
    """Connections to all servers."""
    async with AsyncExitStack() as stack:
        yield [_Player(one, await stack.enter_async_context(connected(one.port, CONNECTIONS))) for one in servers]


async def compare(servers: Sequence[Server], loads: Sequence[Load], plan: Plan, rng: random.Random) -> Comparison:
    """Plays all loads against all servers. The first server is what the others are compared with.

    Raises BenchError when a server leaves an exchange unanswered.
    """
    costs = []
    async with _players(servers) as players:
        for load in loads:
            for player in players:
                await play_bursts(player.wires, load.exchange, outstanding=OUTSTANDING, total=_WARM_UP)
            turns = [[await _turn(player, load, plan, rng) for player in players] for _ in range(plan.rounds)]
            costs.append((load, costs_of(turns)))
    return Comparison(tuple(server.name for server in servers), tuple(costs))


async def _turn(player: _Player, load: Load, plan: Plan, rng: random.Random) -> Sample:
    """One turn. Raises BenchError when an exchange is left unanswered."""
    pid = player.server.pid
    used, own, began = cpu_s(pid), time.process_time(), time.perf_counter()
    if load.per_s is None:
        tally = await play_bursts(player.wires, load.exchange, outstanding=OUTSTANDING, seconds=plan.seconds)
    else:
        tally = await play_paced(player.wires, load.exchange, per_s=load.per_s, seconds=plan.paced_seconds, rng=rng)
    sample = _sample(tally, cpu_s(pid) - used, time.perf_counter() - began, time.process_time() - own)
    if sample is None:
        fates = ", ".join(f"{count} {fate.value}" for fate, count in tally.fates.items() if count)
        raise BenchError(f"{player.server.name}: {load.name}: {tally.begun} begun, of these {fates or 'none ended'}")
    return sample


def _sample(tally: Tally, used_s: float, wall_s: float, own_s: float) -> Sample | None:
    """What a turn tells; None when something went wrong in it."""
    if not tally.sound or len(tally.pick_s) < 2:
        return None
    done, picks = tally.fates[Fate.DONE], quantiles(tally.pick_s, n=100)
    return Sample(done, used_s, wall_s, own_s, picks[49], picks[98])


def costs_of(turns: Sequence[Sequence[Sample]]) -> tuple[Cost, ...]:
    """Costs of each server by rounds of turns, one per server."""
    return tuple(_cost([(one[server], one[0]) for one in turns]) for server in range(len(turns[0])))


def _cost(pairs: Sequence[tuple[Sample, Sample]]) -> Cost:
    samples = [sample for sample, _ in pairs]
    costs_us = [sample.cost_s * 1e6 for sample in samples]
    return Cost(
        cpu_us=median(costs_us),
        low_us=min(costs_us),
        high_us=max(costs_us),
        ratio=median(sample.cost_s / first.cost_s for sample, first in pairs),
        busy=median(sample.cpu_s / sample.wall_s for sample in samples),
        generator_us=median(sample.generator_cpu_s / sample.exchanges * 1e6 for sample in samples),
        pick_p50_ms=median(sample.pick_p50_s * 1e3 for sample in samples),
        pick_p99_ms=median(sample.pick_p99_s * 1e3 for sample in samples),
    )
