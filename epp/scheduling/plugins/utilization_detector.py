"""`utilization-detector`, as a filter: endpoints with a short queue and room in the KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, more_than, one_of, seconds_of
from epp.scheduling.types import Mask
from epp.scheduling.view import View

__all__ = ["StalenessPolicy", "UtilizationDetector"]

StalenessPolicy = Literal["saturated", "ignore"]


@dataclass(slots=True)
class UtilizationDetector:
    """Keeps waiting < queue limit and KV usage < KV limit; all when that leaves none. Source: `utilization`.

    A limit is its threshold times (1 + headroom). Differs from the Go picker: it does not throw out endpoints whose
    metrics are old, which stops whole pools there; old metrics fade to the pool's worst.
    """

    queue_depth_threshold: int = 5
    """Waiting requests."""
    kv_cache_util_threshold: float = 0.8
    """Share of the KV cache, above 0 up to 1."""
    metrics_staleness_threshold: str = "200ms"
    """Duration as Go writes it (`500ms`, `1m30s`). Without effect: the View fades old metrics."""
    staleness_policy: StalenessPolicy = "saturated"
    """Without effect likewise."""
    headroom: float = 0.0
    """Share by which the limits exceed the thresholds."""
    in_flight_load_producer_name: str = ""
    """Without effect: there is one ledger."""

    def __post_init__(self) -> None:
        more_than("queueDepthThreshold", self.queue_depth_threshold, 0)
        if not 0 < self.kv_cache_util_threshold <= 1:
            raise ValueError(
                f"kvCacheUtilThreshold is {self.kv_cache_util_threshold}; it must be more than 0 and at most 1"
            )
        more_than(
            "metricsStalenessThreshold", seconds_of("metricsStalenessThreshold", self.metrics_staleness_threshold), 0
        )
        one_of("stalenessPolicy", self.staleness_policy, get_args(StalenessPolicy))
        at_least("headroom", self.headroom, 0)

    def keep(self, request: InferenceRequest, view: View) -> Mask:  # noqa: ARG002
        """Boolean (n,), never all False."""
        relaxed = 1.0 + self.headroom
        mask: Mask = (view.waiting < self.queue_depth_threshold * relaxed) & (
            view.kv_usage < self.kv_cache_util_threshold * relaxed
        )
        return mask if mask.any() else np.ones(len(view), np.bool_)

    def remarks(self) -> tuple[str, ...]:
        """What stands in for the limit on the age of metrics."""
        if self.metrics_staleness_threshold == "200ms" and self.staleness_policy == "saturated":
            return ()
        return ("metricsStalenessThreshold and stalenessPolicy have no effect: old metrics fade to the pool's worst",)
