"""Keeps a copy of the objects of one list: when to list and when to watch, and what to do when either fails.

No IO and no clock. Whoever drives a `Reflector` does what `step` says and tells what came of it. Rules:
- a list is read page by page, then the watch goes on from its version. What was known stays until the list is whole;
- a watch that ends is taken up where it ended; bookmarks move that place on while nothing happens;
- 410 Gone, and a watch that fails again and again, lead to another list. Since all clients of a server that restarts
  come at the same moment, they wait for a random time before it;
- whatever fails, objects stay as they were and the next try comes later, up to `LONGEST_WAIT_S`.

Source of the rules: Kubernetes API concepts, and client-go's reflector, whose waiting times these are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec
import numpy as np

from epp.discovery.kubernetes.answers import ApiError, EventKind, Failing, decode_event, decode_page

__all__ = [
    "ListFrom",
    "Notice",
    "Pause",
    "Recovered",
    "Reflector",
    "Skipped",
    "Step",
    "Troubled",
    "UnreadableError",
    "WatchFrom",
]

T = TypeVar("T")

PAGE_OBJECTS = 500
"""Objects asked for at a time; client-go's page."""

MAX_OBJECTS = 20_000
"""Objects that are kept. A cluster has at most 150,000 pods, and a pool of more than some thousand is none."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""After failures: doubled each time, and between half of it and all of it at random."""

MAX_RETRY_AFTER_S = 60.0
"""The server's word for when to come back counts up to here."""

RELIST_WITHIN_S = 1.0
"""Lists after 410 Gone are spread over this time."""

WATCH_S = (240, 480)
"""For how long a watch is asked for, at random. client-go: 5 to 10 minutes."""

SHORT_WATCH_S = 1.0
"""A watch that ends sooner with nothing said has failed."""

FAILED_TRIES = 3
"""After so many in a row a failure is told, and what was begun is begun anew."""

MAX_TOLD = 20
"""Different reasons for skipping objects that are told of."""

_REFUSALS = frozenset({Failing.UNAUTHORIZED, Failing.FORBIDDEN, Failing.NOT_FOUND})
"""Failures that another try right away will not mend."""

_ENDED_BY_AN_ANSWER = _REFUSALS | {Failing.UNREACHABLE, Failing.OVERLOADED}
"""Failures that are over as soon as the server takes a watch. Of others it must be heard of first."""


class UnreadableError(Exception):
    """An object that cannot be taken; the text says why, and is the same for all objects with the same fault."""


@dataclass(frozen=True, slots=True)
class ListFrom:
    """Ask for a page. Then call `listed` or `failed`."""

    token: str
    """Empty for the first page."""
    limit: int
    """0: all in one."""


@dataclass(frozen=True, slots=True)
class WatchFrom:
    """Watch. Then call `opened`, `event` for each line as long as it returns True, and `ended`; or `failed`."""

    version: str
    timeout_s: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing until then."""

    until: float


Step = ListFrom | WatchFrom | Pause


@dataclass(frozen=True, slots=True)
class Troubled:
    """Something fails that did not fail in this way before."""

    error: ApiError
    known: bool
    """Whether there are objects that go on to count."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """It does so no longer."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An object that is not taken."""

    name: str
    why: str


Notice = Troubled | Recovered | Skipped
"""What is worth a line in the log, once."""


class Reflector(Generic[T]):
    """The objects of one list, by name."""

    def __init__(self, read: Callable[[msgspec.Raw], T | None], rng: np.random.Generator) -> None:
        """`read` makes of an object what is kept of it; None when it does not count now. May raise UnreadableError."""
        self._read = read
        self._rng = rng
        self._objects: dict[str, T] = {}
        self._incoming: dict[str, T] | None = {}  # of the list under way; None while watching
        self._token = ""
        self._limit = PAGE_OBJECTS
        self._version = ""
        self._not_before = -np.inf
        self._opened_at: float | None = None  # the watch that the server took
        self._heard = False  # something came from it
        self._brief = False  # the last watch broke as soon as it was taken
        self._failures = 0
        self._told_failing: Failing | None = None
        self._told_skips: set[str] = set()
        self._notices: list[Notice] = []
        self.synced = False
        """Whether a list was whole once."""
        self.generation = 0
        """Another number whenever `objects` or `synced` has changed."""

    @property
    def objects(self) -> Mapping[str, T]:
        """What is known. Not to be kept: it changes."""
        return MappingProxyType(self._objects)

    def step(self, now: float) -> Step:
        """What to do next."""
        if now < self._not_before:
            return Pause(self._not_before)
        if self._incoming is not None:
            return ListFrom(self._token, self._limit)
        return WatchFrom(self._version, int(self._rng.integers(*WATCH_S)))

    def listed(self, body: bytes, now: float) -> None:
        """A page came."""
        assert self._incoming is not None, "no list is under way"
        try:
            page = decode_page(body)
        except ApiError as error:
            self.failed(error, now)
            return
        for item in page.items:
            value = self._value(item.name, item.object)
            if value is not None and (len(self._incoming) < MAX_OBJECTS or item.name in self._incoming):
                self._incoming[item.name] = value
            elif value is not None:
                self._skip(item.name, f"more than {MAX_OBJECTS} objects")
        self._token = page.next_token if len(self._incoming) < MAX_OBJECTS else ""
        if not self._token:
            self._exchange(self._incoming, page.resource_version)

    def opened(self, now: float) -> None:
        """The server took the watch."""
        self._opened_at, self._heard = now, False
        if self._told_failing in _ENDED_BY_AN_ANSWER and not self._brief:
            self._recover()

    def event(self, line: bytes, now: float) -> bool:
        """A line came. False: the watch is over, and nothing more is to be told of it."""
        assert self._incoming is None, "no watch is under way"
        try:
            event = decode_event(line)
        except ApiError as error:
            self.failed(error, now)
            return False
        self._works()
        self._version = event.resource_version
        if event.kind is EventKind.DELETED:
            self._put(event.name, None)
        elif event.kind is not EventKind.BOOKMARK:
            self._put(event.name, self._value(event.name, event.object))
        return True

    def ended(self, now: float) -> None:
        """The watch came to its end, as watches do."""
        if not self._heard and not self._lasted(now):
            self.failed(ApiError(Failing.SERVER, "the watch ended at once"), now)
            return
        self._works()
        self._opened_at = None

    def failed(self, error: ApiError, now: float) -> None:
        """What `step` said could not be done, or not to its end."""
        self._failures = 1 if self._lasted(now) else self._failures + 1
        self._brief = self._opened_at is not None and not self._heard and not self._lasted(now)
        self._opened_at = None
        self._tell(error)
        if error.failing is Failing.GONE:
            self._relist(now)
            return
        begun = self._incoming is None or self._token  # with a version, or a page's token, that may be what is wrong
        if begun and self._failures >= FAILED_TRIES and error.failing is not Failing.UNREACHABLE:
            self._start_list()
        self._wait(error.retry_after_s, now)

    def take_notices(self) -> list[Notice]:
        """What is to be told since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def __repr__(self) -> str:
        doing = "watching" if self._incoming is None else "listing"
        return f"<Reflector {len(self._objects)} objects, {doing}, {self._failures} failures>"

    def _relist(self, now: float) -> None:
        """The version, or the token of a page, is no longer known."""
        within_pages = bool(self._token)
        self._start_list()
        if within_pages:  # as client-go: this list changes faster than it can be read in pages
            self._limit = 0
        if self._failures > 1:
            self._wait(None, now)
        elif not within_pages:
            self._not_before = now + RELIST_WITHIN_S * self._rng.random()

    def _start_list(self) -> None:
        self._incoming, self._token, self._limit = {}, "", PAGE_OBJECTS

    def _wait(self, retry_after_s: float | None, now: float) -> None:
        longest = min(FIRST_WAIT_S * 2.0 ** min(self._failures - 1, 16), LONGEST_WAIT_S)
        wait_s = longest * (1.0 - 0.5 * self._rng.random())
        self._not_before = now + max(wait_s, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))

    def _lasted(self, now: float) -> bool:
        """The watch was there for long enough to say that it worked, whatever ended it."""
        return self._opened_at is not None and now - self._opened_at >= SHORT_WATCH_S

    def _works(self) -> None:
        """The watch does what it should, so nothing that failed before matters any more."""
        self._heard, self._brief = True, False
        self._failures = 0
        self._recover()

    def _recover(self) -> None:
        if self._told_failing is not None:
            self._told_failing = None
            self._notices.append(Recovered())

    def _tell(self, error: ApiError) -> None:
        """A try or two that fail are nothing to tell, unless nothing is known yet or the next one will fail, too."""
        passing = self.synced and self._failures < FAILED_TRIES and error.failing not in _REFUSALS
        if not passing and error.failing is not Failing.GONE and error.failing is not self._told_failing:
            self._told_failing = error.failing
            self._notices.append(Troubled(error, known=self.synced))

    def _value(self, name: str, raw: msgspec.Raw) -> T | None:
        try:
            value = self._read(raw)
        except UnreadableError as error:
            self._skip(name, str(error))
            return None
        return value

    def _skip(self, name: str, why: str) -> None:
        if why not in self._told_skips and len(self._told_skips) < MAX_TOLD:
            self._told_skips.add(why)
            self._notices.append(Skipped(name, why))

    def _put(self, name: str, value: T | None) -> None:
        before = self._objects.get(name)
        if value == before:
            return
        if value is None:
            del self._objects[name]
        elif before is None and len(self._objects) >= MAX_OBJECTS:
            self._skip(name, f"more than {MAX_OBJECTS} objects")
            return
        else:
            self._objects[name] = value
        self.generation += 1

    def _exchange(self, objects: dict[str, T], version: str) -> None:
        """A list is whole. What is equal stays the same object, by which others see what has changed."""
        before = self._objects
        same = {name: before[name] if before.get(name) == value else value for name, value in objects.items()}
        if not self.synced or same != before:
            self.generation += 1
        self._objects, self._incoming, self._version = same, None, version
        self.synced = True
