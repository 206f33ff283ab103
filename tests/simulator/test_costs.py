import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulator.costs import (
    COSTS,
    DecodeRun,
    LinearCost,
    LinearSeries,
    ListedSeries,
    MockerCost,
    StepSeries,
    StepWork,
)

COLD_PREFILL = {  # tokens: seconds, by the published polynomial 0.066 + 0.0570 k + 0.00441 k^2
    1_000: 0.12741,
    10_000: 1.077,
    50_000: 13.941,
}


@pytest.mark.parametrize(("tokens", "seconds"), COLD_PREFILL.items())
def test_a_cold_prefill_takes_what_was_published(tokens: int, seconds: float) -> None:
    cost = LinearCost()
    work = StepWork(prefill_tokens=tokens, prefill_attention=tokens**2)
    assert cost.arrival_s + cost.seconds(work) == pytest.approx(seconds)


def test_decode_is_as_fast_as_published() -> None:
    step_s = LinearCost().seconds(StepWork(decode_seqs=4, decode_context_tokens=200_000))
    assert 4 / step_s == pytest.approx(98, abs=0.5)


@pytest.mark.parametrize("cuts", [(10_000,), (8192, 1808), (1, 9_999), (2500, 2500, 2500, 2500)], ids=str)
def test_cutting_a_prompt_costs_a_step_more_and_nothing_else(cuts: tuple[int, ...]) -> None:
    cost, start, total = LinearCost(), 0, 0.0
    for tokens in cuts:
        total += cost.seconds(StepWork(tokens, tokens * (2 * start + tokens)))
        start += tokens
    whole = cost.seconds(StepWork(10_000, 10_000**2))
    assert total == pytest.approx(whole + (len(cuts) - 1) * cost.step_s)


MOCKER = {
    "prefill alone": (StepWork(prefill_tokens=1000), 0.0321058),
    "decode alone": (StepWork(decode_seqs=1, kv_usage=0.5), 0.0263100),
    "both": (StepWork(prefill_tokens=1000, decode_seqs=1, kv_usage=0.5), 0.0584158),
}


@pytest.mark.parametrize(("work", "seconds"), MOCKER.values(), ids=MOCKER)
def test_the_mocker_has_its_polynomials(work: StepWork, seconds: float) -> None:
    assert MockerCost().seconds(work) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("name", COSTS)
def test_no_preset_does_work_in_no_time(name: str) -> None:
    assert COSTS[name].seconds(StepWork(prefill_tokens=1, prefill_attention=1)) > 0
    assert COSTS[name].seconds(StepWork(decode_seqs=1)) > 0
    assert COSTS[name].arrival_s >= 0


def run_of(computed: list[int], steps: int) -> DecodeRun:
    held = sum(tokens // 16 + 1 for tokens in computed)
    return DecodeRun(steps, computed, held, 4096, 16)


@pytest.mark.parametrize("name", COSTS)
@given(computed=st.lists(st.integers(1, 5000), min_size=1, max_size=8), steps=st.integers(1, 200))
def test_a_run_of_decodes_takes_as_long_as_its_steps(name: str, computed: list[int], steps: int) -> None:
    cost, at = COSTS[name], 0.0
    series = cost.decode(run_of(computed, steps))
    for step in range(steps):
        assert series.after_s(step) == pytest.approx(at)
        used = sum((tokens + step) // 16 + 1 for tokens in computed)
        at += cost.seconds(StepWork(0, 0, len(computed), sum(computed) + step * len(computed), used / 4096))
    assert series.after_s(steps) == pytest.approx(at)


SERIES = {
    "steps that grow": LinearSeries(0.01, 1e-4),
    "equal steps": LinearSeries(0.01, 0.0),
    "steps that grow as much as they can": LinearSeries(0.5, 0.5),
    "a list": ListedSeries(np.cumsum([0.5, 0.5, 1.0, 4.0])),
}


@pytest.mark.parametrize("series", SERIES.values(), ids=SERIES)
@given(seconds=st.floats(0.0, 5.9), count=st.integers(0, 4))
def test_a_step_is_over_when_its_time_has_come(series: StepSeries, seconds: float, count: int) -> None:
    over = series.over(seconds)
    assert series.after_s(over) <= seconds < series.after_s(over + 1)
    assert series.over(series.after_s(count)) == count


def test_nothing_is_over_before_the_begin() -> None:
    assert LinearSeries(0.01, 0.1).over(-1.0) == 0
