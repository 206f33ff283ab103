import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.endpoints import AdapterState, EndpointSpec, EndpointTable
from epp.endpoints.adapters import AdapterLedger

BUSY, QUEUED, LOADABLE, RESIDENT = AdapterState


def ledger(slots: int = 2) -> AdapterLedger:
    table = EndpointTable()
    table.replace([EndpointSpec("10.0.0.1:8000")], 0.0)
    table.columns.max_loras[0] = slots
    return AdapterLedger(table)


def state(adapters: AdapterLedger, name: str) -> AdapterState:
    return AdapterState(adapters.states(name, np.array([0]))[0])


def play(adapters: AdapterLedger, script: str) -> None:
    """`+a` places a request for a, `-a` ends one, `=a,b` is a scrape that lists a and b as running."""
    for word in script.split():
        names = word[1:]
        if word[0] == "+":
            adapters.placed(0, names)
        elif word[0] == "-":
            adapters.released(0, names)
        else:
            adapters.scraped(0, filter(None, names.split(",")))


@pytest.mark.parametrize(
    ("script", "expected"),
    {
        "nothing is known": ("", {"a": LOADABLE}),
        "what was placed is resident": ("+a", {"a": RESIDENT, "b": LOADABLE}),
        "idle adapters stay, though no scrape lists them": ("+a -a =", {"a": RESIDENT}),
        "the least recently used idle one gives way": ("+a -a +b -b +c", {"a": LOADABLE, "b": RESIDENT, "c": RESIDENT}),
        "an idle slot can be taken": ("+a -a +b", {"c": LOADABLE}),
        "all slots in use": ("+a +b", {"c": BUSY}),
        "who waits for a slot is queued": ("+a +b +c", {"c": QUEUED, "d": BUSY}),
        "a slot that frees goes to the first in the queue": ("+a +b +c +d -a", {"a": BUSY, "c": RESIDENT, "d": QUEUED}),
        "two requests of one adapter hold one slot": ("+a +a +b -a", {"a": RESIDENT, "c": BUSY}),
        "a waiting request that gives up leaves the queue": ("+a +b +c -c", {"c": BUSY}),
        "others' adapters show in scrapes, and are in use": ("=x,y", {"x": RESIDENT, "y": RESIDENT, "a": BUSY}),
        "what no longer runs can give way": ("=x,y =x", {"x": RESIDENT, "y": RESIDENT, "a": LOADABLE}),
        "the server knows better which run": ("+a +b +c =b,c", {"c": RESIDENT, "b": RESIDENT, "a": QUEUED}),
        "more ends than beginnings": ("-a +a -a -a", {"a": RESIDENT, "b": LOADABLE}),
    }.values(),
)
def test_slots(script: str, expected: dict[str, AdapterState]) -> None:
    adapters = ledger()
    play(adapters, script)
    assert {name: state(adapters, name) for name in expected} == expected


words = st.sampled_from(["+a", "+b", "+c", "+d", "-a", "-b", "-c", "-d", "=a", "=b,c", "=", "=d,a,b"])


@given(st.lists(words, max_size=40), st.integers(1, 3))
def test_never_more_adapters_are_resident_than_there_are_slots(script: list[str], slots: int) -> None:
    adapters = ledger(slots)
    for word in script:
        play(adapters, word)
        assert len(adapters.resident(0)) <= slots


def test_a_restarted_server_holds_nothing() -> None:
    adapters = ledger()
    play(adapters, "+a +b")
    adapters.forget(0)
    assert adapters.resident(0) == ()
