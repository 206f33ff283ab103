"""One engine in virtual time, without pickers: requests in, the times of first tokens and ends out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from epp.simulator.engine import Engine
from epp.simulator.sequences import SimRequest

__all__ = ["Arrival", "Served", "play_alone"]

Arrival = tuple[float, SimRequest]
"""Seconds from the begin, and what comes then."""


@dataclass(slots=True)
class Served:
    """What became of requests, by their ids. Seconds."""

    first_s: dict[int, float] = field(default_factory=dict)
    """From the arrival to the first token, or to the end of a prompt that is only computed."""
    e2e_s: dict[int, float] = field(default_factory=dict)
    cached_tokens: dict[int, int] = field(default_factory=dict)
    most_running: int = 0
    """Sequences in the batch at one time."""
    ended_at: float = 0.0
    """When the last one was complete."""


def play_alone(engine: Engine, arrivals: Iterable[Arrival]) -> Served:
    """Runs until all is computed. Arrivals in the order of their times."""
    served, due_s = Served(), dict[int, float]()
    coming = iter(arrivals)
    upcoming = next(coming, None)
    while True:
        due = engine.next_event_at()
        arrives = math.inf if upcoming is None else upcoming[0]
        if upcoming is not None and (due is None or arrives < due):
            now, request = upcoming
            due_s[request.id] = now
            assert engine.submit(request, now) is None, "it lives, and has room"
            upcoming = next(coming, None)
        elif due is None:
            return served
        else:
            now = due
        _step(engine, now, served, due_s)


def _step(engine: Engine, now: float, served: Served, due_s: dict[int, float]) -> None:
    result = engine.end_step(now)
    for first in () if result is None else result.first:
        served.first_s[first.id] = now - due_s[first.id]
        served.cached_tokens[first.id] = first.cached_tokens
    for finished in () if result is None else result.finished:
        served.e2e_s[finished.id] = now - due_s[finished.id]
        served.ended_at = now
    if not engine.stepping:
        engine.begin_run(now)
        served.most_running = max(served.most_running, engine.gauges(now).running)
