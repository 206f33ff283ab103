"""How many pods a workload needs: the fewest with which nearly all requests keep an objective, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["MAX_PODS", "Trial", "fewest_pods"]

MAX_PODS = 1024
"""Beyond it the search gives up."""

_IDLE, _GAIN = 0.1, 0.001
"""Pods that compute for less than a tenth of the time leave hardly a request waiting: when twice as many gained less
than a thousandth of the requests over half as many, what is missing is not pods."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one number of pods achieved."""

    pods: int
    kept: float
    """Share of all requests that kept the objective, 0 to 1."""
    price_per_hour: float
    cost_per_1000: float
    """US dollars for 1,000 answered requests; NaN without prices."""
    busy: float = 1.0
    """Share of the time in which a pod computed, the mean over pods, 0 to 1."""
    kept_each: Mapping[str, float] = field(default_factory=dict)
    """Share of all requests that kept each limit of the objective by itself."""


def fewest_pods(attempt: Callable[[int], Trial], start: int, enough: float) -> tuple[Trial | None, list[Trial]]:
    """The trial with the fewest pods that kept `enough`, and all trials by pods. None when even `MAX_PODS` do not, or
    when pods that are nearly idle do not: then no number of them does.

    More pods are taken to be never worse: the number is doubled until it is enough, and what is below is bisected. Few
    runs are needed: 2 * log2 of the answer.
    """
    tried: dict[int, Trial] = {}

    def is_enough(pods: int) -> bool:
        if pods not in tried:
            tried[pods] = attempt(pods)
        return tried[pods].kept >= enough

    low, high = 0, start
    while not is_enough(high):
        if high >= MAX_PODS or (low and _is_in_vain(tried[low], tried[high])):
            return None, _sorted(tried)
        low, high = high, min(2 * high, MAX_PODS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return tried[high], _sorted(tried)


def _is_in_vain(fewer: Trial, more: Trial) -> bool:
    return more.busy < _IDLE and more.kept - fewer.kept < _GAIN


def _sorted(tried: dict[int, Trial]) -> list[Trial]:
    return [tried[pods] for pods in sorted(tried)]
