"""The figures of one run: latencies, cache hits, balance, service level, cost, prediction quality.

Whatever cannot be known is NaN: no call was answered, no server told its hits, no pod has a price.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from epp.reports.measures import Measure, Unit, higher, lower, plain
from epp.reports.runs import CallResults, Failure, Run
from epp.reports.slo import Slo

__all__ = ["MEASURES", "Figures", "figures_of"]

Floats = NDArray[np.float64]

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Figures:
    """A run in figures. Latencies are those of answered calls; failures count in `failed_share` and in the SLO."""

    calls: int
    answered: int
    failures: Mapping[str, int]
    """Calls that failed, by kind (values of `Failure`)."""
    counters: Mapping[str, float]
    """The run's own, as they came."""
    ttft_mean_s: float = field(metadata=lower("TTFT mean", Unit.SECONDS))
    ttft_p50_s: float = field(metadata=lower("TTFT p50", Unit.SECONDS))
    ttft_p90_s: float = field(metadata=lower("TTFT p90", Unit.SECONDS))
    ttft_p95_s: float = field(metadata=lower("TTFT p95", Unit.SECONDS))
    ttft_p99_s: float = field(metadata=lower("TTFT p99", Unit.SECONDS))
    tpot_mean_s: float = field(metadata=lower("TPOT mean", Unit.SECONDS))
    tpot_p50_s: float = field(metadata=lower("TPOT p50", Unit.SECONDS))
    tpot_p90_s: float = field(metadata=lower("TPOT p90", Unit.SECONDS))
    tpot_p95_s: float = field(metadata=lower("TPOT p95", Unit.SECONDS))
    tpot_p99_s: float = field(metadata=lower("TPOT p99", Unit.SECONDS))
    e2e_mean_s: float = field(metadata=lower("end-to-end mean", Unit.SECONDS))
    e2e_p50_s: float = field(metadata=lower("end-to-end p50", Unit.SECONDS))
    e2e_p90_s: float = field(metadata=lower("end-to-end p90", Unit.SECONDS))
    e2e_p95_s: float = field(metadata=lower("end-to-end p95", Unit.SECONDS))
    e2e_p99_s: float = field(metadata=lower("end-to-end p99", Unit.SECONDS))
    hit_tokens: float = field(metadata=higher("hit tokens", Unit.TOKENS))
    """Prompt tokens that servers found in their caches."""
    hit_share: float = field(metadata=higher("hits", Unit.SHARE))
    """Of the prompt tokens of calls whose servers told."""
    hit_of_ceiling: float = field(metadata=higher("hits of ceiling", Unit.SHARE))
    """Hit tokens against `reusable_tokens`, over calls for which both are known. Above 1 where servers generate what
    later prompts repeat in a way that the ceiling does not know."""
    imbalance_tokens: float = field(metadata=lower("imbalance tokens", Unit.RATIO))
    """Prompt tokens computed: the most of any pod over the mean of all pods; 1 is even. Without hits told, all of a
    prompt counts."""
    imbalance_busy: float = field(metadata=lower("imbalance busy", Unit.RATIO))
    """The same of busy time."""
    slo_share: float = field(metadata=higher("SLO kept", Unit.SHARE))
    """Calls that kept the SLO, of all calls: failures missed it."""
    goodput_per_s: float = field(metadata=higher("goodput", Unit.PER_SECOND))
    """Calls that kept the SLO, per second of the run."""
    failed_share: float = field(metadata=lower("failed", Unit.SHARE))
    gpu_utilisation: float = field(metadata=plain("GPU busy", Unit.SHARE))
    """Busy time of all pods over their time in the run."""
    cost_per_1000: float = field(metadata=lower("cost per 1,000", Unit.DOLLARS))
    """Price of all pods for the whole run, per 1,000 answered calls. Read it beside `ttft_p95_s` and `e2e_p95_s`."""
    prompt_tokens_per_s: float = field(metadata=plain("prompt tokens", Unit.PER_SECOND))
    output_tokens_per_s: float = field(metadata=higher("output tokens", Unit.PER_SECOND))
    predicted_hits_ratio: float = field(metadata=plain("hits expected / seen", Unit.RATIO))
    """Sum of hit tokens that the picker expected over the sum that servers told; 1 is right."""
    predicted_hits_error: float = field(metadata=lower("hits error", Unit.SHARE))
    """Mean of |expected - told| over the prompt's tokens."""
    predicted_ttft_ratio: float = field(metadata=plain("TTFT expected / seen", Unit.RATIO))
    """Median over calls; 1 is right."""
    predicted_ttft_error_s: float = field(metadata=lower("TTFT error p90", Unit.SECONDS))
    """90th percentile of |expected - seen|."""

    def value(self, measure: str) -> float:
        """The figure of that name; see `MEASURES`."""
        return float(getattr(self, MEASURES[measure].name))


MEASURES: Mapping[str, Measure] = {
    one.name: Measure(one.name, *one.metadata["measure"]) for one in fields(Figures) if "measure" in one.metadata
}
"""Every figure that tables, comparisons and plots can show, by the name of its field."""


def figures_of(run: Run, slo: Slo) -> Figures:
    """The figures of a run; O(n log n) in its calls."""
    calls, ok = run.calls, run.calls.ok
    kinds = Counter(failure.value for failure in calls.failure if failure is not Failure.NONE)
    return Figures(
        calls=len(calls),
        answered=int(ok.sum()),
        failures=dict(sorted(kinds.items())),
        counters=dict(run.counters),
        **_latencies("ttft", calls.ttft_s[ok]),
        **_latencies("tpot", calls.tpot_s[ok]),
        **_latencies("e2e", calls.e2e_s[ok]),
        **_hits(calls, ok),
        **_balance(run, ok),
        **_service(run, slo, ok),
        **_cost(run, ok),
        **_predictions(calls, ok),
    )


def _latencies(name: str, values: Floats) -> dict[str, float]:
    known = values[np.isfinite(values)]
    figures = {f"{name}_mean_s": _mean(known)}
    for label, share in _QUANTILES.items():
        figures[f"{name}_{label}_s"] = float(np.quantile(known, share)) if known.size else np.nan
    return figures


def _hits(calls: CallResults, ok: NDArray[np.bool_]) -> dict[str, float]:
    told = ok & (calls.cached_tokens >= 0)
    both = told & (calls.reusable_tokens >= 0)
    hits = float(calls.cached_tokens[told].sum())
    return {
        "hit_tokens": hits if told.any() else np.nan,
        "hit_share": _ratio(hits, calls.prompt_tokens[told].sum()),
        "hit_of_ceiling": _ratio(calls.cached_tokens[both].sum(), calls.reusable_tokens[both].sum()),
    }


def _balance(run: Run, ok: NDArray[np.bool_]) -> dict[str, float]:
    calls = run.calls
    placed = ok & (calls.pod >= 0)
    computed = calls.prompt_tokens[placed] - np.maximum(calls.cached_tokens[placed], 0)
    per_pod = np.bincount(calls.pod[placed], weights=computed, minlength=len(run.pods))
    return {"imbalance_tokens": _peak(per_pod), "imbalance_busy": _peak(run.busy_s)}


def _service(run: Run, slo: Slo, ok: NDArray[np.bool_]) -> dict[str, float]:
    calls = run.calls
    tpot = calls.tpot_s
    kept = ok & (calls.ttft_s <= slo.ttft_s) & (np.isnan(tpot) | (tpot <= slo.tpot_s))
    return {
        "slo_share": _ratio(kept.sum(), len(calls)),
        "goodput_per_s": _ratio(kept.sum(), run.duration_s),
        "failed_share": _ratio((~ok).sum(), len(calls)),
    }


def _cost(run: Run, ok: NDArray[np.bool_]) -> dict[str, float]:
    prices = [pod.price_per_hour for pod in run.pods]
    cost = sum(prices) * run.duration_s / 3600 if prices and min(prices) > 0 else np.nan
    return {
        "gpu_utilisation": _ratio(sum(run.busy_s), len(run.busy_s) * run.duration_s),
        "cost_per_1000": _ratio(cost * 1000, ok.sum()),
        "prompt_tokens_per_s": _ratio(run.calls.prompt_tokens[ok].sum(), run.duration_s),
        "output_tokens_per_s": _ratio(run.calls.output_tokens[ok].sum(), run.duration_s),
    }


def _predictions(calls: CallResults, ok: NDArray[np.bool_]) -> dict[str, float]:
    hits = ok & (calls.cached_tokens >= 0) & (calls.prompt_tokens > 0) & np.isfinite(calls.predicted_cached_tokens)
    expected, told = calls.predicted_cached_tokens[hits], calls.cached_tokens[hits]
    times = ok & (calls.ttft_s > 0) & np.isfinite(calls.predicted_ttft_s)
    predicted, seen = calls.predicted_ttft_s[times], calls.ttft_s[times]
    return {
        "predicted_hits_ratio": _ratio(expected.sum(), told.sum()),
        "predicted_hits_error": _mean(np.abs(expected - told) / calls.prompt_tokens[hits]),
        "predicted_ttft_ratio": float(np.median(predicted / seen)) if seen.size else np.nan,
        "predicted_ttft_error_s": float(np.quantile(np.abs(predicted - seen), 0.9)) if seen.size else np.nan,
    }


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else np.nan


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole > 0 else np.nan


def _peak(work: ArrayLike) -> float:
    """The most over the mean; NaN where there was no work."""
    values = np.asarray(work, np.float64)
    return _ratio(values.max(), values.mean()) if values.size else np.nan
