"""Which endpoints should be used, from probes, scrapes and what becomes of requests.

Evidence and what follows:
- probes fail, scrapes fail, the engine sleeps: not usable until the opposite is seen;
- replies fail (connect errors, 5xx, empty streams, aborts by the engine): ejected for a time that doubles with each
  ejection, but never more than a share of the pool; then half open: one request at a time until one succeeds;
- 503 "busy": for a moment no new requests. A client's 4xx never counts;
- new or recovered: slow start, in-flight requests are limited to a growing share of an endpoint's fair part.

`usable` and the limit are advice: when nothing else is left, endpoints beyond them are used all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from epp.endpoints.table import EndpointTable, Row

__all__ = ["Health", "HealthSettings", "Verdict"]

_FAIR_PART_S = 0.25
"""How long a mean over the pool is good for."""

_FIRST_SHARE = 0.25
"""Of its fair part, what a new endpoint may carry from the start: many new ones must not leave all to one old one."""


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Thresholds and times."""

    probe_failures: int = 2
    """Failed probes in a row after which an endpoint is not used."""
    scrape_failures: int = 3
    """Failed scrapes in a row likewise: metrics are a weaker sign than health."""
    reply_failures: int = 3
    """Failed replies in a row after which an endpoint is ejected."""
    ejection_s: float = 10.0
    """First ejection; doubled each time."""
    max_ejection_s: float = 300.0
    max_ejected_share: float = 0.5
    """Of the pool. Beyond it the fault is hardly the endpoints'."""
    busy_s: float = 0.5
    slow_start_s: float = 30.0
    """0 switches slow start off."""


class Verdict(Enum):
    """What the end of a request says about its endpoint."""

    GOOD = "good"
    FAILED = "failed"
    BUSY = "busy"
    UNKNOWN = "unknown"
    """A client's error, an abort, a reply that was not seen."""


class _State(Enum):
    CLOSED = "serving"
    EJECTED = "ejected"
    HALF_OPEN = "half open"


@dataclass(slots=True)
class _Record:
    probe_failures: int = 0
    scrape_failures: int = 0
    asleep: bool = False
    state: _State = _State.CLOSED
    reply_failures: int = 0
    ejections: int = 0
    until: float = 0.0
    trial_since: float = 0.0
    busy_until: float = 0.0

    @property
    def is_spotless(self) -> bool:
        """Another good reply changes nothing."""
        return self.state is _State.CLOSED and not (self.reply_failures or self.ejections)


class Health:
    """Keeps the `usable`, `mature` and `request_limit` columns of one table."""

    def __init__(self, table: EndpointTable, settings: HealthSettings) -> None:
        self._table = table
        self._settings = settings
        self._records: dict[Row, _Record] = {}
        self._unsettled: set[Row] = set()  # rows that time alone changes
        self._fair = (float("-inf"), 0.0)
        self.ejections = 0
        """Ejections so far."""

    def added(self, row: Row, now: float) -> None:
        """A new endpoint. When there are no others it has nobody to lag behind and is taken as it is."""
        self._records[row] = _Record()
        self._update(row, now)

    def removed(self, row: Row) -> None:
        """The endpoint is gone."""
        self._records.pop(row, None)
        self._unsettled.discard(row)

    def probed(self, row: Row, *, healthy: bool, now: float) -> None:
        """A health probe was answered, or not."""
        record = self._records[row]
        was = self._is_fit(record)
        record.probe_failures = 0 if healthy else record.probe_failures + 1
        self._recovered_if(row, was, now)

    def scraped(self, row: Row, *, ok: bool, asleep: bool = False, now: float) -> None:
        """A metrics page came, or not."""
        record = self._records[row]
        if ok and not record.scrape_failures and asleep == record.asleep and row not in self._unsettled:
            return  # the usual page: nothing follows from it
        was = self._is_fit(record)
        record.scrape_failures = 0 if ok else record.scrape_failures + 1
        record.asleep = asleep if ok else record.asleep
        self._recovered_if(row, was, now)

    def replied(self, row: Row, verdict: Verdict, now: float, placed_at: float = -np.inf) -> None:
        """A request that this endpoint served has ended. `placed_at`: a trial is decided by requests placed in it."""
        record = self._records.get(row)
        if record is None:
            return
        if verdict is Verdict.UNKNOWN or (verdict is Verdict.GOOD and record.is_spotless):
            return
        if verdict is Verdict.GOOD:
            self._good(row, record, now)
        elif verdict is Verdict.BUSY:
            record.busy_until = now + self._settings.busy_s
        elif verdict is Verdict.FAILED:
            self._failed(record, now, placed_at)
        self._update(row, now)

    def tick(self, now: float) -> None:
        """Ends ejections and moments of busyness, and raises the limits of slow starters. A few times a second."""
        for row in tuple(self._unsettled):
            record = self._records[row]
            if now >= record.until:
                self._next_trial_state(row, record, now)
            self._update(row, now)

    def describe(self, row: Row) -> str:
        """One word or two for people: why an endpoint is used or not."""
        record = self._records[row]
        if record.state is not _State.CLOSED:
            return str(record.state.value)
        if record.asleep:
            return "asleep"
        if record.probe_failures >= self._settings.probe_failures:
            return "unhealthy"
        if record.scrape_failures >= self._settings.scrape_failures:
            return "unreachable"
        return "serving" if self._table.columns.mature[row] else "slow start"

    def _is_well(self, record: _Record) -> bool:
        return record.probe_failures < self._settings.probe_failures and not record.asleep

    def _is_scraped(self, record: _Record) -> bool:
        return record.scrape_failures < self._settings.scrape_failures

    def _is_fit(self, record: _Record) -> bool:
        return self._is_well(record) and self._is_scraped(record)

    def _recovered_if(self, row: Row, was_usable: bool, now: float) -> None:  # noqa: FBT001 - two facts of one rule
        record = self._records[row]
        if not was_usable and self._is_fit(record):
            self._restart(row, now)
        self._update(row, now)

    def _failed(self, record: _Record, now: float, placed_at: float) -> None:
        """Three cases: what was under way when an endpoint was ejected says nothing new; one failed request ends a
        trial; else failures in a row are counted.
        """
        if record.state is _State.HALF_OPEN and placed_at >= record.trial_since:
            self._eject(record, now)
        elif record.state is _State.CLOSED:
            record.reply_failures += 1
            if record.reply_failures >= self._settings.reply_failures:
                self._eject(record, now)

    def _good(self, row: Row, record: _Record, now: float) -> None:
        record.reply_failures = 0
        if record.state is _State.HALF_OPEN:
            record.state = _State.CLOSED
            self._restart(row, now)
        elif record.state is _State.CLOSED and record.ejections and now - record.until > self._settings.max_ejection_s:
            record.ejections = 0

    def _next_trial_state(self, row: Row, record: _Record, now: float) -> None:
        """An ejection ends in a trial. A trial of which no reply was seen (lean mode, say) ends by time."""
        if record.state is _State.EJECTED:
            record.state = _State.HALF_OPEN
            record.trial_since = now
            record.until = now + self._settings.ejection_s
        elif record.state is _State.HALF_OPEN:
            record.state = _State.CLOSED
            self._restart(row, now)

    def _restart(self, row: Row, now: float) -> None:
        self._table.columns.added_at[row] = now
        self._table.columns.mature[row] = False

    def _eject(self, record: _Record, now: float) -> None:
        ejected = sum(1 for other in self._records.values() if other.state is not _State.CLOSED and other is not record)
        if (ejected + 1) > self._settings.max_ejected_share * len(self._records):
            return
        duration = self._settings.ejection_s * 2.0**record.ejections
        record.until = now + min(self._settings.max_ejection_s, duration)
        record.state = _State.EJECTED
        record.ejections = min(record.ejections + 1, 16)
        record.reply_failures = 0
        self.ejections += 1

    def _update(self, row: Row, now: float) -> None:
        record, columns = self._records[row], self._table.columns
        columns.reachable[row] = self._is_well(record) and record.state is not _State.EJECTED
        columns.usable[row] = columns.reachable[row] and self._is_scraped(record)
        if not columns.mature[row]:
            columns.mature[row] = self._is_mature(row, now)
        if record.busy_until > now:
            columns.request_limit[row] = 0.0
        elif record.state is _State.HALF_OPEN:
            columns.request_limit[row] = 1.0
        else:
            columns.request_limit[row] = np.inf if columns.mature[row] else self._slow_start_limit(row, now)
        settled = columns.mature[row] and record.state is _State.CLOSED and record.busy_until <= now
        (self._unsettled.discard if settled else self._unsettled.add)(row)

    def _is_mature(self, row: Row, now: float) -> bool:
        return now - float(self._table.columns.added_at[row]) >= self._settings.slow_start_s

    def _slow_start_limit(self, row: Row, now: float) -> float:
        """A share of an endpoint's fair part, which grows with time; at least one request."""
        if now - self._fair[0] >= _FAIR_PART_S:
            self._fair = now, self._fair_part()
        if self._fair[1] == np.inf:
            return np.inf
        age = (now - float(self._table.columns.added_at[row])) / self._settings.slow_start_s
        return max(1.0, max(_FIRST_SHARE, age) * self._fair[1])

    def _fair_part(self) -> float:
        """Requests under way per usable endpoint; infinite when none is out of its slow start."""
        columns, live = self._table.columns, self._table.live_rows
        usable = live[columns.usable[live]]
        return float(columns.requests[usable].mean()) if columns.mature[usable].any() else np.inf
