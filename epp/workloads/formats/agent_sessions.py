"""LMCache's agent traces: prompts and answers of agents as raw text, a file of JSON lines per session.

    {"timestamp": 1760428681752902, "input": "...", "output": "...", "session_id": "0d85..."}

Times are microseconds, of the calls' starts as far as can be seen; lines of a file are not in order. A session's calls
follow one another, with the pause of `pause_s`. The sessions of the published archive were recorded one after the
other, with days between some: idle time beyond `MAX_IDLE_S` is left out. `Workload.at_rate` makes sessions overlap.

Shared beginnings are found in the text (`shared_text`), a token being four bytes. Where a later prompt of the session
quotes the answer right after the prompt, but for a short header such as "assistant: ", that header counts as the end of
the prompt, as chat templates put it, and the answer is found in caches. Calls without a prompt are left out.
Source: LMCache/lmcache-agent-trace, Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import msgspec

from epp.workloads.content import pause_s
from epp.workloads.errors import WorkloadError
from epp.workloads.lines import TraceLines
from epp.workloads.shared_text import UNIT_BYTES, cut_points, pieces_of, units_of
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import Api, Call, Role, Segment, Workload

__all__ = ["MAX_IDLE_S", "read_agent_sessions"]

MAX_IDLE_S: Final = 60.0
"""Longest time from a session's last call to the next session's first."""

_MAX_HEADER_BYTES = 64
_LOOK_BACK = 64  # calls of a session that a prompt is compared with: agents quote recent answers


class _Record(msgspec.Struct):
    timestamp: int
    input: str
    output: str
    session_id: str


_DECODER = msgspec.json.Decoder(_Record)


@dataclass(slots=True)
class _Turn:
    """A recorded call. `prompt` grows by the header in front of the answer, once a later prompt shows it."""

    at_s: float
    session: str
    prompt: bytes
    answer: bytes
    answered: list[tuple[int, int]] = field(default_factory=list)
    """Where earlier answers stand in the prompt, in units."""

    @property
    def whole(self) -> bytes:
        return self.prompt + self.answer

    @property
    def span(self) -> tuple[int, int]:
        """Where the answer stands in the whole; an answer of less than a unit may have no place."""
        return units_of(self.prompt), len(self.whole) // UNIT_BYTES


def read_agent_sessions(files: Iterable[TraceLines], name: str) -> Workload:
    """The sessions' calls. Raises WorkloadError for a line that is not of this format, or when there are none."""
    turns = sorted((turn for lines in files for turn in _turns(lines)), key=lambda turn: (turn.session, turn.at_s))
    if not turns:
        raise WorkloadError(f"{name}: there are no calls with a prompt in it")
    sessions = [list(group) for _, group in groupby(turns, key=lambda turn: turn.session)]
    for session in sessions:
        _find_headers(session)
        _find_answers(session)
    _shorten_idle_time(sessions)
    return workload_of(name, _timed(sessions))


def _timed(sessions: Sequence[Sequence[_Turn]]) -> list[TimedCall]:
    prompts = iter(_prompts([turn for session in sessions for turn in session]))
    timed: list[TimedCall] = []
    for number, session in enumerate(sessions):
        follows, pause = None, 0.0
        for turn in session:
            if follows is not None:
                pause = pause_s(turn.at_s, timed[follows].at_s, timed[follows].call.output.tokens)
            timed.append(TimedCall(turn.at_s, _call(turn, next(prompts), number), follows, pause))
            follows = len(timed) - 1
    return timed


def _turns(lines: TraceLines) -> Iterable[_Turn]:
    for line in lines:
        record = line.decoded(_DECODER)
        prompt = record.input.encode()
        if prompt:
            answer = record.output.encode()
            yield _Turn(record.timestamp / 1e6, record.session_id, prompt, answer)


def _find_headers(session: Sequence[_Turn]) -> None:
    """Adds to each prompt the header that a later one shows between it and its answer."""
    for place, turn in enumerate(session):
        for earlier in session[max(0, place - _LOOK_BACK) : place]:
            if earlier.answer and turn.prompt.startswith(earlier.prompt):
                begin = len(earlier.prompt)
                found = turn.prompt.find(earlier.answer, begin, begin + _MAX_HEADER_BYTES + len(earlier.answer))
                earlier.prompt = turn.prompt[: max(begin, found)]


def _find_answers(session: Sequence[_Turn]) -> None:
    """Says where prompts quote earlier answers: where the longest earlier part does, and that part's own answer."""
    for place, turn in enumerate(session):
        longest = 0
        for earlier in session[max(0, place - _LOOK_BACK) : place]:
            if len(earlier.prompt) > longest and turn.prompt.startswith(earlier.prompt):
                longest, turn.answered = len(earlier.prompt), earlier.answered
            begin, end = earlier.span
            if end > begin and len(earlier.whole) > longest and turn.prompt.startswith(earlier.whole):
                longest, turn.answered = len(earlier.whole), [*earlier.answered, (begin, end)]


def _shorten_idle_time(sessions: list[list[_Turn]]) -> None:
    sessions.sort(key=lambda session: session[0].at_s)
    shift, end = 0.0, sessions[0][0].at_s
    for session in sessions:
        idle = session[0].at_s - shift - end
        shift += max(0.0, idle - MAX_IDLE_S)
        for turn in session:
            turn.at_s -= shift
        end = max(end, session[-1].at_s)


def _prompts(turns: Sequence[_Turn]) -> list[tuple[Segment, ...]]:
    """Each prompt in pieces. Prompts with their answers are texts too, so that both ends of an answer become cuts."""
    texts = [turn.prompt for turn in turns]
    cuts = cut_points([*texts, *(turn.whole for turn in turns)])
    prompts = []
    for turn, found in zip(turns, cuts, strict=False):
        inside = [cut for cut in found if not any(begin < cut < end for begin, end in turn.answered)]
        ends = sorted({*inside, *(place for span in turn.answered for place in span), units_of(turn.prompt)})
        prompts.append(pieces_of(turn.prompt, 0, ends))
    return prompts


def _call(turn: _Turn, prompt: tuple[Segment, ...], session: int) -> Call:
    begin, end = turn.span
    (output,) = pieces_of(turn.whole, begin, [max(begin + 1, end)], Role.ASSISTANT)
    return Call(at_s=0.0, prompt=prompt, output=output, session=session, api=Api.COMPLETIONS)
