"""When each endpoint is asked what. No IO, no clock; randomness is handed in.

Each endpoint has up to three recurring *probes* (metrics, health, models). A probe keeps to a phase of its own within
its interval, drawn at random, so that many endpoints spread over time and stay spread. Rules:
- new endpoints are asked at once, a crowd of them spread by a few milliseconds each;
- a probe is under way once at a time; one that comes late skips to its next turn;
- endpoints that answered last time come first, and a part of the requests that may be under way is theirs alone: those
  that hang hold theirs until the time-out;
- metrics and models back off when they fail again and again. Health does not: it is cheap, and the first answer after
  a failure of health or metrics makes the other, and the list of models, due at once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count

import numpy as np

from epp.telemetry.scrape_settings import ScrapeSettings

__all__ = ["Kind", "Probe", "Record", "Schedule"]

SPACING_S = 0.005
"""Between the first probes of endpoints that come together."""

TURN_S = 0.05
"""Probes that become due within this time are started together: 20 bursts of a few requests cost a process that idles
between them half of what 150 single ones cost (100 endpoints: 0.08 of a core instead of 0.14)."""

PATIENCE = 3
"""Failures in a row before a probe backs off: whoever judges health counts failures, and shall not wait for them."""


RESERVED = 0.25
"""Share of the requests under way that is kept for endpoints that answered last time. They need few, as they are fast:
1,000 of them with answers in 10 ms have 15 requests under way."""


class Kind(Enum):
    """What is asked for."""

    METRICS = "metrics"
    HEALTH = "health"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class Probe:
    """One recurring request."""

    address: str
    kind: Kind


@dataclass(slots=True)
class Record:
    """How a probe is doing. Times are seconds of the caller's clock."""

    phase: float
    next_at: float
    under_way: bool = False
    hurried: bool = False
    """It became due while it was under way."""
    failures: int = 0
    """In a row."""
    last_ok_at: float | None = None
    doubtful: bool = True
    """It did not answer last time, or was never asked. Stays as it is while a request is under way."""


class _Agenda:
    """What is due when. Entries that their record left behind are skipped."""

    __slots__ = ("_entries", "_heap", "_records")

    def __init__(self, records: Mapping[Probe, Record]) -> None:
        self._records = records
        self._heap: list[tuple[float, int, Probe, Record]] = []
        self._entries = count()

    def push(self, probe: Probe, record: Record) -> None:
        """The record's next time is on the agenda."""
        heapq.heappush(self._heap, (record.next_at, next(self._entries), probe, record))

    def next_at(self) -> float:
        """Infinite for never."""
        while self._heap and not self._is_current(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def due(self, now: float, limit: int) -> Iterator[tuple[Probe, Record]]:
        """Takes off what is due, at most `limit`."""
        for _ in range(limit):
            if self.next_at() > now:
                return
            _, _, probe, record = heapq.heappop(self._heap)
            yield probe, record

    def _is_current(self, at: float, _entry: int, probe: Probe, record: Record) -> bool:
        return not record.under_way and record.next_at == at and self._records.get(probe) is record


class Schedule:
    """The probes of a changing set of endpoints. Each call costs O(log probes)."""

    def __init__(self, settings: ScrapeSettings, rng: np.random.Generator) -> None:
        self._intervals = {Kind.METRICS: settings.interval_s}
        if settings.health_path:
            self._intervals[Kind.HEALTH] = settings.health_interval_s
        if settings.models_path:
            self._intervals[Kind.MODELS] = settings.models_interval_s
        self._turn_s = min(TURN_S, min(self._intervals.values()) / 4)
        self._max_backoff_s = settings.max_backoff_s
        self._rng = rng
        self._records: dict[Probe, Record] = {}
        self._answering, self._doubtful = _Agenda(self._records), _Agenda(self._records)
        self._most_doubtful = max(1, int(settings.max_requests * (1.0 - RESERVED)))
        self._doubtful_under_way = 0

    def add(self, addresses: Iterable[str], now: float) -> None:
        """New endpoints."""
        new = [address for address in addresses if Probe(address, Kind.METRICS) not in self._records]
        spacing = min(SPACING_S, self._intervals[Kind.METRICS] / max(1, len(new)))
        for index, address in enumerate(new):
            for kind, interval in self._intervals.items():
                record = Record(phase=interval * self._rng.random(), next_at=now + spacing * index)
                self._records[Probe(address, kind)] = record
                self._push(Probe(address, kind), record)

    def remove(self, address: str) -> None:
        """The endpoint is gone; what is under way no longer counts."""
        for kind in self._intervals:
            if record := self._records.pop(Probe(address, kind), None):
                self._ended(record)

    def due(self, now: float, limit: int) -> list[Probe]:
        """Probes to start now, at most `limit`. Each is then to be ended by `succeeded` or `failed`."""
        probes: list[Probe] = []
        for probe, record in self._answering.due(now, limit):
            record.under_way = True
            probes.append(probe)
        for probe, record in self._doubtful.due(now, min(limit - len(probes), self._room_for_doubtful)):
            record.under_way = True
            self._doubtful_under_way += 1
            probes.append(probe)
        return probes

    def wake_at(self) -> float:
        """When to call `due` again, even if nothing happens: the end of a turn; infinite for never."""
        at = self._answering.next_at()
        if self._room_for_doubtful:
            at = min(at, self._doubtful.next_at())
        return math.ceil(at / self._turn_s) * self._turn_s if at < math.inf else math.inf

    def succeeded(self, probe: Probe, now: float) -> None:
        """The server answered, whatever the answer."""
        record = self._records.get(probe)
        if record is None:
            return
        recovered, record.failures, record.last_ok_at = record.failures > 0, 0, now
        self._again(probe, record, self._next_turn(probe.kind, record, now), now)
        if recovered and probe.kind is not Kind.MODELS:
            self._recovered(probe, now)

    def failed(self, probe: Probe, now: float) -> None:
        """There was no answer, or one of no use."""
        record = self._records.get(probe)
        if record is None:
            return
        record.failures += 1
        self._again(probe, record, self._retry_at(probe.kind, record, now), now)

    def hurry(self, probe: Probe, now: float) -> None:
        """Makes a probe due at once; one that is under way is started once more after it."""
        record = self._records.get(probe)
        if record is None:
            return
        if record.under_way:
            record.hurried = True
        elif record.next_at > now:
            record.next_at = now
            self._push(probe, record)

    def record(self, probe: Probe) -> Record | None:
        """How the probe is doing; None when there is none."""
        return self._records.get(probe)

    def __repr__(self) -> str:
        under_way = sum(record.under_way for record in self._records.values())
        failing = sum(record.failures > 0 for record in self._records.values())
        return f"<Schedule {len(self._records)} probes, {under_way} under way, {failing} failing>"

    @property
    def _room_for_doubtful(self) -> int:
        return self._most_doubtful - self._doubtful_under_way

    def _ended(self, record: Record) -> None:
        if record.under_way and record.doubtful:
            self._doubtful_under_way -= 1
        record.under_way = False

    def _recovered(self, probe: Probe, now: float) -> None:
        self.hurry(Probe(probe.address, Kind.MODELS), now)
        other = Probe(probe.address, Kind.HEALTH if probe.kind is Kind.METRICS else Kind.METRICS)
        if (record := self._records.get(other)) and record.failures:
            self.hurry(other, now)

    def _again(self, probe: Probe, record: Record, next_at: float, now: float) -> None:
        self._ended(record)
        record.next_at = now if record.hurried else next_at
        record.hurried = False
        record.doubtful = record.failures > 0
        self._push(probe, record)

    def _next_turn(self, kind: Kind, record: Record, now: float) -> float:
        """The first moment after `now` that lies on the probe's phase."""
        interval = self._intervals[kind]
        delay = interval - (now - record.phase) % interval
        return now + (delay if delay > 0.01 * interval else delay + interval)  # rounding must not make one turn two

    def _retry_at(self, kind: Kind, record: Record, now: float) -> float:
        base = self._intervals[Kind.METRICS]
        delay = base * 2.0 ** min(record.failures - PATIENCE + 1, 32)
        if kind is Kind.HEALTH or (delay <= base and kind is Kind.METRICS):
            return self._next_turn(kind, record, now)
        longest = max(base, min(delay, self._max_backoff_s))
        return now + longest * (1.0 - 0.25 * self._rng.random())

    def _push(self, probe: Probe, record: Record) -> None:
        (self._doubtful if record.doubtful else self._answering).push(probe, record)
