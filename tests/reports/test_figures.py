"""Figures of runs, worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.reports import MEASURES, Failure, PodInfo, Run, Slo, figures_of
from tests.reports.made import calls_of, run_of

F = Failure

# Five calls on two pods in 10 s: the last one is refused.
#   call   ttft   e2e   out  tpot          prompt cached reusable pod
#   0      1.0    2.0   11   0.1           100    -1     50       0     (hits not told)
#   1      2.0    2.0   1    none          200    100    100      0
#   2      3.0    5.0   21   0.1           300    0      100      1
#   3      4.0    8.0   5    1.0           400    300    300      1
CALLS = calls_of(
    5,
    ttft_s=[1.0, 2.0, 3.0, 4.0, np.nan],
    e2e_s=[2.0, 2.0, 5.0, 8.0, np.nan],
    output_tokens=[11, 1, 21, 5, 0],
    prompt_tokens=[100, 200, 300, 400, 500],
    cached_tokens=[-1, 100, 0, 300, -1],
    reusable_tokens=[50, 100, 100, 300, 500],
    pod=[0, 0, 1, 1, -1],
    predicted_cached_tokens=[10.0, 150.0, np.nan, 250.0, 0.0],
    predicted_ttft_s=[0.5, np.nan, 3.0, 8.0, 1.0],
    failure=[F.NONE, F.NONE, F.NONE, F.NONE, F.REFUSED],
)
RUN = run_of(
    CALLS, duration_s=10.0, busy_s=(2.0, 6.0), pods=(PodInfo("a", "", 3.6), PodInfo("b", "", 7.2)), counters={"x": 2.0}
)

EXPECTED = {
    "ttft_mean_s": 2.5,
    "ttft_p50_s": 2.5,
    "ttft_p90_s": 3.7,
    "ttft_p95_s": 3.85,
    "ttft_p99_s": 3.97,
    "tpot_mean_s": 0.4,
    "tpot_p50_s": 0.1,
    "tpot_p90_s": 0.82,
    "tpot_p95_s": 0.91,
    "tpot_p99_s": 0.982,
    "e2e_mean_s": 4.25,
    "e2e_p50_s": 3.5,
    "e2e_p90_s": 7.1,
    "e2e_p95_s": 7.55,
    "e2e_p99_s": 7.91,
    "hit_tokens": 400.0,
    "hit_share": 400 / 900,
    "hit_of_ceiling": 400 / 500,
    "imbalance_tokens": 400 / 300,  # pod a computed 100 + 100, pod b 300 + 100
    "imbalance_busy": 1.5,
    "slo_share": 2 / 5,  # calls 0 and 1: call 2 waits too long, call 3 does both
    "goodput_per_s": 0.2,
    "failed_share": 0.2,
    "gpu_utilisation": 0.4,
    "cost_per_1000": 10.8 * 10 / 3600 / 4 * 1000,
    "prompt_tokens_per_s": 100.0,
    "output_tokens_per_s": 3.8,
    "predicted_hits_ratio": 400 / 400,
    "predicted_hits_error": (50 / 200 + 50 / 400) / 2,
    "predicted_ttft_ratio": 1.0,  # of 0.5, 1, 2
    "predicted_ttft_error_s": 3.3,  # of 0, 0.5, 4
}


def test_every_figure_is_worked_out_here() -> None:
    assert EXPECTED.keys() == MEASURES.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_figure(name: str) -> None:
    assert figures_of(RUN, Slo(2.5, 0.1)).value(name) == pytest.approx(EXPECTED[name])


def test_counts() -> None:
    figures = figures_of(RUN, Slo())
    assert (figures.calls, figures.answered) == (5, 4)
    assert figures.failures == {"refused": 1}
    assert figures.counters == {"x": 2.0}


def test_calls_of_an_objective_are_those_at_the_limit_and_below() -> None:
    run = run_of(calls_of(2, ttft_s=[1.0, 1.0 + 1e-9], output_tokens=1))
    assert figures_of(run, Slo(ttft_s=1.0)).slo_share == 0.5


UNKNOWN = {
    "nothing was answered": (
        run_of(calls_of(2, failure=F.LOST, ttft_s=np.nan, e2e_s=np.nan)),
        {"ttft_mean_s", "e2e_p99_s", "tpot_p50_s", "cost_per_1000", "hit_share", "imbalance_tokens"},
    ),
    "there was nothing to do": (run_of(calls_of(0)), {"ttft_mean_s", "slo_share", "failed_share", "hit_tokens"}),
    "servers tell no hits": (
        run_of(calls_of(3)),
        {"hit_tokens", "hit_share", "hit_of_ceiling", "predicted_hits_ratio"},
    ),
    "the ceiling is not known": (run_of(calls_of(3, cached_tokens=5)), {"hit_of_ceiling"}),
    "one pod has no price": (run_of(calls_of(3), pods=(PodInfo("a", "", 1.0), PodInfo("b"))), {"cost_per_1000"}),
    "no busy time is known": (run_of(calls_of(3)), {"imbalance_busy", "gpu_utilisation"}),
    "nobody knows who served": (run_of(calls_of(3, pod=-1)), {"imbalance_tokens"}),
    "no time passed": (run_of(calls_of(3), duration_s=0.0), {"goodput_per_s", "output_tokens_per_s"}),
    "no pods": (run_of(calls_of(3, pod=-1), pods=()), {"imbalance_tokens", "cost_per_1000"}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_known_is_nan(case: str) -> None:
    run, names = UNKNOWN[case]
    figures = figures_of(run, Slo(1.0, 1.0))
    assert {name for name in names if not math.isnan(figures.value(name))} == set()


def test_an_idle_pod_counts_in_the_balance() -> None:
    run = run_of(calls_of(4, pod=1), pods=tuple(PodInfo(name) for name in "abcd"))
    assert figures_of(run, Slo()).imbalance_tokens == 4.0


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=60))
def test_quantiles_lie_between_the_values_around_them(values: list[float]) -> None:
    figures = figures_of(run_of(calls_of(len(values), ttft_s=values, e2e_s=values)), Slo())
    ordered = sorted(values)
    for name, share in (("ttft_p50_s", 0.5), ("ttft_p90_s", 0.9), ("ttft_p99_s", 0.99)):
        place = share * (len(ordered) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        assert low * (1 - 1e-9) <= figures.value(name) <= high * (1 + 1e-9)


def test_order_of_calls_does_not_matter() -> None:
    order = np.array([3, 1, 4, 0, 2])
    turned = {name: getattr(CALLS, name)[order] for name in CALLS.__dataclass_fields__}
    run: Run = replace(RUN, calls=calls_of(5, **turned))
    for name in MEASURES:
        assert figures_of(run, Slo(2.5, 0.1)).value(name) == pytest.approx(EXPECTED[name])
