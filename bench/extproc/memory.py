"""Memory: of a picker over very many requests that all differ, and of the prefix index alone.

    python -m bench.extproc.memory

prints, as JSON, what the index takes for a million entries; it runs in a process of its own because only there the
growth of the process is the index's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.extproc.comparison import CONNECTIONS, OUTSTANDING
from bench.extproc.exchanges import Reply, exchange
from bench.extproc.player import connected, play_bursts
from bench.extproc.servers import BenchError, Server
from bench.extproc.usage import cpu_s, rss_bytes
from epp.prefix import BLOCK_BYTES, PrefixIndex, chain_of

__all__ = ["IndexSize", "Soak", "index_size", "measure_index", "soak"]

_STEPS = 20
"""Readings of memory in a soak."""

_PROMPT_BYTES = 4_096
_SHARED_BYTES = _PROMPT_BYTES // 2


@dataclass(frozen=True, slots=True)
class Soak:
    """Memory of a picker while it served."""

    requests: int
    rss: tuple[tuple[int, int], ...]
    """Requests served, and bytes held then."""
    cpu_us: float
    """Per request."""


@dataclass(frozen=True, slots=True)
class IndexSize:
    """What the index takes."""

    entries: int
    """Pairs of a block and an endpoint."""
    own_bytes: int
    """By its own count, which its limit is about."""
    rss_bytes: int
    """By which the process grew."""


async def soak(server: Server, requests: int, show: Callable[[str], None]) -> Soak:
    """Plays as many exchanges with prompts of 4 KB, each with a second half of its own. Raises BenchError."""
    played = exchange(_PROMPT_BYTES, 0, Reply.LEAN)
    rss, used = [(0, rss_bytes(server.pid))], cpu_s(server.pid)
    async with connected(server.port, CONNECTIONS) as wires:
        for step in range(1, _STEPS + 1):
            tally = await play_bursts(wires, played, outstanding=OUTSTANDING, total=requests // _STEPS)
            if not tally.sound:
                raise BenchError(f"{server.name}: not all of {tally.begun} exchanges were answered in full")
            rss.append((step * (requests // _STEPS), rss_bytes(server.pid)))
            show(f"  {rss[-1][0]:>9,} requests  {rss[-1][1] / 2**20:.1f} MiB")
    return Soak(rss[-1][0], tuple(rss), (cpu_s(server.pid) - used) / rss[-1][0] * 1e6)


async def measure_index() -> IndexSize:
    """Fills an index with a million entries, in a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdout=PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"filling the index ended with status {process.returncode}")
    return IndexSize(**json.loads(out))


def index_size(entries: int, endpoints: int = 100) -> IndexSize:
    """Fills an index with chats of 4 KB, whose first halves are the same."""
    gc.collect()
    before = rss_bytes(os.getpid())
    index = PrefixIndex(1 << 40)
    shared = os.urandom(_SHARED_BYTES)
    blocks = _PROMPT_BYTES // BLOCK_BYTES
    # Every endpoint holds the shared blocks once, and the others for each of its chats.
    chats = (entries - endpoints * (_SHARED_BYTES // BLOCK_BYTES)) // (blocks - _SHARED_BYTES // BLOCK_BYTES)
    for chat in range(chats):
        index.insert(chain_of((shared, os.urandom(_PROMPT_BYTES - _SHARED_BYTES)), 0), chat % endpoints)
    return IndexSize(index.entries, index.statistics()["bytes"], rss_bytes(os.getpid()) - before)


if __name__ == "__main__":
    print(json.dumps(asdict(index_size(1_000_000))))
