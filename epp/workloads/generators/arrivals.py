"""Arrival processes: when calls come. All give ascending times in seconds, from a generator that is passed in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["Times", "bursts", "constant", "gamma", "piecewise", "poisson", "sinusoid"]

Times = NDArray[np.float64]

_GRID = 4096  # points per period of a sinusoid: its integral is exact to a millionth


def constant(rate_per_s: float, count: int) -> Times:
    """One every 1 / rate seconds, the first at 0."""
    return np.arange(count, dtype=np.float64) / rate_per_s


def poisson(rng: Generator, rate_per_s: float, count: int) -> Times:
    """Independent of one another: the gaps are exponential, as with many clients that know nothing of each other."""
    return np.cumsum(rng.exponential(1 / rate_per_s, count))


def gamma(rng: Generator, rate_per_s: float, count: int, variation: float) -> Times:
    """Gaps of a gamma distribution. `variation` is their standard deviation over their mean: 1 is a Poisson process,
    more comes in clusters, less is more even (vLLM's benchmark calls 1 / variation**2 its burstiness).
    """
    shape = 1 / variation**2
    return np.cumsum(rng.gamma(shape, 1 / (rate_per_s * shape), count))


def piecewise(rng: Generator, pieces: Sequence[tuple[float, float]], count: int) -> Times:
    """Poisson with a rate that changes in steps: pairs of duration in seconds and rate per second, over and over."""
    durations, rates = (np.asarray(column, np.float64) for column in zip(*pieces, strict=True))
    ends = np.concatenate(([0.0], np.cumsum(durations)))
    expected = np.concatenate(([0.0], np.cumsum(durations * rates)))
    return _rescaled(rng, count, ends, expected)


def bursts(rng: Generator, rate_per_s: float, factor: float, burst_s: float, every_s: float, count: int) -> Times:
    """Poisson, and `factor` times as many calls during the last `burst_s` of each `every_s` seconds."""
    return piecewise(rng, [(every_s - burst_s, rate_per_s), (burst_s, rate_per_s * factor)], count)


def sinusoid(rng: Generator, rate_per_s: float, swing: float, period_s: float, count: int) -> Times:
    """Poisson with a rate that swings from `1 - swing` to `1 + swing` times its mean; the trough comes first."""
    times = np.linspace(0.0, period_s, _GRID)
    angle = 2 * math.pi * times / period_s
    expected = rate_per_s * (times - swing * np.sin(angle) * period_s / (2 * math.pi))
    return _rescaled(rng, count, times, expected)


def _rescaled(rng: Generator, count: int, times: Times, expected: Times) -> Times:
    """Times of a Poisson process whose expected number of calls up to each of `times`, a period, is given: a process of
    rate 1 on the scale of expected calls (the time-rescaling theorem).
    """
    arrivals = poisson(rng, 1.0, count)
    periods, within = np.divmod(arrivals, expected[-1])
    rescaled: Times = periods * times[-1] + np.interp(within, expected, times)
    return rescaled
