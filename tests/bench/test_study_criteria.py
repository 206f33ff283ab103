"""What counts as reached, on made-up figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bench.study.criteria import Finding, findings, mean_ratio
from bench.study.results import figures_from
from epp.reports import Case, Record, summaries

SEEDS = (1, 2, 3)
CHAT = Case("chat", "homogeneous")
GOOD = {"ttft_mean_s": 1.0, "ttft_p90_s": 2.0, "e2e_mean_s": 5.0, "slo_share": 0.9, "imbalance_tokens": 1.2}

SIMPLE = "not worse than the best simple policy"
BEST = "p90 TTFT within 10 % of the best"
ORACLE = "within 10 % of the marginal oracle"
GO = "better than the Go picker's profiles in the mean"
LONGEST = "the longest prefix alone fails where all prompts begin alike"


def records(policies: Mapping[str, Mapping[str, float]], case: Case, spread: float = 0.0) -> list[Record]:
    """The figures of each policy, a little different for each seed."""
    return [
        Record(name, case, seed, figures_from((one, value + spread * seed * value) for one, value in figures.items()))
        for name, figures in policies.items()
        for seed in SEEDS
    ]


def found(other: str, changes: Mapping[str, float], case: Case = CHAT) -> Sequence[Finding]:
    return findings(records({"default": GOOD, other: {**GOOD, **changes}}, case))


ROWS = {
    "an equal is not worse": ("random", {}, SIMPLE, [True, True]),
    "a simple policy with a lower mean": ("random", {"ttft_mean_s": 0.9}, SIMPLE, [False, True]),
    "a simple policy that keeps the objective more often": (
        "least-requests",
        {"slo_share": 0.95},
        SIMPLE,
        [True, False],
    ),
    "less than a step is no difference": ("round-robin", {"ttft_mean_s": 0.995}, SIMPLE, [True, True]),
    "nine percent behind the best": ("lmetric", {"ttft_p90_s": 2.0 / 1.09}, BEST, [True]),
    "eleven percent behind the best": ("lmetric", {"ttft_p90_s": 2.0 / 1.11}, BEST, [False]),
    "an oracle is not the best": ("oracle-marginal", {"ttft_p90_s": 1.0}, BEST, []),
    "an oracle is far ahead": ("oracle-marginal", {"ttft_p90_s": 1.0}, ORACLE, [False, True]),
    "behind a profile of the Go picker": ("llm-d-legacy", {"e2e_mean_s": 4.9, "ttft_mean_s": 2.0}, GO, [False]),
    "before a profile of the Go picker": ("llm-d-legacy", {"e2e_mean_s": 5.1, "ttft_mean_s": 2.0}, GO, [True]),
}


@pytest.mark.parametrize(("other", "changes", "criterion", "reached"), ROWS.values(), ids=ROWS)
def test_criterion(other: str, changes: Mapping[str, float], criterion: str, reached: Sequence[bool]) -> None:
    assert [one.reached for one in found(other, changes) if one.criterion == criterion] == reached


def test_a_difference_within_the_interval_is_none() -> None:
    ours = records({"default": GOOD}, CHAT, spread=0.5)
    theirs = records({"random": {**GOOD, "ttft_mean_s": 1.2}}, CHAT)
    (ttft, _) = [one for one in findings(ours + theirs) if one.criterion == SIMPLE]
    assert ttft.reached


def test_oracles_are_compared_on_homogeneous_pools_only() -> None:
    other = found("oracle-marginal", {"ttft_p90_s": 1.0}, Case("chat", "two pickers"))
    assert ORACLE not in {one.criterion for one in other}


@pytest.mark.parametrize(("imbalance", "reached"), [(8.0, True), (1.3, False)])
def test_the_longest_prefix_must_fail(imbalance: float, reached: bool) -> None:
    changes = {"ttft_p90_s": 20.0, "imbalance_tokens": imbalance}
    trap = found("longest-prefix", changes, Case("shared-prompt", "lean mode"))
    assert [one.reached for one in trap if one.criterion == LONGEST] == [reached]


def test_cases_without_the_default_have_no_criterion() -> None:
    assert findings(records({"random": GOOD, "lmetric": GOOD}, Case("chat", "lean mode"))) == []


def test_mean_of_ratios_is_geometric_and_leaves_out_what_is_not_there() -> None:
    half, double = {**GOOD, "ttft_mean_s": 0.5}, {**GOOD, "ttft_mean_s": 2.0}
    cases = summaries(
        records({"default": GOOD, "ramjet": half}, Case("a", ""))
        + records({"default": GOOD, "ramjet": double}, Case("b", ""))
        + records({"default": GOOD}, Case("c", ""))
    )
    assert mean_ratio(cases, "ramjet", "default", "ttft_mean_s") == pytest.approx(1.0)
