"""What the default policy must reach, and where it does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log

from bench.study.conditions import HOMOGENEOUS
from epp.reports.statistics import Verdict
from epp.reports.summaries import Case, Record, Summary, summaries
from epp.simulator import oracles as simulated

__all__ = [
    "DEFAULT",
    "GO_PROFILES",
    "LONGEST_PREFIX",
    "MARGINAL",
    "ORACLES",
    "SHARED_FIRST_BLOCK",
    "SIMPLE",
    "Finding",
    "findings",
    "mean_ratio",
]

DEFAULT = "default"
SIMPLE = ("round-robin", "least-requests", "random")
GO_PROFILES = ("llm-d-legacy", "llm-d-default", "llm-d-sticky")
MARGINAL = "oracle-marginal"
ORACLES = tuple(simulated.ORACLES)

LONGEST_PREFIX = "longest-prefix"

SHARED_FIRST_BLOCK = "shared-prompt"
"""The workload in which every prompt begins alike."""

_FAILS = 2.0
"""Times the default's p90 TTFT and imbalance: from there on the longest prefix alone counts as failing."""

_WITHIN = 1.1
"""Ten percent."""

_SPLIT_S = 0.01
"""Latencies that differ by less than this are not told apart: a hundredth of a second is less than one step."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One criterion on one case, or on all of them together."""

    criterion: str
    case: str
    reached: bool
    text: str
    """The figures behind it."""


def findings(records: Iterable[Record]) -> list[Finding]:
    """Every criterion on every case that it is about, by case. Cases without the default have none."""
    cases = summaries(records)
    found: list[Finding] = []
    for case, policies in cases.items():
        by_name = {summary.policy: summary for summary in policies}
        if DEFAULT not in by_name:
            continue
        found += _not_worse_than_simple(case, by_name)
        found += _near_the_best(case, by_name)
        if case.condition == HOMOGENEOUS:
            found += _near_the_oracle(case, by_name)
        if case.workload == SHARED_FIRST_BLOCK and LONGEST_PREFIX in by_name:
            found.append(_prefix_fails(case, by_name))
    found += [_better_in_the_mean(cases, name) for name in GO_PROFILES if _has(cases, name)]
    return found


def mean_ratio(cases: Mapping[Case, Sequence[Summary]], policy: str, other: str, measure: str) -> float:
    """Geometric mean over the cases of a figure of one policy over that of another; less than 1 is lower."""
    ratios: list[float] = []
    for policies in cases.values():
        by_name = {summary.policy: summary for summary in policies}
        if policy in by_name and other in by_name:
            ratio = _mean(by_name[policy], measure) / _mean(by_name[other], measure)
            if isfinite(ratio) and ratio > 0:
                ratios.append(log(ratio))
    return exp(sum(ratios) / len(ratios)) if ratios else float("nan")


def _not_worse_than_simple(case: Case, policies: Mapping[str, Summary]) -> Iterable[Finding]:
    """Beyond the 95 % interval, against the best of the simple ones."""
    for measure, best_of in (("ttft_mean_s", min), ("slo_share", max)):
        best = _best(policies, SIMPLE, measure, best_of)
        if best is None:
            continue
        comparison = policies[DEFAULT].compare(best, measure)
        ours, theirs = _mean(policies[DEFAULT], measure), _mean(best, measure)
        reached = comparison.verdict is not Verdict.WORSE or (
            measure == "ttft_mean_s" and abs(ours - theirs) < _SPLIT_S
        )
        text = f"{measure} {ours:.3g} against {theirs:.3g} of {best.policy}"
        yield Finding("not worse than the best simple policy", str(case), reached, text)


def _near_the_best(case: Case, policies: Mapping[str, Summary]) -> Iterable[Finding]:
    others = [name for name in policies if name not in ORACLES and name != DEFAULT]
    best = _best(policies, others, "ttft_p90_s", min)
    if best is not None:
        yield _within("p90 TTFT within 10 % of the best", case, policies[DEFAULT], best, "ttft_p90_s")


def _near_the_oracle(case: Case, policies: Mapping[str, Summary]) -> Iterable[Finding]:
    if MARGINAL in policies:
        for measure in ("ttft_p90_s", "e2e_mean_s"):
            yield _within("within 10 % of the marginal oracle", case, policies[DEFAULT], policies[MARGINAL], measure)


def _prefix_fails(case: Case, policies: Mapping[str, Summary]) -> Finding:
    """The longest prefix alone draws everything to one pod, and the default does not."""
    measures = ("ttft_p90_s", "imbalance_tokens")
    ours, theirs = ([_mean(policies[name], measure) for measure in measures] for name in (DEFAULT, LONGEST_PREFIX))
    reached = all(other >= _FAILS * mine for mine, other in zip(ours, theirs, strict=True))
    text = f"p90 TTFT {ours[0]:.3g} against {theirs[0]:.3g}, imbalance {ours[1]:.3g} against {theirs[1]:.3g}"
    return Finding("the longest prefix alone fails where all prompts begin alike", str(case), reached, text)


def _within(criterion: str, case: Case, ours: Summary, other: Summary, measure: str) -> Finding:
    mine, theirs = _mean(ours, measure), _mean(other, measure)
    reached = mine <= _WITHIN * theirs or mine - theirs < _SPLIT_S
    text = f"{measure} {mine:.3g} against {theirs:.3g} of {other.policy} ({mine / theirs:.2f}x)"
    return Finding(criterion, str(case), reached, text)


def _better_in_the_mean(cases: Mapping[Case, Sequence[Summary]], name: str) -> Finding:
    ttft, e2e = (mean_ratio(cases, DEFAULT, name, measure) for measure in ("ttft_mean_s", "e2e_mean_s"))
    text = f"mean TTFT {ttft:.2f}x, mean end-to-end {e2e:.2f}x of {name}, geometric means over all cases"
    return Finding("better than the Go picker's profiles in the mean", "all", ttft < 1 and e2e < 1, text)


def _best(
    policies: Mapping[str, Summary],
    names: Collection[str],
    measure: str,
    best_of: Callable[..., Summary],
) -> Summary | None:
    there = [policies[name] for name in names if name in policies and isfinite(_mean(policies[name], measure))]
    return best_of(there, key=lambda summary: _mean(summary, measure)) if there else None


def _mean(summary: Summary, measure: str) -> float:
    return summary.estimate(measure).mean


def _has(cases: Mapping[Case, Sequence[Summary]], name: str) -> bool:
    return any(summary.policy == name for policies in cases.values() for summary in policies)
