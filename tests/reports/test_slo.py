"""Service level objectives as they are written."""

import math

import pytest

from epp.reports import Slo

WRITTEN = {
    "ttft=2s,tpot=50ms": Slo(2.0, 0.05),
    "tpot=50ms, ttft=1.5s": Slo(1.5, 0.05),
    "ttft=1m": Slo(60.0, math.inf),
    "tpot=800us": Slo(math.inf, 8e-4),
}

REFUSED = {
    "": "write it like ttft=2s,tpot=50ms",
    "ttft=2": "write it like",
    "e2e=2s": "'e2e=2s'",
    "ttft=2s,": "''",
    "ttft=2s,ttft=3s": "twice",
    "ttft=0s": "above 0",
    "ttft=-1s": "write it like",
    "ttft=nans": "write it like",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_reads_limits_with_units(text: str) -> None:
    read = Slo.parse(text)
    assert (read.ttft_s, read.tpot_s) == pytest.approx((WRITTEN[text].ttft_s, WRITTEN[text].tpot_s))


@pytest.mark.parametrize("text", WRITTEN)
def test_what_it_prints_can_be_read(text: str) -> None:
    assert str(Slo.parse(str(Slo.parse(text)))) == str(Slo.parse(text))


@pytest.mark.parametrize("text", REFUSED)
def test_refuses_what_is_no_objective(text: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[text]):
        Slo.parse(text)


def test_without_limits_it_says_so() -> None:
    assert str(Slo()) == "none"


@pytest.mark.parametrize(
    ("text", "each"),
    [("ttft=2s,tpot=50ms", ["ttft=2s", "tpot=50ms"]), ("tpot=50ms", ["tpot=50ms"])],
)
def test_each_limit_is_an_objective_of_its_own(text: str, each: list[str]) -> None:
    assert [str(limit) for limit in Slo.parse(text).limits()] == each
