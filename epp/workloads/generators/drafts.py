"""Sessions as they are drawn: calls with the times at which they are expected, put in order at the end."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol

import numpy as np
from numpy.random import Generator

from epp.workloads.generators.parameters import Parameters
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import Call, Workload

__all__ = ["Drafts", "expected_cycle_s", "sessions"]

_FIRST_TOKEN_S, _TOKEN_S = 0.5, 0.025
"""Assumed times of a pool under load, to see how many sessions there must be for a rate, and how they interleave. The
token's is that of an engine of the default cost with 30 sequences."""


class Drafts:
    """Calls of all sessions of a workload, in the order in which they are drawn."""

    def __init__(self) -> None:
        self.timed: list[TimedCall] = []
        self._sessions = 0
        self._to_come: list[float] = []
        self._come = 0

    def new_session(self) -> int:
        """A number for a session."""
        self._sessions += 1
        return self._sessions - 1

    def first(self, call: Call, at_s: float) -> int:
        """Adds a call that comes at a time. Returns its place."""
        return self._added(TimedCall(at_s, call))

    def next(self, call: Call, follows: int, pause_s: float) -> int:
        """Adds a call that comes so long after the end of the one at place `follows`. Returns its place."""
        before = self.timed[follows]
        end_s = before.at_s + expected_cycle_s(0.0, before.call.output_tokens)
        return self._added(TimedCall(end_s + pause_s, call, follows, pause_s))

    def count_until(self, at_s: float) -> int:
        """Calls that are expected up to a time. Times must not fall from one question to the next."""
        while self._to_come and self._to_come[0] <= at_s:
            heappop(self._to_come)
            self._come += 1
        return self._come

    def _added(self, item: TimedCall) -> int:
        self.timed.append(item)
        heappush(self._to_come, item.at_s)
        return len(self.timed) - 1


class DrawSession(Protocol):
    """Adds the calls of one session."""

    def __call__(self, drafts: Drafts, at_s: float, *, under_way: bool) -> None:
        """Of a session that begins at a time. Of one that is `under_way`, as many calls are left as such have."""
        ...


def expected_cycle_s(pause_s: float, output_tokens: float) -> float:
    """Time from a session's call to its next one."""
    return _FIRST_TOKEN_S + output_tokens * _TOKEN_S + pause_s


def sessions(
    name: str, params: Parameters, rng: Generator, calls_per_session: float, cycle_s: float, draw: DrawSession
) -> Workload:
    """The first `params.calls` calls of sessions that begin at random, at `params.rate_per_s` calls in all.

    As many sessions as are under way in the long run begin within the first `cycle_s`, all with an empty history, so
    that calls come at the full rate from there on; further ones begin as a Poisson process.
    """
    drafts = Drafts()
    for begin_s in np.sort(rng.uniform(0.0, cycle_s, round(params.rate_per_s * cycle_s))).tolist():
        draw(drafts, begin_s, under_way=True)
    at_s = 0.0
    while drafts.count_until(at_s) < params.calls:
        draw(drafts, at_s, under_way=False)
        at_s += rng.exponential(calls_per_session / params.rate_per_s)
    return workload_of(name, drafts.timed).first(params.calls)
