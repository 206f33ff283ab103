"""What a comparison says, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from epp.reports.sheets import clean, number
from epp.reports.statistics import Estimate, Verdict
from epp.reports.summaries import Summary, badness, best_of

__all__ = ["verdict"]

_MEASURE = "ttft_mean_s"


def verdict(policies: Sequence[Summary], oracles: Collection[str] = ()) -> str:
    """Which policy has the lowest mean TTFT on a case, by how much, and whether that is beyond the 95 % interval."""
    real = [policy for policy in policies if policy.policy not in oracles]
    best = best_of(real, _MEASURE)
    if best is None:
        return "No call was answered under any policy."
    others = sorted((one for one in real if one is not best and _known(one)), key=lambda one: badness(one, _MEASURE))
    words = [f"{clean(best.policy)} has the lowest mean time to the first token, {_seconds(best.estimate(_MEASURE))}"]
    if others:
        words.append(_next(best, others))
    if len(others) > 1:
        words.append(f"{clean(others[-1].policy)} is the slowest, {_times(others[-1], best)}")
    words += [
        f"{clean(oracle.policy)}, which knows what no picker can know, needs {_times(oracle, best)}"
        for oracle in policies
        if oracle.policy in oracles and _known(oracle)
    ]

    return f"{'; '.join(words)}."


def _next(best: Summary, others: Sequence[Summary]) -> str:
    tied = [one for one in others if one.compare(best, _MEASURE).verdict is Verdict.EQUAL]
    if tied:
        return f"within the 95 % interval of it: {', '.join(clean(one.policy) for one in tied)}"
    compared = others[0].compare(best, _MEASURE)
    sure = "with one seed, nothing is sure" if compared.verdict is Verdict.UNKNOWN else "beyond the 95 % interval"
    return f"{clean(others[0].policy)} comes next, {_times(others[0], best)} ({sure})"


def _times(one: Summary, best: Summary) -> str:
    ratio = one.compare(best, _MEASURE).ratio
    return f"{ratio.mean:.2f}{_interval(ratio, 2)} times as long"


def _seconds(value: Estimate) -> str:
    decimals = len(number(value.mean).partition(".")[2])
    return f"{number(value.mean)}{_interval(value, decimals)} s"


def _interval(value: Estimate, decimals: int) -> str:
    return f" ±{value.half_width:.{decimals}f}" if math.isfinite(value.half_width) else ""


def _known(summary: Summary) -> bool:
    return math.isfinite(summary.estimate(_MEASURE).mean)
