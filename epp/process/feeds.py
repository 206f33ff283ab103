# ruff: noqa: TID251 - this file is an edge: it runs the tasks that watch the world
"""Brings the world to the router: which endpoints there are, and what is scraped of them.

Until endpoints are known, a source that cannot work is the operator's to mend, and ends the process. From then on
nothing does: what is known stays, and a source or a scraper that fails is started again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np

from epp.config import DiscoverySettings
from epp.endpoints import EndpointSpec
from epp.process.background import Background
from epp.process.errors import StartError
from epp.process.sources import OPERATORS_ERRORS, source_of
from epp.router import Router
from epp.telemetry.scrape_settings import ScrapeSettings
from epp.telemetry.scraper import EndpointStatistics, Scraper

__all__ = ["Feeds"]

log = logging.getLogger(__name__)

DISCOVERY, SCRAPING = "discovery", "scraping"


class Feeds:
    """Discovery and scraping of one pool. Either can be exchanged while the other goes on."""

    def __init__(
        self, router: Router, discovery: DiscoverySettings, scraping: ScrapeSettings, background: Background
    ) -> None:
        """Raises StartError when a file that scraping needs cannot be used."""
        self._router = router
        self._discovery = discovery
        self._scraping = scraping
        self._background = background
        self._specs: Sequence[EndpointSpec] = ()
        self._scraper = self.new_scraper(scraping)
        self._settled = asyncio.Event()
        self._failure: StartError | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._background.keep(SCRAPING, self._scrape)
        self._background.keep(DISCOVERY, self._discover)

    async def wait_known(self) -> None:
        """Returns when the endpoints were read once. Raises StartError when they cannot be."""
        await self._settled.wait()
        if self._failure:
            raise self._failure

    def statistics(self) -> Mapping[str, EndpointStatistics]:
        """Of the scraper, by address."""
        return self._scraper.statistics()

    def new_scraper(self, settings: ScrapeSettings) -> Scraper:
        """A scraper for `exchange_scraping`. Raises StartError when a file that it needs cannot be used."""
        try:
            return Scraper(self._router.pool, settings, time.monotonic, np.random.default_rng())
        except (OSError, ValueError) as error:
            raise StartError(f"scraping: {error}") from error

    async def exchange_scraping(self, settings: ScrapeSettings, scraper: Scraper) -> None:
        """Scrapes by other settings, with the scraper that was made of them."""
        await self._background.end(SCRAPING)
        self._scraping = settings
        self._use(scraper)
        self._background.keep(SCRAPING, self._scrape)

    async def exchange_discovery(self, settings: DiscoverySettings) -> None:
        """Watches other sources from now on; the endpoints stay until the new ones are known."""
        await self._background.end(DISCOVERY)
        self._discovery = settings
        self._background.keep(DISCOVERY, self._discover)

    def _use(self, scraper: Scraper) -> None:
        scraper.set_endpoints(self._specs)
        self._scraper = scraper

    async def _scrape(self) -> None:
        try:
            await self._scraper.run()
        except Exception:  # its state may be what is wrong: the next one begins anew
            self._use(self.new_scraper(self._scraping))
            raise

    async def _discover(self) -> None:
        try:
            await source_of(self._discovery).run(self._publish)
        except Exception as error:
            if self._settled.is_set():
                raise
            mendable = isinstance(error, OPERATORS_ERRORS)
            if not mendable:
                log.exception("discovery failed")
            self._failure = StartError(str(error) if mendable else f"discovery: {error!r}")
            self._settled.set()

    def _publish(self, specs: Sequence[EndpointSpec]) -> None:
        added = {spec.address for spec in specs} - {spec.address for spec in self._specs}
        removed = {spec.address for spec in self._specs} - {spec.address for spec in specs}
        self._specs = specs
        self._router.replace_endpoints(specs, time.monotonic())
        self._scraper.set_endpoints(specs)
        self._settled.set()
        fields = {"endpoints": len(specs), "added": sorted(added)[:20], "removed": sorted(removed)[:20]}
        log.info("endpoints changed", extra=fields)
