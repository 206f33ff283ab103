"""`kv-cache-utilization-scorer`: the emptiest KV cache first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["KvCacheUtilizationScorer"]


@dataclass(slots=True)
class KvCacheUtilizationScorer:
    """1 - share of the KV cache in use. Source: llm-d-router `kvcacheutilization`.

    Differs from the Go picker: what was placed since the scrape counts, and old or missing metrics fade to the fullest
    cache of the pool instead of reading as empty.
    """

    def score(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Float (n,) in [0, 1]."""
        return np.clip(1.0 - view.expected_kv_usage, 0.0, 1.0)
