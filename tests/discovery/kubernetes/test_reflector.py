"""When to list, watch and wait; and that in the end the copy is what the server has."""

import json
from collections.abc import Callable
from textwrap import dedent

import msgspec
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from epp.discovery.kubernetes import reflector as module
from epp.discovery.kubernetes.answers import ApiError, Failing
from epp.discovery.kubernetes.reflector import (
    ListFrom,
    Pause,
    Recovered,
    Reflector,
    Skipped,
    Troubled,
    UnreadableError,
    WatchFrom,
)


def read(raw: msgspec.Raw) -> int | None:
    """The number of an object; odd kinds of it are unreadable, zero does not count."""
    value = json.loads(bytes(raw)).get("n")
    if not isinstance(value, int):
        raise UnreadableError("it has no number")
    return value or None


def object_(name: str, n: object, version: int) -> dict[str, object]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "n": n}


def page(version: int, token: str, **values: object) -> bytes:
    items = [object_(name, n, version) for name, n in values.items()]
    return json.dumps({"metadata": {"resourceVersion": str(version), "continue": token}, "items": items}).encode()


def line(kind: str, version: int, name: str = "", n: object = None) -> bytes:
    return json.dumps({"type": kind, "object": object_(name, n, version)}).encode()


GONE_LINE = b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}'


class Played:
    """Runs a transcript: `>` what comes, and after it what the reflector does next and what it tells."""

    def __init__(self) -> None:
        self.reflector: Reflector[int] = Reflector(read, np.random.default_rng(0))
        self.now = 100.0

    def feed(self, words: list[str]) -> None:
        match words:
            case ["page", version, token, *values]:
                pairs = dict(value.split("=") for value in values)
                numbers = {name: int(n) if n.isdigit() else n for name, n in pairs.items()}
                self.reflector.listed(page(int(version), token.strip("-"), **numbers), self.now)
            case ["open"]:
                self.reflector.opened(self.now)
            case ["end"]:
                self.reflector.ended(self.now)
            case ["wait", seconds]:
                self.now += float(seconds)
            case ["gone"]:
                assert not self.reflector.event(GONE_LINE, self.now)
            case ["fail", kind]:
                self.reflector.failed(ApiError(Failing[kind]), self.now)
            case ["bytes", text]:
                self.reflector.listed(text.encode(), self.now)
            case [kind, version, *value]:
                name, _, n = value[0].partition("=") if value else ("", "", "")
                assert self.reflector.event(line(kind, int(version), name, int(n) if n.isdigit() else n), self.now)

    def state(self) -> str:
        told = [_told(notice) for notice in self.reflector.take_notices()]
        known = " ".join(f"{name}={n}" for name, n in sorted(self.reflector.objects.items()))
        what = known if self.reflector.synced else "unknown"
        return " | ".join([_step(self.reflector.step(self.now), self.now), what or "nothing", *told])


def _step(step: object, now: float) -> str:
    match step:
        case ListFrom(token, limit):
            return f"list {token or 'first'}" + ("" if limit else " whole")
        case WatchFrom(version, timeout_s):
            assert 240 <= timeout_s < 480
            return f"watch {version}"
        case Pause(until):
            return f"pause <{next(bound for bound in (0.5, 1, 2, 4, 8, 16, 30, 60) if until - now <= bound):g}"
    raise AssertionError(step)


def _told(notice: object) -> str:
    match notice:
        case Troubled(error, known):
            return f"trouble {error.failing.name}{'' if known else ', nothing known'}"
        case Skipped(name, why):
            return f"skipped {name}: {why}"
        case Recovered():
            return "recovered"
    raise AssertionError(notice)


TRANSCRIPTS = {
    "a list in pages, then a watch": """
        > page 5 t1 a=1 b=2
        list t1 | unknown
        > page 5 - c=3
        watch 5 | a=1 b=2 c=3
        > open
        > ADDED 6 d=4
        watch 6 | a=1 b=2 c=3 d=4
        > MODIFIED 7 d=0
        > DELETED 8 a=1
        watch 8 | b=2 c=3
        > BOOKMARK 20
        watch 20 | b=2 c=3""",
    "a watch that ends is taken up at once": """
        > page 5 -
        > open
        > wait 300
        > end
        watch 5 | nothing""",
    "a watch that ends as soon as it was taken has failed": """
        > page 5 -
        > open
        > end
        pause <0.5 | nothing
        > wait 1
        > open
        > end
        pause <1 | nothing
        > wait 1
        > open
        > end
        pause <2 | nothing | trouble SERVER
        > wait 2
        list first | nothing""",
    "gone during a watch: another list, soon, and what was known stays": """
        > page 5 - a=1
        > open
        > gone
        pause <1 | a=1
        > wait 1
        list first | a=1
        > page 9 - b=2
        watch 9 | b=2""",
    "gone again and again is waited for longer and longer": """
        > page 5 - a=1
        > open
        > gone
        > wait 1
        > page 9 - a=1
        > open
        > gone
        pause <1 | a=1
        > wait 1
        > page 10 - a=1
        > open
        > gone
        pause <2 | a=1""",
    "gone within the pages: all in one": """
        > page 5 t1 a=1
        > fail GONE
        list first whole | unknown
        > page 6 - b=2
        watch 6 | b=2
        > fail GONE
        > wait 30
        list first | b=2""",
    "a page that fails is asked for again": """
        > page 5 t1 a=1
        > fail SERVER
        pause <0.5 | unknown | trouble SERVER, nothing known
        > wait 1
        list t1 | unknown
        > page 5 - b=2
        > open
        > BOOKMARK 6
        watch 6 | a=1 b=2 | recovered""",
    "nothing is told of a connection that breaks and comes back": """
        > page 5 - a=1
        > open
        > wait 60
        > fail UNREACHABLE
        pause <0.5 | a=1
        > wait 1
        > open
        watch 5 | a=1""",
    "a server that is away is told of once, and that it is back": """
        > page 5 - a=1
        > open
        > wait 60
        > fail UNREACHABLE
        > fail UNREACHABLE
        > fail UNREACHABLE
        pause <2 | a=1 | trouble UNREACHABLE
        > fail UNREACHABLE
        > fail UNREACHABLE
        pause <8 | a=1
        > wait 8
        > open
        watch 5 | a=1 | recovered""",
    "a connection that breaks again and again is told of once": """
        > page 5 - a=1
        > open
        > fail UNREACHABLE
        > open
        > fail UNREACHABLE
        > open
        > fail UNREACHABLE
        pause <2 | a=1 | trouble UNREACHABLE
        > open
        > fail UNREACHABLE
        > open
        > fail UNREACHABLE
        pause <8 | a=1
        > open
        > BOOKMARK 6
        pause <8 | a=1 | recovered""",
    "a permission that is missing is told of at once": """
        > fail FORBIDDEN
        pause <0.5 | unknown | trouble FORBIDDEN, nothing known
        > wait 1
        > page 5 - a=1
        > fail FORBIDDEN
        pause <1 | a=1
        > wait 1
        > fail FORBIDDEN
        > wait 4
        list first | a=1""",
    "an answer that is no list is a failure": """
        > bytes nonsense
        pause <0.5 | unknown | trouble BAD_ANSWER, nothing known
        > wait 1
        list first | unknown""",
    "of objects that cannot be read one is told of, and they are left out": """
        > page 5 - a=1 b=x c=y
        watch 5 | a=1 | skipped b: it has no number
        > open
        > MODIFIED 6 a=x
        watch 6 | nothing""",
}  # fmt: skip


@pytest.mark.parametrize("script", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_transcript(script: str) -> None:
    played, seen = Played(), []
    for text in dedent(script).strip().splitlines():
        if text.startswith("> "):
            played.feed(text[2:].split())
            seen.append(text)
        else:
            seen.append(played.state())
    assert "\n".join(seen) == dedent(script).strip()


def test_waits_grow_up_to_a_limit_and_the_server_may_ask_for_more() -> None:
    played = Played()
    for _ in range(30):
        played.reflector.failed(ApiError(Failing.UNREACHABLE), played.now)
    step = played.reflector.step(played.now)
    assert isinstance(step, Pause)
    assert 15.0 <= step.until - played.now <= 30.0
    played.reflector.failed(ApiError(Failing.OVERLOADED, "", 45.0), played.now)
    assert played.reflector.step(played.now) == Pause(played.now + 45.0)
    played.reflector.failed(ApiError(Failing.OVERLOADED, "", 1e9), played.now)
    assert played.reflector.step(played.now) == Pause(played.now + 60.0)


def test_replicas_do_not_list_at_the_same_moment() -> None:
    waits = set()
    for seed in range(20):
        reflector: Reflector[int] = Reflector(read, np.random.default_rng(seed))
        reflector.listed(page(5, ""), 0.0)
        reflector.event(GONE_LINE, 0.0)
        step = reflector.step(0.0)
        assert isinstance(step, Pause)
        waits.add(round(step.until, 1))
    assert len(waits) > 5


def test_no_more_objects_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OBJECTS", 2)
    played = Played()
    played.feed(["page", "5", "more", "a=1", "b=2", "c=3"])
    assert played.state() == "watch 5 | a=1 b=2 | skipped c: more than 2 objects"
    played.feed(["ADDED", "6", "d=4"])
    played.feed(["MODIFIED", "7", "a=9"])
    assert played.state() == "watch 7 | a=9 b=2"


def test_the_generation_tells_whether_anything_has_changed() -> None:
    played = Played()
    changes: list[Callable[[], object]] = [
        lambda: played.feed(["page", "5", "-", "a=1"]),
        lambda: played.feed(["ADDED", "6", "b=2"]),
        lambda: played.feed(["DELETED", "7", "b=2"]),
    ]
    for change in changes:
        before = played.reflector.generation
        change()
        assert played.reflector.generation != before
    kept = played.reflector.objects["a"]
    before = played.reflector.generation
    played.feed(["MODIFIED", "8", "a=1"])
    played.feed(["BOOKMARK", "9"])
    played.feed(["gone"])
    played.feed(["page", "10", "-", "a=1"])
    assert played.reflector.generation == before
    assert played.reflector.objects["a"] is kept


class Copying(RuleBasedStateMachine):
    """A server whose objects change, and which fails in all ways. Once it works, the copy is what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.reflector: Reflector[int] = Reflector(read, np.random.default_rng(0))
        self.now = 0.0
        self.version = 1
        self.oldest = 1
        self.objects: dict[str, int] = {}
        self.changes: list[tuple[int, bytes]] = []
        self.snapshots: dict[str, tuple[int, list[tuple[str, int]]]] = {}
        self.watched_from: int | None = None

    @rule(name=st.sampled_from("abcde"), n=st.integers(0, 5))
    def change(self, name: str, n: int) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = n
        self.changes.append((self.version, line(kind, self.version, name, n)))

    @rule(name=st.sampled_from("abcde"))
    def delete(self, name: str) -> None:
        if name in self.objects:
            self.version += 1
            n = self.objects.pop(name)
            self.changes.append((self.version, line("DELETED", self.version, name, n)))

    @rule()
    def compact(self) -> None:
        self.oldest = self.version
        self.snapshots.clear()

    @rule(failing=st.sampled_from(Failing))
    def fail(self, failing: Failing) -> None:
        self.watched_from = None
        self.now += 60.0
        self.reflector.failed(ApiError(failing), self.now)

    @rule(events=st.integers(0, 3), end=st.booleans())
    def work(self, events: int, *, end: bool) -> None:
        """One request is answered, or a watch that is open goes on."""
        self.now += 60.0
        step = self.reflector.step(self.now)
        if self.watched_from is not None:
            self._tell(events, end=end)
        elif isinstance(step, ListFrom):
            self._list(step)
        elif isinstance(step, WatchFrom):
            self.reflector.opened(self.now)
            self.watched_from = int(step.version)
            self._tell(events, end=end)

    def _list(self, step: ListFrom) -> None:
        snapshot, _, start = step.token.partition("/")
        if step.token and snapshot not in self.snapshots:
            self.reflector.failed(ApiError(Failing.GONE), self.now)
            return
        if not step.token:
            snapshot = str(len(self.snapshots))
            self.snapshots[snapshot] = self.version, sorted(self.objects.items())
        version, items = self.snapshots[snapshot]
        first = int(start or 0)
        last = first + 2 if step.limit else len(items)
        token = f"{snapshot}/{last}" if last < len(items) else ""
        self.reflector.listed(page(version, token, **dict(items[first:last])), self.now)

    def _tell(self, events: int, *, end: bool) -> None:
        assert self.watched_from is not None
        if self.watched_from < self.oldest:
            self.watched_from = None
            self.reflector.event(GONE_LINE, self.now)
            return
        for version, text in [change for change in self.changes if change[0] > self.watched_from][:events]:
            self.reflector.event(text, self.now)
            self.watched_from = version
        if end:
            self.watched_from = None
            self.now += 60.0
            self.reflector.ended(self.now)

    @invariant()
    def what_is_kept_was_there(self) -> None:
        assert set(self.reflector.objects) <= set("abcde")
        assert 0 not in self.reflector.objects.values()

    def teardown(self) -> None:
        for _ in range(20):
            self.work(events=1000, end=False)
        assert self.reflector.synced
        assert dict(self.reflector.objects) == {name: n for name, n in self.objects.items() if n}


TestCopying = Copying.TestCase
TestCopying.settings = settings(max_examples=150, stateful_step_count=40)


def test_a_page_that_the_server_refuses_again_and_again_leads_to_a_list_from_the_beginning() -> None:
    reflector: Reflector[int] = Reflector(read, np.random.default_rng(0))
    reflector.listed(page(1, "token", a=1), 0.0)
    assert reflector.step(0.0) == ListFrom("token", module.PAGE_OBJECTS)
    now = 0.0
    for _ in range(module.FAILED_TRIES):
        reflector.failed(ApiError(Failing.SERVER, "continue key is not valid"), now)
        now += module.LONGEST_WAIT_S
    assert reflector.step(now) == ListFrom("", module.PAGE_OBJECTS)
