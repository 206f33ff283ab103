"""Confidence over seeds: intervals of means, of paired differences and of ratios.

Seeds are independent repetitions, so intervals are Student's, at 95 %. Two policies with one seed met the same
arrivals: what these did to both cancels in the difference, which is why differences are taken per seed, first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["Comparison", "Estimate", "Verdict", "compare", "estimate", "ratio", "student_t"]

_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448)
"""Quantiles 0.975 of Student's t with 1, 2, 3 ... degrees of freedom: NIST/SEMATECH e-Handbook, section 1.3.6.7.2."""

_Z = 1.959963984540054
"""The normal distribution's quantile 0.975."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and how sure it is."""

    mean: float
    half_width: float
    """Of the 95 % interval; NaN where one seed or none has a value: there is no interval then."""
    seeds: int

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width


class Verdict(Enum):
    """How one policy's figure stands to another's."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "equal"
    """The 95 % interval of the difference holds 0."""
    UNKNOWN = "unknown"
    """Fewer than two seeds in common: there is no interval."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One policy's figure against another's, over the seeds that both have."""

    difference: Estimate
    """First minus second, per seed."""
    ratio: Estimate
    """Mean of the first over mean of the second."""
    verdict: Verdict
    """Of the first."""


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and interval of one value per seed; values that are not finite are left out."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Estimate(math.nan, math.nan, 0)
    mean = sum(known) / len(known)
    return Estimate(mean, _half_width([value - mean for value in known]), len(known))


def compare(first: Mapping[int, float], second: Mapping[int, float], *, lower_is_better: bool) -> Comparison:
    """Two figures by seed; seeds that one of them lacks are left out."""
    seeds = [seed for seed in first if math.isfinite(first[seed]) and math.isfinite(second.get(seed, math.nan))]
    ours, theirs = [first[seed] for seed in seeds], [second[seed] for seed in seeds]
    difference = estimate(one - other for one, other in zip(ours, theirs, strict=True))
    return Comparison(difference, ratio(ours, theirs), _verdict(difference, lower_is_better=lower_is_better))


def ratio(first: Iterable[float], second: Iterable[float]) -> Estimate:
    """Mean of the first over mean of the second, one pair per seed, by the delta method.

    The error of r = a / b is that of (a_i - r b_i) / b in the mean (Cochran, Sampling Techniques, 3rd ed., 6.4). It is
    the choice over the bootstrap because it needs no randomness, and a bootstrap of five seeds says little.
    NaN where the second mean is not above 0.
    """
    pairs = [pair for pair in zip(first, second, strict=True) if all(map(math.isfinite, pair))]
    below = sum(other for _, other in pairs) / max(len(pairs), 1)
    if below <= 0:
        return Estimate(math.nan, math.nan, len(pairs))
    quotient = sum(one for one, _ in pairs) / len(pairs) / below
    return Estimate(quotient, _half_width([(one - quotient * other) / below for one, other in pairs]), len(pairs))


def student_t(freedom: int) -> float:
    """Student's t at 0.975: 95 % of a distribution with so many degrees of freedom, at least 1, lie within it.

    From a table up to 14, from there on by the expansion of Abramowitz and Stegun 26.7.5, right to 0.0001.
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    terms = (
        (_Z**3 + _Z) / 4,
        (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96,
        (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / 384,
    )
    return float(_Z + sum(term / freedom ** (order + 1) for order, term in enumerate(terms)))


def _verdict(difference: Estimate, *, lower_is_better: bool) -> Verdict:
    if math.isnan(difference.half_width):
        return Verdict.UNKNOWN
    if abs(difference.mean) <= difference.half_width or difference.mean == 0:
        return Verdict.EQUAL
    return Verdict.BETTER if (difference.mean < 0) == lower_is_better else Verdict.WORSE


def _half_width(deviations: Sequence[float]) -> float:
    """Of a mean, from how each value deviates from it."""
    count = len(deviations)
    if count < 2:
        return math.nan
    return student_t(count - 1) * math.sqrt(sum(one * one for one in deviations) / (count - 1) / count)
