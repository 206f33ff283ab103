"""Places a request: candidates, what they hold of its prompt, a profile's choice, and the notes to explain it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointPool, Row
from epp.prefix import PrefixIndex
from epp.requests import InferenceRequest
from epp.scheduling.features import Features
from epp.scheduling.profile import Profile, least_loaded
from epp.scheduling.trace import Kind, Trace
from epp.scheduling.types import Decision, Placement, Refusal, RefusalCause
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
        return self._decide(features, restrictions, now, partial(self.profile.run, request))

    def by_load(
        self, request: InferenceRequest, features: Features, restrictions: Sequence[Restriction], now: float, note: str
    ) -> Decision | Refusal:
        """A decision by filters and the number of requests under way alone: for when there is no time for more."""
        return self._decide(features, restrictions, now, partial(self._least_loaded, request, note))

    def _decide(
        self,
        features: Features,
        restrictions: Sequence[Restriction],
        now: float,
        choose: Callable[[View], NDArray[np.int64]],
    ) -> Decision | Refusal:
        """Tries wider classes of candidates as long as filters leave nothing, unless for having too much to do: what
        health keeps apart is no way out of saturation.
        """
        refused: Trace | None = None
        for rows in self._pool.candidates(_all_of(restrictions)):
            view = self._view(rows, features, restrictions, now)
            chosen = choose(view)
            if len(chosen):
                return self._decision(chosen, view)
            refused = view.trace
            if refused.saturated:
                return Refusal(RefusalCause.SATURATED, refused)
        if refused is not None:
            return Refusal(RefusalCause.FILTERED, refused)
        nobody = np.zeros(0, np.int64)
        return Refusal(RefusalCause.NO_ENDPOINTS, self._view(nobody, features, restrictions, now).trace)

    def _least_loaded(self, request: InferenceRequest, note: str, view: View) -> NDArray[np.int64]:
        view.trace.note = note
        view = self.profile.filtered(request, view)
        if not len(view):
            return view.rows
        values = least_loaded(view)
        view.trace.step(Kind.TOTAL, "least-loaded", view.rows, values)
        best = (values == values.max()).nonzero()[0]
        chosen: NDArray[np.int64] = view.rows[best[[self._rng.integers(len(best))]]]
        return chosen

    def _view(
        self, rows: NDArray[np.int64], features: Features, restrictions: Sequence[Restriction], now: float
    ) -> View:
        table = self._pool.table
        trace = Trace(table.addresses, table.live_rows, features.prompt_tokens, features.output_tokens)
        for name, mask in restrictions:
            trace.step(Kind.FILTER, name, table.live_rows, mask[table.live_rows])
        if len(rows) < len(table.live_rows):
            trace.step(Kind.FILTER, "available", table.live_rows, np.isin(table.live_rows, rows))
        matched = self._index.match(features.chain, table.size) if features.chain else None
        trace.blocks_by_row = self._nothing(table.size) if matched is None else matched
        trace.tokens_per_block = features.tokens_per_block
        return View(
            self._pool,
            rows,
            features,
            trace.blocks_by_row,
            any_matched=matched is not None,
            late_reuse=self._index.late_reuse,
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


def _all_of(restrictions: Sequence[Restriction]) -> NDArray[np.bool_] | None:
    allowed: NDArray[np.bool_] | None = None
    for _, mask in restrictions:
        allowed = mask if allowed is None else allowed & mask
    return allowed
