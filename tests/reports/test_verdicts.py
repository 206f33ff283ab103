"""Sentences, word for word."""

import pytest

from epp.reports import Slo, record_of, summaries, verdict
from tests.reports.made import calls_of, run_of

NAN = float("nan")

SENTENCES = {
    "beyond the interval": (
        {"a": (1.0, 1.0, 1.0), "b": (1.5, 1.5, 1.5), "c": (4.0, 4.0, 4.0)},
        "a has the lowest mean time to the first token, 1.00 ±0.00 s; b comes next, 1.50 ±0.00 times as long (beyond"
        " the 95 % interval); c is the slowest, 4.00 ±0.00 times as long.",
    ),
    "a tie": (
        {"a": (1.0, 1.2, 1.1), "b": (1.1, 1.0, 1.3)},
        "a has the lowest mean time to the first token, 1.10 ±0.25 s; within the 95 % interval of it: b.",
    ),
    "one seed": (
        {"a": (1.0,), "b": (2.0,)},
        "a has the lowest mean time to the first token, 1.00 s; b comes next, 2.00 times as long (with one seed,"
        " nothing is sure).",
    ),
    "an oracle": (
        {"a": (1.0,), "oracle": (0.5,)},
        "a has the lowest mean time to the first token, 1.00 s; oracle, which knows what no picker can know, needs"
        " 0.50 times as long.",
    ),
    "alone": ({"a": (0.25,)}, "a has the lowest mean time to the first token, 0.250 s."),
    "none": ({"a": (NAN,)}, "No call was answered under any policy."),
    "one that never answered": ({"a": (1.0,), "b": (NAN,)}, "a has the lowest mean time to the first token, 1.00 s."),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_verdict(case: str) -> None:
    times, expected = SENTENCES[case]
    runs = [
        run_of(calls_of(2, ttft_s=value, e2e_s=9.0), policy=policy, seed=seed)
        for policy, values in times.items()
        for seed, value in enumerate(values)
    ]
    (policies,) = summaries(record_of(run, Slo()) for run in runs).values()
    assert verdict(policies, {"oracle"}) == expected
