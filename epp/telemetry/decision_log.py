"""Makes the lines of the decision log: one for each request that is over or was refused.

What a line holds, and what it never holds, is said in `epp.decision_lines`. Lines wait in a bounded queue for who
writes them (`decision_writer`); when there is no room they are dropped and counted. Nothing here blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from epp.decision_lines import HASH_BYTES, VERSION, LoggedCandidate, LoggedDecision, encode_line, sampled_hashes
from epp.router import STATUS, DecisionRecord, Phases, Reason
from epp.scheduling import Outcome
from epp.scheduling.trace import Shortlist
from epp.telemetry.clock import Clock

__all__ = ["DecisionLog", "DecisionLogSettings", "LineQueue"]

CANDIDATES = 8
"""Endpoints of which a line tells why they were picked or not."""

MAX_TEXT = 256
"""Characters of names that clients choose."""

TOKENS, SCORES = 10.0, 10_000.0
"""Fractions that are told: of a token in a term, of a score or of a total."""

QUEUE_BYTES = 16 * 1024 * 1024
"""Lines that wait: at 1 KB each some ten seconds of 1,000 requests per second, for a disk that stalls."""


@dataclass(frozen=True, slots=True)
class DecisionLogSettings:
    """Where the decision log goes, and how large it gets."""

    path: Path
    max_file_bytes: int
    """A file that would become larger is set aside first, as `path.1`."""
    keep: int
    """Files set aside; the oldest beyond are deleted."""
    block_stride: int
    """Of so many blocks of 256 bytes, one hash is written."""


class LineQueue:
    """Lines that wait to be written, bounded in bytes. For one thread: the event loop's."""

    def __init__(self, limit_bytes: int = QUEUE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self.dropped = 0
        """Lines for which there was no room."""

    def put(self, line: bytes) -> None:
        """Takes a line, or drops it when it finds no room."""
        if self._bytes + len(line) > self._limit_bytes:
            self.dropped += 1
            return
        self._lines.append(line)
        self._bytes += len(line)

    def take(self) -> list[bytes]:
        """All lines that wait, in order."""
        lines = list(self._lines)
        self._lines.clear()
        self._bytes = 0
        return lines

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"<LineQueue {len(self)} lines, {self._bytes} bytes, {self.dropped} dropped>"


class DecisionLog:
    """A `RouterObserver` that makes lines."""

    def __init__(self, pool: str, clock: Clock, queue: LineQueue, block_stride: int) -> None:
        self._pool = pool
        self._clock = clock
        self._queue = queue
        self._stride = block_stride
        self._under_way: dict[str, Shortlist] = {}

    def placed(self, record: DecisionRecord, phases: Phases) -> None:  # noqa: ARG002 - the interface's
        """A request was placed. Why must be taken now: a decision that is no longer kept forgets it."""
        self._under_way[record.id] = record.decision.trace.shortlist(CANDIDATES)

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:  # noqa: ARG002
        """A request was refused. Its id is not told."""
        line = LoggedDecision(
            v=VERSION,
            t=self._wall(self._clock.monotonic()),
            pool=self._pool,
            rejected=reason.value,
            model=_text(model),
            body_bytes=size_bytes,
            status=STATUS[reason],
        )
        self._queue.put(encode_line(line))

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over. One that was placed before this observer listened is passed over."""
        shortlist = self._under_way.pop(record.id, None)
        if shortlist is not None:
            self._queue.put(encode_line(self._line(record, outcome, shortlist)))

    def plugin_failed(self, name: str, error: Exception) -> None:
        """Not of one request."""

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """Likewise."""

    def _line(self, record: DecisionRecord, outcome: Outcome, shortlist: Shortlist) -> LoggedDecision:
        """One line, all of it: a field of the format each."""
        placement, trace = record.decision.placements[0], record.decision.trace
        return LoggedDecision(
            v=VERSION,
            t=self._wall(record.at),
            pool=self._pool,
            id=record.id,
            operation=record.operation.value,
            model=_text(record.model),
            target_model=_text(record.target_model) if record.target_model != record.model else "",
            adapter=_text(record.adapter),
            stream=record.stream,
            body_bytes=record.size_bytes,
            prompt_bytes=record.prompt_bytes,
            expected_prompt_tokens=round(trace.prompt_tokens),
            expected_output_tokens=round(trace.output_tokens),
            block_count=len(record.chain) // HASH_BYTES,
            block_stride=self._stride if record.chain else 0,
            blocks=sampled_hashes(record.chain, self._stride),
            endpoint=placement.address,
            profile=placement.profile,
            note=trace.note,
            predicted_cached_tokens=round(placement.matched_tokens),
            predicted_ttft_s=_seconds(record.predicted_ttft_s),
            served=record.served,
            status=outcome.status,
            verdict=outcome.verdict.value,
            ttft_s=_seconds(outcome.time_to_first_token_s),
            duration_s=_seconds(outcome.duration_s),
            prompt_tokens=outcome.prompt_tokens,
            cached_tokens=outcome.cached_tokens,
            completion_tokens=outcome.completion_tokens,
            candidates=shortlist.of,
            out=shortlist.out,
            why=tuple(_candidates(shortlist)),
        )

    def _wall(self, when: float) -> float:
        return round(self._clock.since_1970(when), 4)


def _candidates(shortlist: Shortlist) -> Iterator[LoggedCandidate]:
    """By endpoint what the shortlist has by column."""
    totals = _rounded(shortlist.totals, TOKENS if shortlist.terms else SCORES)
    terms = _by_candidate(shortlist.terms, TOKENS, len(totals))
    scores = _by_candidate(shortlist.scores, SCORES, len(totals))
    for endpoint, total, matched, *values in zip(
        shortlist.addresses, totals, shortlist.matched_tokens, terms, scores, strict=True
    ):
        yield LoggedCandidate(endpoint, total, round(matched), *values)


def _by_candidate(columns: Mapping[str, list[float]], scale: float, count: int) -> list[dict[str, float | None]]:
    if not columns:
        return [{}] * count
    rows = zip(*(_rounded(values, scale) for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _rounded(values: list[float], scale: float) -> list[float | None]:
    """Shorter: multiples of one over `scale`; None for what JSON has not. A third of the time of `round(value, 1)`."""
    try:
        return [round(value * scale) / scale for value in values]
    except (ValueError, OverflowError):
        return [round(value * scale) / scale if isfinite(value) else None for value in values]


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _text(text: str) -> str:
    """Bounded, and without halves of characters, which hostile names may hold and UTF-8 has not."""
    text = text[:MAX_TEXT]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
