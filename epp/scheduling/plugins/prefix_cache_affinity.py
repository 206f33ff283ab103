"""`prefix-cache-affinity-filter`: sticky until saturated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.prefix_cache import matched_share
from epp.scheduling.plugins.validation import at_least, more_than, named, one_of, within
from epp.scheduling.types import Mask, Values
from epp.scheduling.view import View

__all__ = ["PrefixCacheAffinityFilter", "TtftSource"]

TtftSource = Literal["prefillThroughput", "latencyPredictor"]

DEFAULT_PEAK_PREFILL_THROUGHPUT = 15_928.0
"""Tokens per second, of Qwen3-32B on two H100 (llm-d-router): for pools whose speed is not known yet."""


@dataclass(slots=True)
class PrefixCacheAffinityFilter:
    """Keeps endpoints that hold the prompt, unless another would answer much earlier. Source: `prefixcacheaffinity`.

    Sticky: the matched share is at least the threshold. Without sticky endpoints all are kept, likewise when the
    best sticky one's time to first token exceeds the best other one's by more than the penalty. Time to first token:
    prefill work in front / prefill throughput. Differs from the Go picker: the throughput is learned per endpoint
    unless it is given, and there is no latency predictor.
    """

    affinity_threshold: float = 0.80
    """0 to 1; 0 switches the filter off."""
    exploration_probability: float = 0.0
    """Share of requests for which all are kept, so that other caches fill too."""
    max_ttft_penalty_ms: float = field(default=18_000.0, metadata=named("maxTTFTPenaltyMs"))
    """0: always stick."""
    ttft_source: TtftSource = "prefillThroughput"
    """`latencyPredictor` is taken for `prefillThroughput`."""
    peak_prefill_throughput: float | None = None
    """Tokens per second. None: learned; 15928 until then, the Go picker's default."""
    prefix_match_info_producer_name: str = ""
    """Without effect: there is one prefix index."""
    latency_prediction_info_producer_name: str = ""
    """Without effect, as there is no latency predictor."""
    in_flight_load_producer_name: str = ""
    """Without effect: there is one ledger."""

    def __post_init__(self) -> None:
        within("affinityThreshold", self.affinity_threshold, 0, 1)
        within("explorationProbability", self.exploration_probability, 0, 1)
        at_least("maxTTFTPenaltyMs", self.max_ttft_penalty_ms, 0)
        one_of("ttftSource", self.ttft_source, get_args(TtftSource))
        if self.peak_prefill_throughput is not None:
            more_than("peakPrefillThroughput", self.peak_prefill_throughput, 0)

    def keep(self, request: InferenceRequest, view: View) -> Mask:
        """Boolean (n,), never all False."""
        everyone = np.ones(len(view), np.bool_)
        if self.affinity_threshold <= 0 or self._explores(view):
            return everyone
        sticky: Mask = matched_share(request, view) >= self.affinity_threshold
        if not sticky.any() or sticky.all() or self._saturated(view, sticky):
            return everyone
        return sticky

    def remarks(self) -> tuple[str, ...]:
        """What stands in for the latency predictor."""
        if self.ttft_source == "prefillThroughput":
            return ()
        return ("ttftSource latencyPredictor: there is none; prefill work over learned prefill throughput is used",)

    def _explores(self, view: View) -> bool:
        return self.exploration_probability > 0 and view.rng.random() < self.exploration_probability

    def _saturated(self, view: View, sticky: Mask) -> bool:
        if not self.max_ttft_penalty_ms:
            return False
        ttft_ms = view.backlog_tokens / self._throughput(view) * 1000
        return bool(ttft_ms[sticky].min() - ttft_ms[~sticky].min() > self.max_ttft_penalty_ms)

    def _throughput(self, view: View) -> Values | float:
        """Tokens per second; where it is not learned, that of the pool's middle endpoint."""
        if self.peak_prefill_throughput is not None:
            return self.peak_prefill_throughput
        learned = view.prefill_rate
        return np.where(learned > 0, learned, view.pool.rates.prefill_rate(DEFAULT_PEAK_PREFILL_THROUGHPUT))
