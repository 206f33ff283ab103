"""What generators draw: contents, lengths and choices, all from one generator that is passed in."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from epp.workloads.types import Role, Segment

__all__ = ["LONGEST", "Draws"]

LONGEST = 8
"""Lengths are at most so many times their mean: with a `spread` of 1, one in a thousand would be longer."""


class Draws:
    """Draws for one workload. Equal generators give equal draws in an equal order."""

    def __init__(self, rng: Generator) -> None:
        self.rng = rng
        self._next_id = int(rng.integers(2**62))

    def segment(self, tokens: int, role: Role = Role.USER) -> Segment:
        """A content that was never there before."""
        self._next_id += 1
        return Segment(self._next_id, tokens, role)

    def segments(self, count: int, mean_tokens: float, spread: float, role: Role = Role.USER) -> list[Segment]:
        """New contents of random lengths."""
        return [self.segment(tokens, role) for tokens in self.lengths(count, mean_tokens, spread).tolist()]

    def lengths(self, count: int, mean: float, spread: float) -> NDArray[np.int64]:
        """Whole numbers of a log-normal distribution, from 1 to `LONGEST` times the mean.

        `spread` is the standard deviation of their logarithm; 0: all are the mean.
        """
        return np.clip(np.rint(self.durations(count, mean, spread)), 1, math.ceil(LONGEST * mean)).astype(np.int64)

    def durations(self, count: int, mean: float, spread: float) -> NDArray[np.float64]:
        """Numbers of a log-normal distribution, up to `LONGEST` times the mean."""
        drawn = self.rng.lognormal(math.log(mean) - spread**2 / 2, spread, count) if mean else np.zeros(count)
        return np.minimum(drawn, LONGEST * mean)

    def popular(self, count: int, among: int, exponent: float) -> NDArray[np.int64]:
        """Choices among so many by Zipf's law: number k (from 0) has a weight of (k + 1) ** -exponent; 0: all alike."""
        return self.rng.choice(among, count, p=popularity(among, exponent))


def popularity(among: int, exponent: float) -> NDArray[np.float64]:
    """Probabilities of Zipf's law, the most popular first."""
    weights = np.arange(1, among + 1, dtype=np.float64) ** -exponent
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares
