"""Brings what servers say together with what has been placed since, and lets old sayings fade.

Reconciling: a page shows all requests of a server, ours and others'. What goes beyond ours at the time of the scrape
is foreign; ours are in the ledger anyway, up to date. So nothing is counted twice and nothing is invisible between two
scrapes.

Fading: what is older than `stale_after_s` moves within `fade_s` to the worst that fresh, usable endpoints show now. A
server that cannot be asked is more likely dead or drowning than idle; one that was never asked starts at the worst.
Where no endpoint is fresh, none is known to be worse than another: all move to their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from epp.endpoints.ledger import Ledger
from epp.endpoints.table import EndpointTable
from epp.endpoints.types import Scrape

__all__ = ["Freshness", "FreshnessSettings"]

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FreshnessSettings:
    """When metrics are old."""

    stale_after_s: float = 2.0
    """`--metrics-staleness-threshold` of the Go picker. Less than two scrape intervals make healthy endpoints fade."""
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
        if scrape.running is not None:
            columns.running_seen[row] = scrape.running
        if scrape.waiting is not None:
            columns.waiting_seen[row] = scrape.waiting
        if scrape.kv_usage is not None:
            columns.kv_usage_seen[row] = scrape.kv_usage
        if scrape.capacity_tokens is not None:
            columns.capacity_tokens[row] = scrape.capacity_tokens
        if scrape.block_size is not None:
            columns.block_size[row] = scrape.block_size
        if scrape.max_loras is not None:
            columns.max_loras[row] = scrape.max_loras
        columns.scraped_at[row] = now
        columns.requests_at_scrape[row] = self._ledger.requests_at(row, asked_at)
        columns.context_at_scrape[row] = columns.context_tokens[row]
        self._show_one(row)

    def fade(self, now: float) -> None:
        """Ages what is stale. To be called a few times a second."""
        columns, live = self._table.columns, self._table.live_rows
        age = now - columns.scraped_at[live]
        old, known = age > self._settings.stale_after_s, np.isfinite(age)
        if not old.any() or not known.any():
            return
        stale, fresh = live[old], live[~old & columns.usable[live]]
        share = np.clip((age[old] - self._settings.stale_after_s) / max(self._settings.fade_s, 1e-9), 0.0, 1.0)
        self._show(stale)
        if fresh.size:
            self._to_the_worst(stale, share, fresh)
        else:
            self._to_the_mean(stale, share, live[known])
        columns.requests_base[stale] += share * (columns.requests[stale] - columns.requests_base[stale])
        self._derive(stale)

    def _show(self, rows: Rows) -> None:
        """The `_base` columns as the last pages of rows say, and what is foreign by them."""
        columns = self._table.columns
        for name in ("running", "waiting", "kv_usage"):
            getattr(columns, f"{name}_base")[rows] = getattr(columns, f"{name}_seen")[rows]
        columns.requests_base[rows] = columns.requests_at_scrape[rows]
        shown = columns.running_seen[rows] + columns.waiting_seen[rows]
        columns.foreign_requests[rows] = np.maximum(0.0, shown - columns.requests_at_scrape[rows])
        self._derive(rows)

    def _show_one(self, row: int) -> None:
        """`_show` of one row, in plain numbers: a fraction of the time, and servers are asked again and again."""
        columns = self._table.columns
        running, waiting = columns.running_seen.item(row), columns.waiting_seen.item(row)
        usage, capacity = columns.kv_usage_seen.item(row), columns.capacity_tokens.item(row)
        ours = columns.requests_at_scrape.item(row)
        foreign = max(0.0, running + waiting - ours)
        columns.running_base[row] = running
        columns.waiting_base[row] = waiting
        columns.kv_usage_base[row] = usage
        columns.requests_base[row] = ours
        columns.foreign_requests[row] = foreign
        columns.foreign_waiting[row] = min(waiting, foreign)
        columns.kv_tokens[row] = usage * (capacity if isfinite(capacity) else 0.0)

    def _to_the_worst(self, stale: Rows, share: Floats, fresh: Rows) -> None:
        """Only ever upwards: what an endpoint showed last may be worse than that."""
        columns = self._table.columns
        since = columns.requests[fresh] - columns.requests_base[fresh]
        worst = {
            "running_base": np.max(columns.running_base[fresh] + since),
            "waiting_base": np.max(columns.waiting_base[fresh]),
            "kv_usage_base": np.max(columns.kv_usage_base[fresh]),
            "foreign_requests": np.max(columns.requests[fresh] + columns.foreign_requests[fresh])
            - columns.requests[stale],
        }
        for name, target in worst.items():
            column = getattr(columns, name)
            column[stale] += share * np.maximum(0.0, target - column[stale])

    def _to_the_mean(self, stale: Rows, share: Floats, known: Rows) -> None:
        columns = self._table.columns
        for name in ("running_base", "waiting_base", "kv_usage_base", "foreign_requests"):
            column = getattr(columns, name)
            column[stale] += share * (np.mean(column[known]) - column[stale])

    def _derive(self, rows: Rows) -> None:
        """Columns that follow from these."""
        columns = self._table.columns
        capacity = columns.capacity_tokens[rows]
        columns.foreign_waiting[rows] = np.minimum(columns.waiting_base[rows], columns.foreign_requests[rows])
        columns.kv_tokens[rows] = columns.kv_usage_base[rows] * np.where(np.isfinite(capacity), capacity, 0.0)
