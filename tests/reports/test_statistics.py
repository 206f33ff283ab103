"""Intervals, against worked examples and an independent integration of Student's density."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.reports import Verdict, compare, estimate, ratio
from epp.reports.statistics import student_t


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 9, 13, 14, 15, 16, 20, 30, 60, 200])
def test_a_twentieth_of_students_distribution_lies_beyond_its_quantiles(freedom: int) -> None:
    # x = sqrt(n) tan(u) turns the density into cos(u)^(n-1), on a finite interval
    limit = math.atan(student_t(freedom) / math.sqrt(freedom))
    inside = np.cos((np.arange(200_000) + 0.5) / 200_000 * limit) ** (freedom - 1)
    all_of_it = np.cos((np.arange(200_000) + 0.5) / 200_000 * math.pi / 2) ** (freedom - 1)
    assert inside.sum() * limit / (all_of_it.sum() * math.pi / 2) == pytest.approx(0.95, abs=2e-5)


def test_mean_and_half_width() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.seeds) == (2.0, 3)
    assert found.half_width == pytest.approx(4.3027 * 1.0 / math.sqrt(3))
    assert (found.low, found.high) == pytest.approx((2 - found.half_width, 2 + found.half_width))


def test_one_seed_has_no_interval() -> None:
    assert estimate([5.0]).mean == 5.0
    assert math.isnan(estimate([5.0]).half_width)


def test_values_that_are_not_known_are_left_out() -> None:
    assert estimate([1.0, math.nan, 3.0, math.inf]).mean == 2.0
    assert math.isnan(estimate([math.nan]).mean)


COMPARED = {
    # what the seeds did to both cancels: a difference of 1 in each, though seeds differ by hundreds
    "paired, lower": ({1: 100.0, 2: 200.0, 3: 301.0}, {1: 101.1, 2: 201.0, 3: 301.9}, True, Verdict.BETTER),
    "paired, higher": ({1: 100.0, 2: 200.0, 3: 301.0}, {1: 101.1, 2: 201.0, 3: 301.9}, False, Verdict.WORSE),
    "within the noise": ({1: 1.0, 2: 3.0, 3: 2.0}, {1: 2.0, 2: 2.0, 3: 2.5}, True, Verdict.EQUAL),
    "the same": ({1: 1.0, 2: 3.0}, {1: 1.0, 2: 3.0}, True, Verdict.EQUAL),
    "always as much more": ({1: 2.0, 2: 4.0}, {1: 1.0, 2: 3.0}, True, Verdict.WORSE),
    "one seed": ({1: 1.0}, {1: 5.0}, True, Verdict.UNKNOWN),
    "one seed in common": ({1: 1.0, 2: 1.0}, {2: 5.0, 3: 5.0}, True, Verdict.UNKNOWN),
    "none in common": ({1: 1.0}, {2: 5.0}, True, Verdict.UNKNOWN),
    "one of two is not known": ({1: 1.0, 2: math.nan}, {1: 5.0, 2: 5.0}, True, Verdict.UNKNOWN),
}


@pytest.mark.parametrize("case", COMPARED)
def test_verdicts(case: str) -> None:
    first, second, lower_is_better, expected = COMPARED[case]
    assert compare(first, second, lower_is_better=lower_is_better).verdict is expected


def test_pairs_are_made_by_seed_not_by_order() -> None:
    found = compare({1: 1.0, 2: 10.0}, {2: 20.0, 1: 2.0}, lower_is_better=True)
    assert found.difference.mean == -5.5
    assert found.ratio.mean == pytest.approx(0.5)


def test_ratio_of_exact_multiples_is_sure() -> None:
    assert ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]).half_width == pytest.approx(0.0)


def test_ratio_by_the_delta_method() -> None:
    found = ratio([3.0, 5.0], [2.0, 2.0])
    # residuals 3 - 2*2 and 5 - 2*2 over the mean 2: -0.5 and 0.5; their deviation sqrt(0.5), over sqrt(2)
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(12.7062 * 0.5)


def test_ratio_to_nothing_is_not_known() -> None:
    assert math.isnan(ratio([1.0, 2.0], [0.0, 0.0]).mean)


def test_intervals_hold_the_truth_in_95_of_100_experiments() -> None:
    chance = np.random.default_rng(7)
    experiments = chance.normal(10, 3, (4_000, 5))
    covered = np.mean([found.low <= 10 <= found.high for found in map(estimate, experiments.tolist())])
    assert covered == pytest.approx(0.95, abs=0.012)  # three and a half standard errors


def test_intervals_of_ratios_hold_the_truth_about_as_often() -> None:
    chance = np.random.default_rng(8)
    below = chance.normal(10, 1, (4_000, 5))
    above = 2 * below + chance.normal(0, 1, below.shape)
    found = [ratio(first, second) for first, second in zip(above.tolist(), below.tolist(), strict=True)]
    assert np.mean([one.low <= 2 <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)


SEEDS = st.dictionaries(st.integers(0, 9), st.floats(-1e6, 1e6), min_size=2, max_size=8)


@given(SEEDS, SEEDS)
def test_who_is_better_does_not_depend_on_who_is_asked(first: dict[int, float], second: dict[int, float]) -> None:
    turned = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    one, other = compare(first, second, lower_is_better=True), compare(second, first, lower_is_better=True)
    assert one.verdict is turned.get(other.verdict, other.verdict)
    assert compare(first, second, lower_is_better=False).verdict is other.verdict
