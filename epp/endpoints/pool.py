"""All that is known of one pool's endpoints, and the one place where news about them come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from epp.endpoints.adapters import AdapterLedger
from epp.endpoints.freshness import Freshness, FreshnessSettings
from epp.endpoints.health import Health, HealthSettings
from epp.endpoints.ledger import Ledger
from epp.endpoints.models import ModelCatalog
from epp.endpoints.rates import Rates, TokenEstimates
from epp.endpoints.table import Change, EndpointTable, Row
from epp.endpoints.types import EndpointSpec, ModelCard, Scrape

__all__ = ["CacheListener", "EndpointPool", "PoolSettings"]

_CROWDED = 2.0
"""Times the mean load, beyond which limits of slow starters and busy endpoints are passed over."""

TICK_S = 0.25
"""How often time-driven state (fading, slow start, ejections) is brought up to date."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Settings of the pool's parts."""

    freshness: FreshnessSettings = FreshnessSettings()
    health: HealthSettings = HealthSettings()
    max_charge_age_s: float = 7200.0
    """A request that is under way for longer than this no longer counts as load."""


class CacheListener(Protocol):
    """Who keeps account of the endpoints' prefix caches."""

    def cache_lost(self, row: Row) -> None:
        """The endpoint left or restarted."""
        ...

    def cache_size_seen(self, row: Row, tokens: float | None) -> None:
        """How much an endpoint's cache holds; None for a new one, of which it is not known."""
        ...


class EndpointPool:
    """The endpoints of one pool."""

    def __init__(self, settings: PoolSettings, caches: CacheListener) -> None:
        self.table = EndpointTable()
        self.adapters = AdapterLedger(self.table)
        self.ledger = Ledger(self.table, self.adapters, settings.max_charge_age_s)
        self.freshness = Freshness(self.table, self.ledger, settings.freshness)
        self.health = Health(self.table, settings.health)
        self.rates = Rates(self.table)
        self.estimates = TokenEstimates()
        self.models = ModelCatalog(self.table)
        self._caches = caches
        self._last_scrapes: dict[Row, Scrape] = {}
        self._ticked_at = float("-inf")

    def replace(self, specs: Iterable[EndpointSpec], now: float) -> Change:
        """Takes the complete current set of endpoints."""
        change = self.table.replace(specs, now)
        for row in change.removed:
            self._lose(row)
            self.health.removed(row)
            self.rates.forget(row)
            self.models.forget(row)
        for row in change.added:
            self.health.added(row, now)
            self._caches.cache_size_seen(row, None)
        self.rates.refresh(force=True)
        return change

    def scraped(self, address: str, scrape: Scrape, asked_at: float, now: float) -> None:
        """A metrics page of an endpoint. One that has left in the meantime is ignored, here and below."""
        row = self.table.row_of(address)
        if row is None:
            return
        if self._has_restarted(row, scrape):
            self._lose(row)
        self._last_scrapes[row] = scrape
        self.freshness.scraped(row, scrape, asked_at, now)
        if scrape.capacity_tokens:
            self._caches.cache_size_seen(row, scrape.capacity_tokens)
        self.health.scraped(row, ok=True, asleep=scrape.asleep, now=now)
        if scrape.adapters is not None:
            self.adapters.scraped(row, scrape.adapters)

    def scrape_failed(self, address: str, *, unreadable: bool = False, now: float) -> None:
        """A metrics page could not be had. One that came but cannot be read only lets the last values age."""
        row = self.table.row_of(address)
        if row is not None and not unreadable:
            self.health.scraped(row, ok=False, now=now)

    def health_seen(self, address: str, *, healthy: bool, now: float) -> None:
        """A health probe was answered, or not."""
        if (row := self.table.row_of(address)) is not None:
            self.health.probed(row, healthy=healthy, now=now)

    def models_seen(self, address: str, cards: tuple[ModelCard, ...] | None, now: float) -> None:  # noqa: ARG002
        """An endpoint's list of models; None when its server has none to give."""
        if (row := self.table.row_of(address)) is not None:
            self.models.seen(row, cards)

    def candidates(self, allowed: NDArray[np.bool_] | None) -> Iterator[NDArray[np.int64]]:
        """Rows to choose from within `allowed` (None: all): first the best class that is not empty, then wider ones,
        for when filters leave nothing of it. Nothing at all when nothing is allowed.

        Classes: usable and within their limits; usable; reachable, where only scrapes fail; any.
        """
        columns, rows = self.table.columns, self.table.live_rows
        if allowed is not None:
            rows = rows[allowed[rows]]
        usable = columns.usable[rows]
        welcome = usable & (columns.requests[rows] < columns.request_limit[rows])
        if welcome.all():
            if len(rows):
                yield rows
            return
        if welcome.any() and not self._crowded(rows[welcome], rows[usable]):
            yield rows[welcome]
        tried = int(welcome.sum())
        for wider in (usable, columns.reachable[rows], np.ones(len(rows), np.bool_)):
            if (size := int(wider.sum())) > tried:
                tried = size
                yield rows[wider]

    def _crowded(self, welcome: NDArray[np.int64], usable: NDArray[np.int64]) -> bool:
        """Limits send too much to those without: better an endpoint that has just started than one that drowns."""
        requests = self.table.columns.requests
        return bool(requests[welcome].min() > _CROWDED * (1.0 + requests[usable].mean()))

    def _has_restarted(self, row: Row, scrape: Scrape) -> bool:
        """Another start time than before, or cumulative counters that fell: the server begins with an empty cache."""
        last = self._last_scrapes.get(row)
        if last is None:
            return False
        if scrape.start_time is not None and last.start_time is not None:
            return scrape.start_time != last.start_time
        if scrape.processed_tokens is not None and last.processed_tokens is not None:
            return scrape.processed_tokens < last.processed_tokens
        return False

    def tick(self, now: float) -> None:
        """Does what time asks for."""
        self.ledger.tick(now)
        if now - self._ticked_at >= TICK_S:
            self._ticked_at = now
            self.freshness.fade(now)
            self.health.tick(now)
            self.rates.refresh()

    def wake_at(self) -> float:
        """When `tick` should be called next."""
        due = self.ledger.wake_at()
        return self._ticked_at + TICK_S if due is None else min(due, self._ticked_at + TICK_S)

    def _lose(self, row: Row) -> None:
        self._last_scrapes.pop(row, None)
        self.adapters.forget(row)
        self._caches.cache_lost(row)
