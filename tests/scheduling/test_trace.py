"""The notes of a decision: the whole explanation, and the short one that every request can have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scheduling.trace import Kind, Shortlist, Trace

LIMIT = 3


def traced(
    totals: list[float], kept: list[bool], picked: list[int], terms: dict[str, list[float]] | None = None
) -> Trace:
    """A decision among endpoints 0, 1, ...: a filter, terms for those that it kept, and picks by their number."""
    everyone = np.arange(len(kept))
    rows = everyone[np.array(kept, np.bool_)]
    trace = Trace(tuple(f"e{number}" for number in everyone), everyone, prompt_tokens=100.0, tokens_per_block=40.0)
    trace.blocks_by_row = everyone
    trace.step(Kind.FILTER, "f", everyone, np.array(kept, np.bool_))
    for name, values in (terms or {}).items():
        trace.step(Kind.TERM, name, rows, np.array(values)[rows])
    trace.step(Kind.TOTAL, "p", rows, np.array(totals)[rows])
    trace.picked = np.array(picked)
    return trace


def test_the_picked_come_first_and_then_the_best() -> None:
    trace = traced([5.0, 1.0, 9.0, 7.0, 8.0], [True] * 5, [1], {"wait": [0.5, 1.5, 2.5, 3.5, 4.5]})
    found = trace.shortlist(LIMIT)
    assert found.addresses == ("e1", "e2", "e4")
    assert found.totals == [1.0, 9.0, 8.0]
    assert found.terms == {"wait": [1.5, 2.5, 4.5]}
    assert found.matched_tokens == [40.0, 80.0, 100.0], "not more than the prompt has"
    assert (found.of, found.out, found.scores) == (5, {}, {})


def test_who_was_taken_out_is_counted_and_not_listed() -> None:
    found = traced([1.0, 2.0, 3.0, 4.0], [True, False, False, True], [3]).shortlist(LIMIT)
    assert (found.addresses, found.of, found.out) == (("e3", "e0"), 4, {"f": 2})


def test_a_term_that_not_everybody_got_is_not_a_number_for_the_others() -> None:
    trace = traced([3.0, 2.0, 1.0], [True] * 3, [0])
    trace.step(Kind.SCORE, "late", np.array([1, 2]), np.array([0.5, 0.25]))
    (nobody, *others) = trace.shortlist(LIMIT).scores["late"]
    assert math.isnan(nobody)
    assert others == [0.5, 0.25]


def test_what_was_forgotten_has_no_shortlist() -> None:
    trace = traced([1.0], [True], [0])
    trace.forget()
    assert trace.shortlist(LIMIT) == Shortlist()


@given(data=st.data(), size=st.integers(1, 12), limit=st.integers(1, 12))
def test_it_says_what_the_explanation_says(data: st.DataObject, size: int, limit: int) -> None:
    numbers = st.lists(st.integers(-50, 50).map(float), min_size=size, max_size=size, unique=True)
    kept = data.draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(any))
    rows = [row for row in range(size) if kept[row]]
    picked = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=3, unique=True))
    trace = traced(data.draw(numbers), kept, picked, {"wait": data.draw(numbers), "decode": data.draw(numbers)})
    short = trace.shortlist(limit)
    explained = [one for one in trace.explain().candidates if one.total is not None][:limit]
    assert short.addresses == tuple(one.address for one in explained)
    assert short.totals == [one.total for one in explained]
    assert short.matched_tokens == pytest.approx([one.matched_tokens for one in explained])
    for name in ("wait", "decode"):
        assert short.terms[name] == [one.terms[name] for one in explained]
