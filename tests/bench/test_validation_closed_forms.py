"""The engine meets closed forms: small versions of what docs/simulator.md shows, and the formulas themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.validation.alone import play_alone
from bench.validation.closed_forms import CASES, COST, Case, measure, service_s
from bench.validation.pairs import simulated
from bench.validation.queues import hit_share, mean_present, mean_wait, saturated_per_s
from bench.validation.wire import DIRECTLY
from epp.simulator.blocks import BlockHash
from epp.simulator.engine import Engine
from epp.simulator.scenario import Scenario, SimulatedPod
from epp.simulator.scheduler import EngineSettings
from epp.simulator.sequences import RequestId, SimRequest
from epp.workloads import Call, Segment, Workload
from epp.workloads.generators import generated

RANDOM = [case for case in CASES if case.random]
EXACT = [case for case in CASES if not case.random]


@pytest.mark.parametrize("case", EXACT, ids=[case.name for case in EXACT])
def test_what_is_without_chance_is_met_exactly(case: Case) -> None:
    assert measure(case, [1], 1).simulated == pytest.approx(case.expected, rel=1e-9)


@pytest.mark.parametrize("case", RANDOM, ids=[case.name for case in RANDOM])
def test_means_over_seeds_are_near_the_formula(case: Case) -> None:
    found = measure(case, [1, 2, 3, 4], 1500)
    assert found.half_width < 0.7 * found.expected, "too few to say anything"
    assert abs(found.simulated - found.expected) < 2 * found.half_width


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 3000), st.integers(0, 20)), min_size=1, max_size=40),
    st.integers(1, 2048),
)
def test_each_wait_is_what_those_before_leave(calls: list[tuple[float, int, int]], budget_tokens: int) -> None:
    """Lindley's recursion: next wait = max(0, wait + service - time until the next arrival)."""
    settings = EngineSettings(max_num_seqs=1, max_num_batched_tokens=budget_tokens, enable_prefix_caching=False)
    at, free_at, arrivals, expected = 0.0, 0.0, [], {}
    for number, (gap, prompt, output) in enumerate(calls):
        at += gap
        arrivals.append((at, SimRequest(RequestId(number), prompt, output)))
        free_at = max(at, free_at) + service_s(prompt, output, budget_tokens)
        expected[number] = free_at - at
    served = play_alone(Engine(settings, cost=COST), arrivals)
    assert served.e2e_s == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_waits_in_a_queue() -> None:
    assert mean_wait(0.5, [1.0]) == pytest.approx(0.5)
    assert mean_wait(0.5, [0.0, 2.0], [0.5, 0.5]) == pytest.approx(1.0), "the same mean, twice the second moment"


def test_a_batch_without_a_cost_per_step_is_processor_sharing() -> None:
    assert mean_present(0.75, float) == pytest.approx(0.75 / 0.25), "as M/M/1"


def test_a_batch_with_nothing_but_a_cost_per_step_has_a_server_for_each() -> None:
    assert mean_present(7.0, lambda _: 1.0) == pytest.approx(7.0), "as M/M/infinity"


def test_a_bounded_batch_is_a_row_of_servers() -> None:
    """M/M/2 with a load of 0.5 for each: 2 * 0.5 / (1 - 0.25) are present."""
    assert mean_present(1.0, lambda _: 1.0, most=2) == pytest.approx(4 / 3)


def test_a_full_batch_shares_what_a_step_costs() -> None:
    assert saturated_per_s(10, step_s=0.1, mean_steps=20, mean_work_s=0.3) == pytest.approx(10 / (2 + 3))


def test_hits_of_a_cache_that_holds_nearly_all_and_nearly_nothing() -> None:
    shares = [0.1] * 10
    assert hit_share(shares, 1000) == pytest.approx(1.0)
    assert hit_share(shares, 1) < 0.1


def test_a_pool_of_one_pod_serves_each_call_as_its_engine_does_alone() -> None:
    workload = generated("chat:calls=60,rate_per_s=3,think_s=0.5,output_tokens=30", 1)
    workload = Workload("alone", tuple(_alone(call, number) for number, call in enumerate(workload.calls)))
    pool = simulated(workload, Scenario((SimulatedPod("pod", cost=COST),), DIRECTLY), "random")
    arrivals = [
        (call.at_s, SimRequest(RequestId(number), call.prompt_tokens, call.output_tokens, [BlockHash(number + 1)]))
        for number, call in enumerate(workload.calls)
    ]
    served = play_alone(Engine(EngineSettings(enable_prefix_caching=False), cost=COST), arrivals)
    np.testing.assert_allclose(pool.ttft_s, [served.first_s[number] for number in range(60)], atol=1e-5)
    np.testing.assert_allclose(pool.e2e_s, [served.e2e_s[number] for number in range(60)], atol=1e-5)


def _alone(call: Call, number: int) -> Call:
    """A call of its own, which shares nothing with others."""
    return Call(0.1 * number, (Segment(number + 1, call.prompt_tokens),), Segment(1000 + number, call.output.tokens))
