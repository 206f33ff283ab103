"""Closed forms of queueing theory that an engine's behaviour must meet. Times are seconds, rates per second."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = ["hit_share", "mean_present", "mean_wait", "saturated_per_s"]

_NEGLIGIBLE = 1e-12


def mean_wait(rate_per_s: float, service_s: Sequence[float], shares: Sequence[float] = (1.0,)) -> float:
    """Mean time in the queue of M/G/1, whose services take one of `service_s` with the probabilities `shares`.

    One service time makes it M/D/1. Pollaczek and Khinchine: rate * E[S**2] / (2 * (1 - rate * E[S])).
    """
    mean = sum(share * each for share, each in zip(shares, service_s, strict=True))
    second = sum(share * each**2 for share, each in zip(shares, service_s, strict=True))
    assert rate_per_s * mean < 1, "a queue that only grows has no mean"
    return rate_per_s * second / (2 * (1 - rate_per_s * mean))


def mean_present(tokens_per_s: float, step_s: Callable[[int], float], most: float = math.inf) -> float:
    """Mean number of sequences in a batch that takes `step_s(n)` for a token of each of n, and of those that wait.

    Generalised processor sharing (Cohen, 1979): the number of sequences has the probabilities

        p(n) = p(n - 1) * tokens_per_s * step_s(min(n, most)) / min(n, most)

    where `tokens_per_s` is the rate of arrivals times the mean length. Exact for steps that are short beside a
    sequence. Without a bound the distribution of lengths does not matter; with `most` in the batch, the others waiting,
    lengths must be geometric.
    """
    weight, total, weighted, number = 1.0, 1.0, 0.0, 0
    while True:
        number += 1
        served = int(min(number, most))
        factor = tokens_per_s * step_s(served) / served
        weight *= factor
        total += weight
        weighted += number * weight
        if factor < 1 and number * weight < _NEGLIGIBLE * total:
            return weighted / total
        assert number < 1_000_000, "a batch that only grows has no mean"


def saturated_per_s(batch: int, step_s: float, mean_steps: float, mean_work_s: float) -> float:
    """Sequences per second of a batch that is always full.

    `mean_steps`: of a sequence; `mean_work_s`: what it adds to its steps, in sum.
    """
    return batch / (mean_steps * step_s + batch * mean_work_s)


def hit_share(shares: Sequence[float], blocks: int) -> float:
    """Share of prompts that find their block in a cache of least recently used blocks. An approximation.

    Che, Tung and Wang (2002): a document stays for a time T, the same for all, in which the cache is filled. Prompts
    ask for one document each, by `shares`, and need a block of their own besides, which nobody finds again.
    """

    def filled(time: float) -> float:
        return time + sum(-math.expm1(-share * time) for share in shares)

    low, high = 0.0, float(blocks)
    while high - low > _NEGLIGIBLE * blocks:
        middle = (low + high) / 2
        low, high = (middle, high) if filled(middle) < blocks else (low, middle)
    return sum(share * -math.expm1(-share * low) for share in shares)
