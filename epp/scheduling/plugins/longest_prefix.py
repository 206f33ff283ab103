"""`longest-prefix-cost`: who holds most of the prompt, whatever else it has to do. A warning example, not advice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["LongestPrefixCost"]


@dataclass(slots=True)
class LongestPrefixCost:
    """Prompt tokens that the index does not know on an endpoint. Load does not count.

    Where all prompts share their first block all go to one endpoint: whoever gets the first holds it. Source: the
    prefix-aware routing of vLLM's production stack, which has no load term. Matches count in full, however often
    they proved wrong, because learning from that would already be a remedy.
    """

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Tokens of prefill work."""
        features = view.features
        known: Values = np.minimum(view.matched_blocks * features.tokens_per_block, features.prompt_tokens)
        return features.prompt_tokens - known
