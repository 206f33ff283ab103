"""`no-hit-lru-scorer`: cold prompts go round, least recently used endpoint first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.spec_column import SpecColumn
from epp.scheduling.plugins.validation import more_than
from epp.scheduling.types import Placement, Values
from epp.scheduling.view import View

__all__ = ["NoHitLruScorer"]


@dataclass(slots=True)
class NoHitLruScorer:
    """0.5 for all when any candidate holds some of the prompt; else by rank, 1.0 down to 0. Source: `nohitlru`.

    Ranks: endpoints that never got a cold request first, then by the time of the last one. Differs from the Go
    picker: ranks count candidates only, so that endpoints which left do not press the others' scores to 0; a size of
    0 or less is refused.
    """

    lru_size: int = 1024
    """Endpoints that are remembered."""
    prefix_match_info_producer_name: str = ""
    """Without effect: there is one prefix index."""
    prefix_plugin_type: str = ""
    """Without effect, as in the Go picker."""
    prefix_plugin_name: str = ""
    """Without effect likewise."""
    _last_cold: OrderedDict[str, int] = field(init=False, repr=False)
    """When each address last got a cold request, on a clock that counts them; oldest first."""
    _clock: int = field(init=False, repr=False)
    _stamps: SpecColumn[int, np.int64] = field(init=False, repr=False)
    """The same by row; 0 for never."""
    _cold: InferenceRequest | None = field(init=False, repr=False)
    """The request scored last, if it was cold, until it is placed."""

    def __post_init__(self) -> None:
        more_than("lruSize", self.lru_size, 0)
        self._last_cold = OrderedDict()
        self._clock = 0
        self._cold = None
        self._stamps = SpecColumn(lambda spec: self._last_cold.get(spec.address, 0), 0, np.int64)

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,) in [0, 1]."""
        cold = not view.matched_blocks.any()
        self._cold = request if cold else None
        if not cold:
            return np.full(len(view), 0.5)
        scores = np.empty(len(view))
        scores[np.argsort(self._stamps.of(view), kind="stable")] = np.linspace(1.0, 0.0, len(view))
        return scores

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> None:  # noqa: ARG002
        """A cold request makes its endpoint the most recently used."""
        if request is not self._cold:
            return
        self._cold = None
        self._clock += 1
        self._last_cold[placement.address] = self._clock
        self._last_cold.move_to_end(placement.address)
        self._stamps.put(placement.address, self._clock)
        if len(self._last_cold) > self.lru_size:
            forgotten, _ = self._last_cold.popitem(last=False)
            self._stamps.put(forgotten, 0)
