"""`token-load-scorer`: the least prefill work in front first, this request's own included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import more_than
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["TokenLoadScorer"]


@dataclass(slots=True)
class TokenLoadScorer:
    """1 - min(tokens, threshold) / threshold. Source: llm-d-router `tokenload`.

    `tokens`: uncached prompt tokens in flight, and those that this request would add there. Differs from the Go
    picker: work counts from the decision on; requests of others that wait count too, at the mean size of ours; a
    threshold of 0 or less is refused.
    """

    queue_threshold_tokens: int = 4_194_304
    """Tokens from which on the score is 0: 128 requests of 32 Ki tokens."""
    in_flight_load_producer_name: str = ""
    """Without effect: there is one ledger."""

    def __post_init__(self) -> None:
        more_than("queueThresholdTokens", self.queue_threshold_tokens, 0)

    def score(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Float (n,) in [0, 1]."""
        tokens = view.backlog_tokens + view.uncached_tokens
        return 1.0 - np.minimum(tokens, self.queue_threshold_tokens) / self.queue_threshold_tokens
