"""What is written down of a run."""

from __future__ import annotations

import numpy as np
import pytest

from epp.reports import Failure
from epp.simulator import Engine
from epp.simulator.recorder import Recorder
from epp.simulator.replica import Picked
from epp.simulator.sequences import Gauges
from tests.simulator.plays import ENGINE, call, pool, prepared


def recorder(*calls: object) -> Recorder:
    return Recorder(prepared(*calls), pool(2), 7, "ours")  # type: ignore[arg-type]


ENGINES = [Engine(ENGINE), Engine(ENGINE)]


def test_a_call_that_was_answered() -> None:
    one = recorder(call(3, 640, 11, session=5))
    one.due(0, 3.0)
    one.picked(0, Picked(1, 64.0, 0.5))
    one.first_token(0, 3.6, 48)
    one.over(0, 4.0, Failure.NONE)
    run = one.run(ENGINES, 9.0)
    calls = run.calls
    assert (calls.due_s[0], calls.ttft_s[0], calls.e2e_s[0]) == pytest.approx((3.0, 0.6, 1.0))
    assert (calls.pod[0], calls.prompt_tokens[0], calls.output_tokens[0], calls.cached_tokens[0]) == (1, 640, 11, 48)
    assert (calls.predicted_cached_tokens[0], calls.predicted_ttft_s[0], calls.session[0]) == (64.0, 0.5, 5)
    assert (run.policy, run.seed, run.workload) == ("ours", 7, "w")
    assert run.duration_s == pytest.approx(1.0), "from the first arrival to the last end, whatever comes after it"


@pytest.mark.parametrize("failure", [one for one in Failure if one is not Failure.NONE])
def test_a_call_that_failed_has_no_end_and_no_answer(failure: Failure) -> None:
    one = recorder(call(0, 640, 11))
    one.due(0, 0.0)
    one.over(0, 2.0, failure)
    calls = one.run(ENGINES, 2.0).calls
    assert list(calls.failure) == [failure]
    assert np.isnan(calls.e2e_s[0])
    assert (calls.output_tokens[0], calls.cached_tokens[0], calls.pod[0]) == (0, -1, -1)


def test_calls_that_did_not_end_make_a_run_last_until_it_was_broken_off() -> None:
    one = recorder(call(0, 640), call(1, 640))
    one.due(0, 0.0)
    one.due(1, 1.0)
    one.over(0, 2.0, Failure.NONE)
    run = one.run(ENGINES, 50.0)
    assert list(run.calls.failure) == [Failure.NONE, Failure.UNFINISHED]
    assert run.duration_s == 50.0


def test_samples_are_bounded_and_cover_the_whole_run() -> None:
    one, now = recorder(call(0, 64), call(120, 64)), 0.0
    assert one.sample_every_s == 0.5
    while now < 10_000:
        one.sample(now, [Gauges(int(now), 1, 0.25, (), 0.0), Gauges(0, 2, 0.5, (), 0.0)])
        now += one.sample_every_s
    timeline = one.run(ENGINES, now).timeline
    assert timeline is not None
    assert 240 <= len(timeline.at_s) <= 480
    assert timeline.at_s[0] == 0
    assert timeline.at_s[-1] > 9_900
    assert timeline.running[:, 0].tolist() == [float(int(at)) for at in timeline.at_s]
    assert (timeline.waiting[:, 1] == 2).all()
    assert (timeline.kv_usage == [0.25, 0.5]).all()
