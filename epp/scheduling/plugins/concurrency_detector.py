"""`concurrency-detector`, as a filter: endpoints with fewer requests or tokens in flight than a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, more_than, one_of
from epp.scheduling.types import Mask
from epp.scheduling.view import View

__all__ = ["ConcurrencyDetector", "ConcurrencyMode"]

ConcurrencyMode = Literal["requests", "tokens", "hybrid"]


@dataclass(slots=True)
class ConcurrencyDetector:
    """Keeps load < limit; all when that leaves none. Source: llm-d-router `concurrency`.

    A limit is the maximum times (1 + headroom), rounded down. Load: requests under way, or uncached prompt tokens in
    flight; `hybrid` takes both. Differs from the Go picker: a full pool is used all the same, where there a request
    could be dispatched and then find every endpoint filtered; what others have placed counts as far as scrapes show
    it.
    """

    max_concurrency: int = 100
    """Requests."""
    headroom: float = 0.0
    """Share by which the limits exceed the maximums."""
    concurrency_mode: ConcurrencyMode = "requests"
    """What is counted."""
    max_token_concurrency: int = 1_000_000
    """Tokens."""
    in_flight_load_producer_name: str = ""
    """Without effect: there is one ledger."""

    def __post_init__(self) -> None:
        more_than("maxConcurrency", self.max_concurrency, 0)
        at_least("headroom", self.headroom, 0)
        one_of("concurrencyMode", self.concurrency_mode, get_args(ConcurrencyMode))
        more_than("maxTokenConcurrency", self.max_token_concurrency, 0)

    def keep(self, request: InferenceRequest, view: View) -> Mask:  # noqa: ARG002
        """Boolean (n,), never all False."""
        mask = np.ones(len(view), np.bool_)
        if self.concurrency_mode != "tokens":
            mask &= view.outstanding < int(self.max_concurrency * (1.0 + self.headroom))
        if self.concurrency_mode != "requests":
            mask &= view.backlog_tokens < int(self.max_token_concurrency * (1.0 + self.headroom))
        return mask if mask.any() else np.ones(len(view), np.bool_)
