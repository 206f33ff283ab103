"""Brings what servers say together with what has been placed since, and lets old sayings fade.

Reconciling: a page shows all requests of a server, ours and others'. What goes beyond ours at the time of the scrape
is foreign; ours are in the ledger anyway, up to date. So nothing is counted twice and nothing is invisible between two
scrapes.

Fading: values older than `stale_after_s` move to the worst of the pool within `fade_s`. A server that cannot be asked
is more likely dead or drowning than idle; one that was never asked starts at the worst.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epp.endpoints.ledger import Ledger
from epp.endpoints.table import EndpointTable
from epp.endpoints.types import Scrape

__all__ = ["Freshness", "FreshnessSettings"]

_FADING = (("running_seen", "running_base"), ("waiting_seen", "waiting_base"), ("kv_usage_seen", "kv_usage_base"))


@dataclass(frozen=True, slots=True)
class FreshnessSettings:
    """When metrics are old."""

    stale_after_s: float = 2.0
    """`--metrics-staleness-threshold` of the Go picker."""
    fade_s: float = 8.0


class Freshness:
    """Keeps the `_seen` and `_base` columns of one table, and what follows from them."""

    def __init__(self, table: EndpointTable, ledger: Ledger, settings: FreshnessSettings) -> None:
        self._table = table
        self._ledger = ledger
        self._settings = settings

    def scraped(self, row: int, scrape: Scrape, asked_at: float, now: float) -> None:
        """Takes what a page says; what it does not say stays as it was."""
        columns = self._table.columns
        for name in ("running", "waiting", "kv_usage"):
            value = getattr(scrape, name)
            if value is not None:
                getattr(columns, f"{name}_seen")[row] = value
                getattr(columns, f"{name}_base")[row] = value
        for name in ("capacity_tokens", "block_size", "max_loras"):
            value = getattr(scrape, name)
            if value is not None:
                getattr(columns, name)[row] = value
        columns.scraped_at[row] = now
        columns.requests_at_scrape[row] = self._ledger.requests_at(row, asked_at)
        self._derive(np.array([row]))

    def fade(self, now: float) -> None:
        """Ages what is stale. To be called a few times a second."""
        columns, live = self._table.columns, self._table.live_rows
        age = now - columns.scraped_at[live]
        stale = live[age > self._settings.stale_after_s]
        if not stale.size or not np.isfinite(columns.scraped_at[live]).any():
            return
        past = (now - columns.scraped_at[stale] - self._settings.stale_after_s) / self._settings.fade_s
        share = np.clip(past, 0.0, 1.0)
        for seen_name, base_name in _FADING:
            seen, base = getattr(columns, seen_name), getattr(columns, base_name)
            worst = seen[live].max()
            base[stale] = seen[stale] + share * np.maximum(0.0, worst - seen[stale])
        self._derive(stale)

    def _derive(self, rows: NDArray[np.int64]) -> None:
        """Columns that follow from what was said."""
        columns = self._table.columns
        waiting, capacity = columns.waiting_base[rows], columns.capacity_tokens[rows]
        foreign = np.maximum(0.0, columns.running_base[rows] + waiting - columns.requests_at_scrape[rows])
        columns.foreign_requests[rows] = foreign
        columns.foreign_waiting[rows] = np.minimum(waiting, foreign)
        columns.kv_tokens[rows] = columns.kv_usage_base[rows] * np.where(np.isfinite(capacity), capacity, 0.0)
