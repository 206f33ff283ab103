"""`load-aware-scorer`: short queues first, on a fixed scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import more_than
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["LoadAwareScorer"]


@dataclass(slots=True)
class LoadAwareScorer:
    """0.5 * (1 - min(waiting, threshold) / threshold). Source: llm-d-router `loadaware`.

    Differs from the Go picker: what was placed since the scrape counts as queued, so that idle endpoints are not all
    alike; a threshold of 0 or less is refused, not replaced by the default.
    """

    threshold: int = 128
    """Queued requests from which on the score is 0."""

    def __post_init__(self) -> None:
        more_than("threshold", self.threshold, 0)

    def score(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Float (n,) in [0, 0.5]."""
        return 0.5 * (1.0 - np.minimum(view.expected_waiting, self.threshold) / self.threshold)
