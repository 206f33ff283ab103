"""A restart is seen on the pages of a simulated server, also where they have no start time."""

import asyncio
import time

import aiohttp
import numpy as np
import pytest

from epp.endpoints import EndpointPool, EndpointSpec, PoolSettings
from epp.simulator import PodSettings, serve
from epp.telemetry.scrape_settings import ScrapeSettings
from epp.telemetry.scraper import Scraper


class Caches:
    """Counts lost caches."""

    def __init__(self) -> None:
        self.lost = 0

    def cache_lost(self, row: int) -> None:
        self.lost += 1

    def cache_size_seen(self, row: int, tokens: float | None) -> None: ...


@pytest.mark.parametrize("shows_start_time", [True, False])
async def test_a_restart_empties_what_is_known_of_the_cache(shows_start_time: bool) -> None:
    caches = Caches()
    pool = EndpointPool(PoolSettings(), caches)
    async with (
        serve([PodSettings(model="m", speed=1000.0, shows_start_time=shows_start_time)]) as pods,
        aiohttp.ClientSession() as session,
        asyncio.timeout(30),
    ):
        specs = [EndpointSpec(pods[0].address)]
        pool.replace(specs, time.monotonic())
        scraper = Scraper(pool, ScrapeSettings(interval_s=0.05), time.monotonic, np.random.default_rng(1))
        scraper.set_endpoints(specs)
        task = asyncio.create_task(scraper.run())
        try:
            body = {"model": "m", "prompt": "hello " * 50, "max_tokens": 3}
            async with session.post(f"http://{pods[0].address}/v1/completions", json=body) as reply:
                assert reply.status == 200
            served = time.monotonic()
            while pool.table.columns.scraped_at[0] < served + 0.1:  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0.02)
            assert caches.lost == 0
            await pods[0].restart()
            while not caches.lost:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
