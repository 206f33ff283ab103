"""More arrivals than a picker can serve: what it does then, and what that does to how long picks take.

Capacity is what the picker serves in bursts, where messages come together and cost least; Poisson arrivals of single
messages reach the limit below it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from bench.extproc.comparison import CONNECTIONS, OUTSTANDING
from bench.extproc.exchanges import exchange
from bench.extproc.player import connected, play_bursts, play_paced
from bench.extproc.runs import Fate
from bench.extproc.servers import BenchError, Server
from bench.extproc.usage import cpu_s

__all__ = ["SHARES", "Overload", "capacity_of", "play_overload"]

SHARES = (0.25, 0.5, 1.0, 2.0, 3.0)
"""Arrivals as shares of capacity."""

CHUNKS = 20
"""Of each reply."""

_CAPACITY_S = 3.0
_REST_S = 2.0
"""Between two rates: until what the last one left is over."""


@dataclass(frozen=True, slots=True)
class Overload:
    """What became of arrivals at one rate."""

    share: float
    per_s: float
    """Arrivals per second."""
    fates: dict[Fate, int]
    unanswered: int
    pick_p50_s: float
    pick_p99_s: float
    busy: float
    """Cores that the picker used."""
    generator_busy: float


async def capacity_of(server: Server) -> float:
    """Exchanges per second that a picker serves whole, in bursts. It must not be one that hurries under load."""
    async with connected(server.port, CONNECTIONS) as wires:
        tally = await play_bursts(wires, exchange(4_096, CHUNKS), outstanding=OUTSTANDING, seconds=_CAPACITY_S)
    if not tally.fates[Fate.DONE]:
        raise BenchError(f"{server.name}: of {tally.begun} exchanges none was served whole")
    return tally.fates[Fate.DONE] / _CAPACITY_S


async def play_overload(
    server: Server, capacity: float, seconds: float, shares: Sequence[float], rng: random.Random
) -> list[Overload]:
    """Plays `seconds` of arrivals at each share of a capacity in exchanges per second."""
    played = exchange(4_096, CHUNKS)
    results = []
    async with connected(server.port, CONNECTIONS) as wires:
        for share in shares:
            await asyncio.sleep(_REST_S)
            used, own, began = cpu_s(server.pid), time.process_time(), time.perf_counter()
            tally = await play_paced(wires, played, per_s=share * capacity, seconds=seconds, rng=rng)
            wall_s = time.perf_counter() - began
            if len(tally.pick_s) < 2:
                raise BenchError(f"{server.name}: {tally.begun} exchanges begun, {len(tally.pick_s)} picks made")
            picks = quantiles(tally.pick_s, n=100)
            results.append(
                Overload(
                    share=share,
                    per_s=tally.begun / seconds,
                    fates=dict(tally.fates),
                    unanswered=tally.begun - tally.ended,
                    pick_p50_s=picks[49],
                    pick_p99_s=picks[98],
                    busy=(cpu_s(server.pid) - used) / wall_s,
                    generator_busy=(time.process_time() - own) / wall_s,
                )
            )
    return results
