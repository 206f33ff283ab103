"""Finds sessions among recorded calls: a prompt that is an earlier one, an answer, and more, goes on from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from epp.workloads.content import id_of, pause_s
from epp.workloads.timeline import TimedCall
from epp.workloads.types import Call, Role

__all__ = ["joined_sessions"]


def joined_sessions(timed: Sequence[TimedCall]) -> list[TimedCall]:
    """The same calls in the same order, which is that of their times, with sessions.

    A call that goes on from another's conversation waits for it, with the pause of `pause_s`. The first one to do so
    tells what was answered: its quotation becomes the other's output. Where it was answered differently before (the
    client asked again), the later one only waits.
    """
    joined: list[TimedCall] = []
    ends: dict[int, int] = {}
    quoted: set[int] = set()
    for item in timed:
        keys = _prefix_keys(item.call)
        place = _quotation(item.call, keys, ends)
        if place is None:
            joined.append(item)
        else:
            before = ends[keys[place]]
            if before not in quoted:
                quoted.add(before)
                joined[before] = _answered(joined[before], item.call, place, before)
            joined.append(_following(item, before, joined[before]))
        ends[keys[-1]] = len(joined) - 1
    return joined


def _following(item: TimedCall, before: int, earlier: TimedCall) -> TimedCall:
    pause = pause_s(item.at_s, earlier.at_s, earlier.call.output.tokens)
    call = replace(item.call, session=earlier.call.session)
    return replace(item, call=call, follows=before, pause_s=pause)


def _prefix_keys(call: Call) -> list[int]:
    """A key for the first 0, 1, 2 ... segments of the prompt."""
    keys = [id_of(call.model, call.adapter)]
    for segment in call.prompt:
        keys.append(id_of(keys[-1], segment.id))
    return keys


def _quotation(call: Call, keys: Sequence[int], ends: dict[int, int]) -> int | None:
    """Place of the last answer in the prompt that comes after the whole prompt of an earlier call."""
    answers = (place for place, segment in enumerate(call.prompt) if segment.role is Role.ASSISTANT)
    return max((place for place in answers if keys[place] in ends), default=None)


def _answered(item: TimedCall, later: Call, place: int, session: int) -> TimedCall:
    if item.call.session is not None:
        session = item.call.session
    return replace(item, call=replace(item.call, output=later.prompt[place], session=session))
