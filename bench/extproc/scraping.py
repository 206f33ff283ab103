"""What it costs to watch model servers: an idle picker that scrapes all of them every second, and one that does not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.extproc.servers import Server, ours, pages
from bench.extproc.usage import cpu_s

__all__ = ["Scraping", "measure_scraping"]

_SETTLE_S = 3.0
"""Until all connections are made and the first pages are read."""


@dataclass(frozen=True, slots=True)
class Scraping:
    """Cores that an idle picker uses."""

    endpoints: int
    cores: float
    idle_cores: float
    """Without scraping."""
    seconds: float


async def measure_scraping(endpoints: int, seconds: float) -> Scraping:
    """Measures both, one after the other."""
    async with pages(endpoints) as addresses:
        async with ours(addresses, scraping=True) as server:
            cores = await _cores(server, seconds)
        async with ours(addresses) as server:
            idle_cores = await _cores(server, seconds)
    return Scraping(endpoints, cores, idle_cores, seconds)


async def _cores(server: Server, seconds: float) -> float:
    await asyncio.sleep(_SETTLE_S)
    used, began = cpu_s(server.pid), time.perf_counter()
    await asyncio.sleep(seconds)
    return (cpu_s(server.pid) - used) / (time.perf_counter() - began)
