"""When each endpoint is asked what. No IO, no clock; randomness is handed in.

Each endpoint has up to three recurring *probes* (metrics, health, models). A probe keeps to a phase of its own within
its interval, drawn at random, so that many endpoints spread over time and stay spread. Rules:
- new endpoints are asked at once, a crowd of them spread by a few milliseconds each;
- a probe is under way once at a time; one that comes late skips to its next turn;
- metrics and models back off when they fail again and again. Health does not: it is cheap, and the first answer after
  a failure of health or metrics makes the other, and the list of models, due at once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
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
        self._agenda: list[tuple[float, int, Probe, Record]] = []  # heap; entries that records left behind are skipped
        self._entries = count()

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
            self._records.pop(Probe(address, kind), None)

    def due(self, now: float, limit: int) -> list[Probe]:
        """Probes to start now, at most `limit`. Each is then to be ended by `succeeded` or `failed`."""
        probes: list[Probe] = []
        while len(probes) < limit and self._agenda and self._agenda[0][0] <= now:
            at, _, probe, record = heapq.heappop(self._agenda)
            if self._is_current(at, probe, record):
                record.under_way = True
                probes.append(probe)
        return probes

    def wake_at(self) -> float:
        """When to call `due` again, even if nothing happens: the end of a turn; infinite for never."""
        while self._agenda and not self._is_current(self._agenda[0][0], *self._agenda[0][2:]):
            heapq.heappop(self._agenda)
        return math.ceil(self._agenda[0][0] / self._turn_s) * self._turn_s if self._agenda else math.inf

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

    def _recovered(self, probe: Probe, now: float) -> None:
        self.hurry(Probe(probe.address, Kind.MODELS), now)
        other = Probe(probe.address, Kind.HEALTH if probe.kind is Kind.METRICS else Kind.METRICS)
        if (record := self._records.get(other)) and record.failures:
            self.hurry(other, now)

    def _again(self, probe: Probe, record: Record, next_at: float, now: float) -> None:
        record.next_at = now if record.hurried else next_at
        record.under_way = record.hurried = False
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

    def _is_current(self, at: float, probe: Probe, record: Record) -> bool:
        return not record.under_way and record.next_at == at and self._records.get(probe) is record

    def _push(self, probe: Probe, record: Record) -> None:
        heapq.heappush(self._agenda, (record.next_at, next(self._entries), probe, record))
