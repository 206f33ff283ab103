"""`queue-scorer`: the shortest queue first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["QueueScorer", "falling"]


def falling(values: Values) -> Values:
    """1 for the lowest value, 0 for the highest, linear between; 1 for all when they are equal."""
    highest, lowest = values.max(), values.min()
    if highest == lowest:
        return np.ones(len(values))
    scores: Values = (highest - values) / (highest - lowest)
    return scores


@dataclass(slots=True)
class QueueScorer:
    """(max - waiting) / (max - min); 1 when all are equal. Source: llm-d-router `queuedepth`.

    Differs from the Go picker: queues grow with what was placed since the scrape, and an endpoint whose metrics are
    old or missing fades to the longest queue of the pool, where there an unknown queue is an empty one.
    """

    def score(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Float (n,) in [0, 1]."""
        return falling(view.expected_waiting)
