"""Places a request: candidates, what they hold of its prompt, a profile's choice, and the notes to explain it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointPool, Row
from epp.prefix import PrefixIndex
from epp.requests import InferenceRequest
from epp.scheduling.features import Features
from epp.scheduling.profile import Profile, least_loaded
from epp.scheduling.trace import Kind, Trace
from epp.scheduling.types import Decision, Placement, Refusal
from epp.scheduling.view import View

__all__ = ["Restriction", "Scheduler"]

Restriction = tuple[str, NDArray[np.bool_]]
"""A name for explanations, and which table rows are allowed."""


class Scheduler:
    """Chooses endpoints of one pool. The profile may be replaced at any time; the rest is the pool's state."""

    def __init__(self, pool: EndpointPool, index: PrefixIndex, profile: Profile, rng: np.random.Generator) -> None:
        self.profile = profile
        self._pool = pool
        self._index = index
        self._rng = rng
        self._zeros = np.zeros(0, np.int64)

    def schedule(
        self, request: InferenceRequest, features: Features, restrictions: Sequence[Restriction], now: float
    ) -> Decision | Refusal:
        """The decision by the profile."""
        view = self._view(features, restrictions, now)
        if not len(view):
            return Refusal.NO_ENDPOINTS
        rows = self.profile.run(request, view)
        return self._decision(rows, view) if len(rows) else Refusal.FILTERED

    def by_load(
        self, features: Features, restrictions: Sequence[Restriction], now: float, note: str
    ) -> Decision | Refusal:
        """A decision by the number of requests under way alone: for when there is no time for more."""
        view = self._view(features, restrictions, now)
        if not len(view):
            return Refusal.NO_ENDPOINTS
        view.trace.note = note
        values = least_loaded(view)
        view.trace.step(Kind.TOTAL, "least-loaded", view.rows, values)
        best = np.flatnonzero(values == values.max())
        return self._decision(view.rows[best[[self._rng.integers(len(best))]]], view)

    def _view(self, features: Features, restrictions: Sequence[Restriction], now: float) -> View:
        table = self._pool.table
        trace = Trace(table.addresses, table.live_rows, features.prompt_tokens, features.output_tokens)
        allowed: NDArray[np.bool_] | None = None
        for name, mask in restrictions:
            trace.step(Kind.FILTER, name, table.live_rows, mask[table.live_rows])
            allowed = mask if allowed is None else allowed & mask
        rows = self._pool.candidates(allowed)
        if len(rows) < len(table.live_rows):
            trace.step(Kind.FILTER, "available", table.live_rows, np.isin(table.live_rows, rows))
        matched = self._index.match(features.chain, table.size) if features.chain else None
        return View(
            self._pool,
            rows,
            features,
            self._nothing(table.size) if matched is None else matched,
            any_matched=matched is not None,
            now=now,
            rng=self._rng,
            trace=trace,
        )

    def _nothing(self, size: int) -> NDArray[np.int64]:
        """Zeros by row, which nobody writes into."""
        if len(self._zeros) != size:
            self._zeros = np.zeros(size, np.int64)
            self._zeros.flags.writeable = False
        return self._zeros

    def _decision(self, rows: NDArray[np.int64], view: View) -> Decision:
        table, features = self._pool.table, view.features
        row = Row(int(rows[0]))
        view.trace.picked = rows
        view.trace.tokens_per_block = features.tokens_per_block
        view.trace.blocks_by_row = view.blocks_by_row
        trusted = features.tokens_per_block * float(table.columns.cache_trust[row])
        matched = min(features.prompt_tokens, int(view.blocks_by_row[row]) * trusted)
        placement = Placement(
            profile=self.profile.name,
            ref=table.ref(row),
            address=table.addresses[row],
            matched_tokens=matched,
            uncached_tokens=features.prompt_tokens - matched,
            context_tokens=features.prompt_tokens + features.output_tokens,
        )
        addresses = table.addresses
        return Decision((placement,), tuple(addresses[other] for other in rows.tolist()), view.trace)
