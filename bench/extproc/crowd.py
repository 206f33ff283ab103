"""Very many streams at once: what becomes of them, and how long the last one waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.extproc.comparison import CONNECTIONS
from bench.extproc.exchanges import exchange
from bench.extproc.player import connected, play_bursts
from bench.extproc.runs import Fate
from bench.extproc.servers import Server

__all__ = ["Crowd", "play_crowd"]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of a crowd."""

    server: str
    streams: int
    fates: dict[Fate, int]
    seconds: float
    """Until all were over."""
    pick_p50_s: float
    last_pick_s: float


async def play_crowd(servers: Sequence[Server], streams: int) -> list[Crowd]:
    """Begins all exchanges in one go, on each server in turn."""
    crowds = []
    for server in servers:
        async with connected(server.port, CONNECTIONS) as wires:
            began = time.perf_counter()
            tally = await play_bursts(wires, exchange(4_096, 1), outstanding=streams, total=streams)
            picks = sorted(tally.pick_s) or [float("nan")]
            seconds = time.perf_counter() - began
            crowds.append(Crowd(server.name, streams, tally.fates, seconds, picks[len(picks) // 2], picks[-1]))
    return crowds
