"""Which runs a study is made of."""

from __future__ import annotations

import pytest

from bench.study.conditions import CONDITIONS, HOMOGENEOUS, scenario
from bench.study.criteria import ORACLES
from bench.study.plan import FULL, QUICK, SAMPLE, run_of, tuned
from bench.workloads import ALL, HELD_OUT_SEEDS, TUNING_SEEDS
from epp.commands.policies import policy_names
from epp.simulator.runner import Job


@pytest.fixture(scope="module")
def everything() -> list[Job]:
    """All jobs of the full study."""
    return FULL.jobs()


def test_the_full_plan_is_everything_but_oracles_of_special_pools(everything: list[Job]) -> None:
    runs = {run_of(job) for job in everything}
    pickers, oracles = len(policy_names()) - len(ORACLES), len(ORACLES)
    assert len(runs) == len(everything) == len(ALL) * (len(CONDITIONS) * pickers + oracles) * 4
    for run in runs:
        assert run.seed in (TUNING_SEEDS if tuned(run.case.workload) else HELD_OUT_SEEDS)


def test_every_case_comes_before_any_gets_its_second_seed() -> None:
    seeds = [job.seed for job in QUICK.jobs()]
    assert seeds == sorted(seeds, key=lambda seed: seed % 100)


def test_the_sample_has_what_every_criterion_needs_and_ends_in_20_minutes(everything: list[Job]) -> None:
    jobs = SAMPLE.jobs()
    assert {run_of(job).case for job in jobs} == {run_of(job).case for job in everything}
    assert {job.policy for job in jobs if job.scenario.name == HOMOGENEOUS} == set(policy_names())
    assert sum(map(SAMPLE.seconds, jobs)) / 2 < 20 * 60


def test_what_is_chosen_is_a_part_of_the_plan() -> None:
    chosen = QUICK.only(workloads=["tenants"], policies=["default", "ramjet"])
    assert {(job.workload, job.policy) for job in chosen.jobs()} == {("tenants", "default")}
    assert set(chosen.jobs()) < set(QUICK.jobs())


def test_pools_of_all_conditions_have_the_same_power_at_the_begin() -> None:
    for condition in CONDITIONS:
        pool = scenario(condition, 100.0)
        assert len(pool.pods) == 8
        assert sum(pod.speed for pod in pool.pods) == 8.0
        assert pool.name == condition


def test_a_pod_slows_down_half_way() -> None:
    (incident,) = scenario("one pod slows down", 100.0).incidents
    assert (incident.at_s, incident.speed) == (50.0, 0.3)
