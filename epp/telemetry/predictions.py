"""Counts how well decisions predicted what replies then reported: cached tokens, and the time to the first token.

A reply of another endpoint than the pick says nothing about the prediction, and is passed over.
"""

from __future__ import annotations

from epp.router import DecisionRecord
from epp.scheduling import Outcome
from epp.telemetry import catalogue
from epp.telemetry.families import Histogram, Page

__all__ = ["Predictions"]


class Predictions:
    """Counts of one pool."""

    def __init__(self) -> None:
        self._predicted_tokens = 0.0
        self._observed_tokens = 0
        self._compared_tokens = 0
        self._hit_error = Histogram(catalogue.HIT_ERROR)
        self._predicted_ttft_s = 0.0
        self._observed_ttft_s = 0.0
        self._ttft_ratio = Histogram(catalogue.TTFT_RATIO)

    def compare(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over."""
        if record.served:
            return
        if outcome.cached_tokens is not None:
            self._hits(record.decision.placements[0].matched_tokens, outcome.cached_tokens, outcome.prompt_tokens or 0)
        if outcome.time_to_first_token_s is not None:
            self._predicted_ttft_s += record.predicted_ttft_s
            self._observed_ttft_s += outcome.time_to_first_token_s
            self._ttft_ratio.observe(outcome.time_to_first_token_s / record.predicted_ttft_s)

    def collect(self, page: Page, pool: str) -> None:
        """Adds all."""
        page.add(catalogue.PREDICTED_TOKENS, (pool,), self._predicted_tokens)
        page.add(catalogue.OBSERVED_TOKENS, (pool,), self._observed_tokens)
        page.add(catalogue.COMPARED_TOKENS, (pool,), self._compared_tokens)
        page.add(catalogue.HIT_ERROR, (pool,), self._hit_error)
        page.add(catalogue.PREDICTED_TTFT, (pool,), self._predicted_ttft_s)
        page.add(catalogue.OBSERVED_TTFT, (pool,), self._observed_ttft_s)
        page.add(catalogue.TTFT_RATIO, (pool,), self._ttft_ratio)

    def _hits(self, predicted: float, observed: int, prompt: int) -> None:
        self._predicted_tokens += predicted
        self._observed_tokens += observed
        self._compared_tokens += prompt
        if prompt > 0:
            self._hit_error.observe(min(1.0, abs(predicted - observed) / prompt))
