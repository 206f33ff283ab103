"""From calls with their times to a workload: in order, from time 0 on, each after the one that it waits for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from epp.workloads.errors import WorkloadError
from epp.workloads.types import DEFAULT_BYTES_PER_TOKEN, Call, Workload

__all__ = ["TimedCall", "workload_of"]


@dataclass(frozen=True, slots=True)
class TimedCall:
    """A call, and when it came or is expected to come."""

    at_s: float
    """On the trace's clock: any origin will do. Of a call that waits for another it only settles the order."""
    call: Call
    """Its `at_s` and `after` are not looked at."""
    follows: int | None = None
    """Place, in the sequence given to `workload_of`, of the call that must have ended before: an earlier place."""
    pause_s: float = 0.0
    """From that end to this call."""


def workload_of(name: str, timed: Sequence[TimedCall], bytes_per_token: float = DEFAULT_BYTES_PER_TOKEN) -> Workload:
    """The calls in the order of their times; of equal times in the order given, but never before what they wait for.

    A model that all calls name, but for those of adapters, is the pool's: it is left out of the calls.

    Raises WorkloadError when there are none, or a time is no number.
    """
    if not timed:
        raise WorkloadError(f"{name}: there are no calls in it")
    if not all(math.isfinite(item.at_s) for item in timed):
        raise WorkloadError(f"{name}: a time is not finite")
    times: list[float] = []
    for item in timed:
        times.append(item.at_s if item.follows is None else max(item.at_s, times[item.follows]))
    order = sorted(range(len(timed)), key=lambda place: (times[place], place))
    places = {old: new for new, old in enumerate(order)}
    begin = min(item.at_s for item in timed if item.follows is None)
    calls = [_placed(timed[old], begin, places) for old in order]
    if len({call.model for call in calls if call.model}) == 1:
        calls = [replace(call, model="") for call in calls]
    return Workload(name, tuple(calls), bytes_per_token)


def _placed(item: TimedCall, begin_s: float, places: dict[int, int]) -> Call:
    if item.follows is None:
        return replace(item.call, at_s=item.at_s - begin_s, after=None)
    return replace(item.call, at_s=item.pause_s, after=places[item.follows])
