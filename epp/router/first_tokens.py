"""Predicts when a request's first token comes, and learns it from when first tokens came.

    time = fixed part + seconds per token * prefill work on the endpoint, the request's own included

The fixed part is what every request waits for: the step under way, its own, the network. The line is fitted by least
squares for each endpoint, older requests counting less.

Dividing the work by the learned `prefill_rate` was tried first. For prompts that are mostly cached, which are many, the
fixed part is all, and those in between make the rate look low: of 385 chats with three emulated pods, 33 % of the first
tokens came within a factor of 1.5 of what it predicted, and 93 % of this line.
"""

from __future__ import annotations

from dataclasses import dataclass

from epp.endpoints import Row
from epp.endpoints.rates import Rates

__all__ = ["FirstTokens"]

_DECAY = 0.98
"""Per request of the endpoint: its last 50 count."""

_POOL_SAMPLES = 4.0
"""The pool's requests count as so many of an endpoint's, so that a new one begins with what the others show."""

_PRIOR_SAMPLES = 1.0
"""The assumption counts as so many of the pool's. It never fades: where all prompts are of one length, it alone says
what others would take."""

_SURPRISE = 2.0
"""A time counts as at most this many times what was predicted, and at least as that part of it. A stall of seconds, of
which least squares would make too much, passes; a lasting change is followed in some ten requests."""

_PRIOR_WORK_TOKENS = 8192.0

_LEAST_S = 0.001


@dataclass(slots=True)
class _Sums:
    """Weighted sums over requests: of 1, work, time, work squared, work times time."""

    n: float = 0.0
    work: float = 0.0
    time: float = 0.0
    work_work: float = 0.0
    work_time: float = 0.0

    def add(self, work: float, time: float) -> None:
        self.n = self.n * _DECAY + 1.0
        self.work = self.work * _DECAY + work
        self.time = self.time * _DECAY + time
        self.work_work = self.work_work * _DECAY + work * work
        self.work_time = self.work_time * _DECAY + work * time

    def with_share_of(self, other: _Sums, samples: float) -> _Sums:
        """These, and others as if they were `samples` requests."""
        share = samples / other.n
        return _Sums(
            self.n + samples,
            self.work + share * other.work,
            self.time + share * other.time,
            self.work_work + share * other.work_work,
            self.work_time + share * other.work_time,
        )

    def at(self, work: float) -> float:
        """The line's time for so much work. It never falls, and never begins below 0."""
        spread = self.n * self.work_work - self.work * self.work
        slope = max(0.0, (self.n * self.work_time - self.work * self.time) / spread)
        fixed = (self.time - slope * self.work) / self.n
        return fixed + slope * work if fixed >= 0 else self.work_time / self.work_work * work


def _prior() -> _Sums:
    """What is assumed before anything is known: a step, and the usual rate."""
    step, sums = Rates.DEFAULT_TOKEN_INTERVAL_S, _Sums()
    for work in (0.0, _PRIOR_WORK_TOKENS):
        sums.add(work, step + work / Rates.DEFAULT_PREFILL_RATE)
    return sums


class FirstTokens:
    """What is known of one pool's endpoints."""

    def __init__(self) -> None:
        self._pool = _Sums()
        self._common = self._prior = _prior()
        self._endpoints: dict[Row, _Sums] = {}

    def predicted_s(self, row: Row, work_tokens: float) -> float:
        """Seconds from the placement to the first token, more than 0."""
        own = self._endpoints.get(row)
        sums = self._common if own is None else own.with_share_of(self._common, _POOL_SAMPLES)
        return max(_LEAST_S, sums.at(work_tokens))

    def seen(self, row: Row, work_tokens: float, elapsed_s: float) -> None:
        """A first token came so long after the placement."""
        predicted_s = self.predicted_s(row, work_tokens)
        elapsed_s = min(max(elapsed_s, predicted_s / _SURPRISE), predicted_s * _SURPRISE)
        self._pool.add(work_tokens, elapsed_s)
        self._common = self._pool.with_share_of(self._prior, _PRIOR_SAMPLES)
        own = self._endpoints.get(row)
        if own is None:
            own = self._endpoints[row] = _Sums()
        own.add(work_tokens, elapsed_s)

    def forget(self, row: Row) -> None:
        """The endpoint left or restarted."""
        self._endpoints.pop(row, None)
