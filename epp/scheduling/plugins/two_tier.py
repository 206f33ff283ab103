"""`two-tier-cost`: cache first while load is even, load alone when it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.prefix.hashing import HASH_BYTES
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, within
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["TwoTierCost"]


@dataclass(slots=True)
class TwoTierCost:
    """Requests under way; who does not hold the most of the prompt costs more than anybody who does, in one case.

    1. max - min > balanceAbsThreshold and max > balanceRelThreshold * min: the least loaded, whatever it holds.
    2. The best match is more than cacheThreshold of the prompt: the least loaded of those that hold so much.
    3. Else the least loaded.

    Source: SGLang's `cache_aware` with the defaults of its library, and Dynamo's `dynamo-two-tier-cost-fn`. Shares are
    of full blocks. It takes more than 32 requests of difference until load counts, and then the cache does not.
    """

    cache_threshold: float = 0.5
    """Share of the prompt, 0 to 1, that must be matched."""
    balance_abs_threshold: float = 32
    """Difference in requests."""
    balance_rel_threshold: float = 1.1
    """Ratio of requests."""

    def __post_init__(self) -> None:
        within("cacheThreshold", self.cache_threshold, 0, 1)
        at_least("balanceAbsThreshold", self.balance_abs_threshold, 0)
        at_least("balanceRelThreshold", self.balance_rel_threshold, 1)

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Requests, not tokens."""
        requests = view.outstanding
        most, least = float(requests.max()), float(requests.min())
        if most - least > self.balance_abs_threshold and most > self.balance_rel_threshold * least:
            return requests
        if not view.any_matched or not view.features.chain:
            return requests
        matched = view.matched_blocks
        best = int(matched.max())
        if best * HASH_BYTES <= self.cache_threshold * len(view.features.chain):
            return requests
        return np.where(matched == best, requests, requests + (most - least + 1.0))
