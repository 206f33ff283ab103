"""Runs put together by case, policy and seed."""

import pytest

from epp.reports import Case, Record, Slo, Verdict, best_of, record_of, summaries
from tests.reports.made import calls_of, run_of


def record(policy: str, ttft: float, seed: int = 1, **settings: str) -> Record:
    return record_of(run_of(calls_of(2, ttft_s=ttft, e2e_s=9.0), policy=policy, seed=seed, **settings), Slo(1.5))


RECORDS = [
    record("slow", 2.0),
    record("slow", 2.2, seed=2),
    record("fast", 1.0),
    record("fast", 1.1, seed=2),
    record("fast", 3.0, condition="stale"),
    record("dead", float("nan")),
]


def test_policies_of_a_case_stand_by_mean_ttft_and_those_without_one_last() -> None:
    found = summaries(RECORDS)
    assert list(found) == [Case("chat", ""), Case("chat", "stale")]
    assert [one.policy for one in found[Case("chat", "")]] == ["fast", "slow", "dead"]


def test_figures_by_seed() -> None:
    fast, slow, _ = summaries(RECORDS)[Case("chat", "")]
    assert fast.values("ttft_mean_s") == {1: 1.0, 2: pytest.approx(1.1)}
    assert fast.estimate("ttft_mean_s").mean == pytest.approx(1.05)
    compared = slow.compare(fast, "ttft_mean_s")
    assert compared.ratio.mean == pytest.approx(2.0)
    assert compared.verdict is Verdict.WORSE


def test_more_is_better_where_the_measure_says_so() -> None:
    policies = summaries(RECORDS)[Case("chat", "")]
    best, worst = best_of(policies, "slo_share"), best_of(policies, "ttft_mean_s")
    assert best is not None
    assert worst is not None
    assert (best.policy, worst.policy) == ("fast", "fast")


def test_there_is_no_best_of_what_is_not_known_or_only_describes() -> None:
    policies = summaries(RECORDS)[Case("chat", "")]
    assert best_of(policies[2:], "ttft_mean_s") is None
    assert best_of(policies, "prompt_tokens_per_s") is None


def test_a_run_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two runs of 'slow' on chat with seed 1"):
        summaries([RECORDS[0], RECORDS[0]])


def test_cases_print_as_people_write_them() -> None:
    assert [str(Case("chat", "")), str(Case("chat", "stale"))] == ["chat", "chat, stale"]
