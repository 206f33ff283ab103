"""`active-request-scorer`: the fewest requests under way first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, within
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["ActiveRequestScorer"]


@dataclass(slots=True)
class ActiveRequestScorer:
    """1 when idle, else (max - requests) / max * maxBusyScore. Source: llm-d-router `activerequest`.

    Differs from the Go picker: requests count from the decision on, so that two decisions at one time see each other;
    requests of others count too, as far as scrapes show them, so that neither a second replica's work nor an
    endpoint of unknown load looks idle; parameters out of range are refused, not replaced.
    """

    idle_threshold: int = 0
    """Requests up to which an endpoint counts as idle."""
    max_busy_score: float = 1.0
    """Best score of an endpoint that is not idle, 0 to 1."""
    request_timeout: str = ""
    """Without effect, as in the Go picker: the ledger knows when requests end."""
    in_flight_load_producer_name: str = ""
    """Without effect: there is one ledger."""

    def __post_init__(self) -> None:
        at_least("idleThreshold", self.idle_threshold, 0)
        within("maxBusyScore", self.max_busy_score, 0, 1)

    def score(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Float (n,) in [0, 1]."""
        active = view.outstanding
        most = active.max()
        if most <= self.idle_threshold:
            return np.ones(len(view))
        return np.where(active <= self.idle_threshold, 1.0, (most - active) / most * self.max_busy_score)
