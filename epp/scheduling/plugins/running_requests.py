"""`running-requests-size-scorer`: the smallest batch first."""

from __future__ import annotations

from dataclasses import dataclass

from epp.requests import InferenceRequest
from epp.scheduling.plugins.queue import falling
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["RunningRequestsSizeScorer"]


@dataclass(slots=True)
class RunningRequestsSizeScorer:
    """(max - running) / (max - min); 1 when all are equal. Source: llm-d-router `runningrequests`.

    Differs from the Go picker: what was placed or ended since the scrape counts, and old metrics fade to the pool's
    worst.
    """

    def score(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Float (n,) in [0, 1]."""
        return falling(view.running)
