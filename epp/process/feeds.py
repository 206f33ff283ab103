# ruff: noqa: TID251 - this file is an edge: it runs the tasks that watch the world
"""Brings the world to the router: which endpoints there are, and what is scraped of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np

from epp.config import DiscoverySettings
from epp.discovery import CombinedSource, EndpointFileError, FileSource, Source, TargetSource
from epp.endpoints import EndpointSpec
from epp.process.errors import StartError
from epp.router import Router
from epp.telemetry.scrape_settings import ScrapeSettings
from epp.telemetry.scraper import EndpointStatistics, Scraper

__all__ = ["Feeds"]

log = logging.getLogger(__name__)


class Feeds:
    """Discovery and scraping of one pool. Either can be exchanged while the other goes on."""

    def __init__(self, router: Router, discovery: DiscoverySettings, scraping: ScrapeSettings) -> None:
        self._router = router
        self._discovery = discovery
        self._scraping = scraping
        self._specs: Sequence[EndpointSpec] = ()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.scraper = self._new_scraper()
        self.known = asyncio.Event()
        """The endpoints were read once."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the error when discovery cannot go on; such a source is wrong from the start."""

    def start(self) -> None:
        """Begins to watch."""
        self._run("scraping", self.scraper.run())
        self._run("discovery", self._discover(self._discovery))

    def statistics(self) -> Mapping[str, EndpointStatistics]:
        """Of the scraper, by address."""
        return self.scraper.statistics()

    async def exchange_scraping(self, settings: ScrapeSettings) -> None:
        """Scrapes by other settings from now on."""
        self._scraping = settings
        await self._end("scraping")
        self.scraper = self._new_scraper()
        self.scraper.set_endpoints(self._specs)
        self._run("scraping", self.scraper.run())

    async def exchange_discovery(self, settings: DiscoverySettings) -> None:
        """Watches other sources from now on; the endpoints stay until the new ones are known."""
        self._discovery = settings
        await self._end("discovery")
        self._run("discovery", self._discover(settings))

    async def stop(self) -> None:
        """Ends all watching."""
        for name in tuple(self._tasks):
            await self._end(name)

    def _publish(self, specs: Sequence[EndpointSpec]) -> None:
        added = {spec.address for spec in specs} - {spec.address for spec in self._specs}
        removed = {spec.address for spec in self._specs} - {spec.address for spec in specs}
        self._specs = specs
        self._router.replace_endpoints(specs, time.monotonic())
        self.scraper.set_endpoints(specs)
        self.known.set()
        fields = {"endpoints": len(specs), "added": sorted(added)[:20], "removed": sorted(removed)[:20]}
        log.info("endpoints changed", extra=fields)

    async def _discover(self, settings: DiscoverySettings) -> None:
        try:
            await source_of(settings).run(self._publish)
        except EndpointFileError as error:
            self._give_up(StartError(str(error)))
        except Exception as error:
            log.exception("discovery failed")
            self._give_up(StartError(f"discovery failed: {error}"))

    def _give_up(self, error: StartError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def _new_scraper(self) -> Scraper:
        return Scraper(self._router.pool, self._scraping, time.monotonic, np.random.default_rng())

    def _run(self, name: str, work: object) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)  # type: ignore[arg-type]

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def source_of(settings: DiscoverySettings) -> Source:
    """The source that settings describe."""
    sources: list[Source] = []
    if settings.targets:
        sources.append(TargetSource(settings.targets, settings.dns))
    if settings.file:
        sources.append(FileSource(settings.file.path, settings.dns, watch=settings.file.watch))
    return sources[0] if len(sources) == 1 else CombinedSource(sources)
