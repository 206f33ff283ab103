"""What is predicted of first tokens, and how it is learned."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.endpoints import Row
from epp.router.first_tokens import FirstTokens

ONE, TWO, NEW = Row(0), Row(1), Row(2)
WORKS = (0.0, 100.0, 1000.0, 20_000.0)


def taught(known: FirstTokens, row: Row, fixed_s: float, rate: float, times: int = 100, noise: float = 0.0) -> None:
    """Requests of an endpoint with that line; most prompts are cached but for a little."""
    rng = np.random.default_rng(3)
    for _ in range(times):
        work = float(rng.choice([20, 60, 150, 400, 4000, 12_000], p=[0.25, 0.25, 0.2, 0.1, 0.1, 0.1]))
        known.seen(row, work, (fixed_s + work / rate) * (1 + noise * rng.normal()))


def test_before_anything_is_known_a_step_and_the_usual_rate_are_assumed() -> None:
    known = FirstTokens()
    assert [known.predicted_s(ONE, work) for work in WORKS] == pytest.approx([0.03 + work / 8000 for work in WORKS])


@pytest.mark.parametrize(("fixed_s", "rate"), [(0.09, 10_000), (0.005, 60_000), (0.5, 500)])
def test_fixed_part_and_speed_are_learned_apart(fixed_s: float, rate: float) -> None:
    known = FirstTokens()
    taught(known, ONE, fixed_s, rate, times=300)
    for work in WORKS:
        assert known.predicted_s(ONE, work) == pytest.approx(fixed_s + work / rate, rel=0.15)


def test_each_endpoint_has_its_own_speed_and_a_new_one_begins_between_them() -> None:
    known = FirstTokens()
    for _ in range(20):
        taught(known, ONE, 0.05, 20_000, times=10)
        taught(known, TWO, 0.05, 5_000, times=10)
    fast, slow, new = (known.predicted_s(row, 10_000) for row in (ONE, TWO, NEW))
    assert fast == pytest.approx(0.55, rel=0.2)
    assert slow == pytest.approx(2.05, rel=0.2)
    assert fast < new < slow


def test_an_endpoint_that_becomes_slow_is_followed() -> None:
    known = FirstTokens()
    taught(known, ONE, 0.05, 20_000)
    taught(known, ONE, 0.05, 4_000, times=150)
    assert known.predicted_s(ONE, 10_000) == pytest.approx(2.55, rel=0.15)


def test_a_stall_hardly_counts() -> None:
    known = FirstTokens()
    taught(known, ONE, 0.05, 10_000)
    before = known.predicted_s(ONE, 1000)
    for _ in range(3):
        known.seen(ONE, 200, 30.0)
    assert known.predicted_s(ONE, 1000) < 1.3 * before


def test_what_is_forgotten_is_as_new() -> None:
    known = FirstTokens()
    taught(known, ONE, 1.0, 1000)
    known.forget(ONE)
    assert known.predicted_s(ONE, 500) == known.predicted_s(NEW, 500)


def test_noise_does_not_lead_astray() -> None:
    known = FirstTokens()
    taught(known, ONE, 0.08, 10_000, times=300, noise=0.3)
    for work in WORKS:
        assert known.predicted_s(ONE, work) == pytest.approx(0.08 + work / 10_000, rel=0.35)


@pytest.mark.parametrize("work", [0.0, 50.0, 3000.0])
def test_prompts_of_one_length_say_what_that_length_takes(work: float) -> None:
    known = FirstTokens()
    for _ in range(2000):
        known.seen(ONE, work, 0.7)
    assert known.predicted_s(ONE, work) == pytest.approx(0.7, rel=0.1)
    assert known.predicted_s(ONE, work + 8000) > 0.7


samples = st.tuples(st.sampled_from([ONE, TWO]), st.floats(0, 1e7), st.floats(1e-6, 7200))


@given(seen=st.lists(samples, max_size=60), works=st.lists(st.floats(0, 1e7), min_size=2, max_size=10))
def test_whatever_was_seen_more_work_takes_no_less_time(
    seen: list[tuple[Row, float, float]], works: list[float]
) -> None:
    known = FirstTokens()
    for row, work, elapsed_s in seen:
        known.seen(row, work, elapsed_s)
    for row in (ONE, TWO, NEW):
        found = [known.predicted_s(row, work) for work in sorted(works)]
        assert all(0 < one < 1e9 for one in found)
        assert all(more >= less * (1 - 1e-9) for less, more in pairwise(found))
