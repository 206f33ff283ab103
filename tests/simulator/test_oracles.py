"""Oracles: what they say of an engine is what the engine then does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epp.simulator import Incident, IncidentKind, LinearCost, MockerCost, Scenario, Simulation
from epp.simulator.costs import StepCost
from epp.simulator.oracles import MARGINAL_IMPACT, ORACLES, OracleCost
from epp.workloads import Call
from tests.simulator.plays import call, pool, prepared, to_pod

PUBLISHED = LinearCost()


def with_cost(scenario: Scenario, cost: StepCost = PUBLISHED) -> Scenario:
    return replace(scenario, pods=tuple(replace(pod, cost=cost) for pod in scenario.pods))


class Asking:
    """Keeps the first pod, and asks an oracle about each call before it is placed."""

    def __init__(self, scenario: Scenario, *calls: Call, impact: float = 0.0) -> None:
        self.costs: list[list[float]] = []
        made = prepared(*calls)
        self.simulation = Simulation(made, scenario, to_pod(0), 1)
        oracle = OracleCost(self.simulation, impact)
        (only,) = self.simulation.replicas[0].router.profile.filters
        keep = only.plugin.keep  # type: ignore[attr-defined]

        def ask(request, view):  # type: ignore[no-untyped-def]
            self.costs.append(oracle.cost(request, view).tolist())
            return keep(request, view)

        only.plugin.keep = ask  # type: ignore[attr-defined]
        self.run = self.simulation.run()


@pytest.mark.parametrize("prompt", [40, 640, 5000], ids=["short", "a step", "five steps"])
@pytest.mark.parametrize("output", [1, 2, 300])
@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_what_an_idle_pod_would_take_is_what_it_takes(prompt: int, output: int, speed: float) -> None:
    asked = Asking(with_cost(pool(speeds=[speed])), call(1.0, prompt, output))
    assert asked.costs == [[pytest.approx(asked.run.calls.e2e_s[0], rel=0.01)]]


def test_what_is_cached_is_not_counted() -> None:
    shared = [(3, 2000)]
    asked = Asking(with_cost(pool(2)), call(0.0, shared, 50), call(20.0, shared, 50))
    assert asked.costs[1][0] == pytest.approx(asked.run.calls.e2e_s[1], rel=0.01)
    assert asked.costs[1][1] == pytest.approx(asked.costs[0][1], rel=0.01)
    assert asked.run.calls.e2e_s[1] < asked.run.calls.e2e_s[0]


def test_a_prefix_that_is_just_being_computed_is_seen() -> None:
    """The cache is looked at as it is now, not as it was when the engine was last asked."""
    shared = [(3, 512)]
    calls = call(0.0, [*shared, (4, 7000)], 5), call(0.5, [*shared, (5, 64)], 5)
    asked = Asking(with_cost(pool(2)), *calls)
    assert asked.costs[1][0] < asked.costs[0][0]


def test_own_time_includes_what_is_in_front() -> None:
    """Three prefills at once: those in front are waited for, and decode along."""
    asked = Asking(with_cost(pool(2)), *(call(n * 1e-4, 3000, 100) for n in range(3)))
    ours = [costs[0] for costs in asked.costs]
    assert ours[0] < ours[1] < ours[2]
    assert ours[2] == pytest.approx(asked.run.calls.e2e_s[2], rel=0.05)
    assert [costs[1] for costs in asked.costs] == pytest.approx([ours[0]] * 3)


def test_marginal_adds_a_tenth_of_the_delay_of_others() -> None:
    """By the engine itself: how much later the first call ends when the second one comes."""
    first, second = call(0.0, 640, 1000), call(3.0, 4000, 100)
    alone = Asking(with_cost(pool(1)), first).run.calls.e2e_s[0]
    both = Asking(with_cost(pool(1)), first, second)
    marginal = Asking(with_cost(pool(1)), first, second, impact=MARGINAL_IMPACT)
    delay = both.run.calls.e2e_s[0] - alone
    assert delay > 0.3
    assert marginal.costs[1][0] - both.costs[1][0] == pytest.approx(MARGINAL_IMPACT * delay, rel=0.05)
    assert both.costs[1][0] == pytest.approx(both.run.calls.e2e_s[1], rel=0.05)


def test_an_adapter_that_must_be_loaded_costs_its_load() -> None:
    engine = {"max_loras": 2, "lora_load_s": 0.7}
    calls = call(0.0, 640, 10, adapter="a"), call(20.0, 640, 10, adapter="a")
    asked = Asking(with_cost(pool(2, **engine)), *calls)
    assert asked.costs[0][0] == pytest.approx(asked.run.calls.e2e_s[0], rel=0.01)
    assert asked.costs[1][0] == pytest.approx(asked.run.calls.e2e_s[1], rel=0.01)
    assert asked.costs[1][1] - asked.costs[1][0] == pytest.approx(0.7)


def test_a_full_batch_is_waited_for() -> None:
    asked = Asking(with_cost(pool(1, max_num_seqs=1)), call(0.0, 64, 500), call(1.0, 64, 500))
    assert asked.costs[1][0] == pytest.approx(asked.run.calls.e2e_s[1], rel=0.05)


@pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)
def test_nobody_who_knows_goes_to_a_dead_pod(oracle) -> None:  # type: ignore[no-untyped-def]
    dead = Incident(1.0, 0, IncidentKind.FAIL)
    calls = [call(1.1 + n / 10, 640, 20) for n in range(10)]
    run = Simulation(prepared(*calls), with_cost(pool(2, dead)), oracle, 1).run()
    assert set(run.calls.pod) == {1}


def test_oracles_know_more_than_pickers_see() -> None:
    """Pages that never come again: who knows the truth spreads four long calls over four pods all the same."""
    calls = [call(n / 10, 4000, 200) for n in range(4)]
    run = Simulation(prepared(*calls), with_cost(pool(4)), ORACLES["oracle-selfish"], 1).run()
    assert sorted(run.calls.pod) == [0, 1, 2, 3]


def test_a_queue_of_long_prompts_is_as_long_as_it_takes() -> None:
    """Each prompt looks back at itself and not at those before it."""
    calls = [call(n * 1e-4, 8000, 2) for n in range(8)]
    asked = Asking(with_cost(pool(1, num_gpu_blocks=8193)), *calls)
    assert asked.costs[7][0] == pytest.approx(asked.run.calls.e2e_s[7], rel=0.05)


@pytest.mark.parametrize("output", [1, 300])
def test_costs_of_another_form_are_reckoned_with(output: int) -> None:
    asked = Asking(with_cost(pool(1), MockerCost()), call(1.0, 640, output))
    assert asked.costs == [[pytest.approx(asked.run.calls.e2e_s[0], rel=0.05)]]
