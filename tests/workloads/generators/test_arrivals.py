from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from epp.workloads.generators.arrivals import Times, bursts, constant, gamma, piecewise, poisson, sinusoid

COUNT = 20_000

PROCESSES: dict[str, Callable[[Generator], Times]] = {
    "constant": lambda _rng: constant(5.0, COUNT),
    "poisson": lambda rng: poisson(rng, 5.0, COUNT),
    "even gamma": lambda rng: gamma(rng, 5.0, COUNT, 0.3),
    "clustered gamma": lambda rng: gamma(rng, 5.0, COUNT, 3.0),
    "steps": lambda rng: piecewise(rng, [(10.0, 2.0), (30.0, 6.0)], COUNT),
    "sinusoid": lambda rng: sinusoid(rng, 5.0, 0.8, 60.0, COUNT),
    "bursts": lambda rng: bursts(rng, 2.5, 11.0, 1.0, 10.0, COUNT),
}


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_arrivals_ascend_at_the_mean_rate(process: Callable[[Generator], Times]) -> None:
    times = process(np.random.default_rng(1))
    assert len(times) == COUNT
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] == pytest.approx(COUNT / 5.0, rel=0.05)


@pytest.mark.parametrize(("variation", "process"), [(1.0, "poisson"), (0.3, "even gamma"), (3.0, "clustered gamma")])
def test_gaps_vary_as_asked(variation: float, process: str) -> None:
    gaps = np.diff(PROCESSES[process](np.random.default_rng(1)))
    assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.05)


def rate(times: Times, period_s: float, begin_s: float, end_s: float) -> float:
    """Calls per second in that part of all periods."""
    whole = times[times < times[-1] // period_s * period_s] % period_s
    return ((whole >= begin_s) & (whole < end_s)).sum() / (end_s - begin_s) / (times[-1] // period_s)


def test_steps_have_their_rates() -> None:
    times = PROCESSES["steps"](np.random.default_rng(2))
    assert rate(times, 40.0, 0.0, 10.0) == pytest.approx(2.0, rel=0.1)
    assert rate(times, 40.0, 10.0, 40.0) == pytest.approx(6.0, rel=0.1)


def test_bursts_stand_at_the_end_and_are_so_many_times_the_rate() -> None:
    times = PROCESSES["bursts"](np.random.default_rng(2))
    assert rate(times, 10.0, 0.0, 9.0) == pytest.approx(2.5, rel=0.1)
    assert rate(times, 10.0, 9.0, 10.0) == pytest.approx(27.5, rel=0.1)


def test_a_sinusoid_swings_from_its_trough() -> None:
    times = PROCESSES["sinusoid"](np.random.default_rng(2))
    assert rate(times, 60.0, 0.0, 3.0) == pytest.approx(1.0, rel=0.15)
    assert rate(times, 60.0, 28.5, 31.5) == pytest.approx(9.0, rel=0.1)
