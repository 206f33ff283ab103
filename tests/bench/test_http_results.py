"""From notes of calls to a run: latencies that hide nothing, and what the client's lateness says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.http.lateness import ClientEffort, effort_of
from bench.http.replies import Reply
from bench.http.results import CallRecord, Labels, Prediction, run_of
from epp.reports.runs import Failure, Run
from epp.workloads.types import Api, Call, Segment, Workload

CALL = Call(0.0, (Segment(1, 40),), Segment(2, 8))
WORKLOAD = Workload("w", (CALL, CALL, Call(0.0, (Segment(1, 40),), Segment(3, 1), session=5), CALL))
REUSABLE = np.array([0, 32, 32, 32])
LABELS = Labels("p", "c", 3)


def answered(first_s: float, end_s: float, *gaps_s: float) -> Reply:
    return Reply(Failure.NONE, "", first_s, end_s, gaps_s, 42, 8, 16)


def run(*records: CallRecord, **options: object) -> Run:
    return run_of(WORKLOAD, records, REUSABLE, LABELS, **options)  # type: ignore[arg-type]


def test_latencies_count_from_the_due_time_not_from_when_it_was_sent() -> None:
    calls = run(CallRecord(0, 1.0, sent_s=3.0, reply=answered(3.5, 5.0))).calls
    assert (calls.ttft_s[0], calls.e2e_s[0]) == (2.5, 4.0)


def test_a_stalled_client_is_seen_in_every_call_that_it_delayed() -> None:
    """One stall of 10 s: ten calls, one second apart, all sent when it is over and answered at once."""
    calls = run(*(CallRecord(0, float(due), sent_s=10.0, reply=answered(10.0, 10.0)) for due in range(10))).calls
    assert calls.ttft_s.tolist() == [10.0 - due for due in range(10)]


def test_calls_stand_in_the_workloads_order_and_those_never_due_are_left_out() -> None:
    result = run(CallRecord(2, 4.0, reply=answered(5.0, 6.0)), CallRecord(1, 2.0, reply=answered(3.0, 4.0)))
    assert result.calls.due_s.tolist() == [2.0, 4.0]
    assert result.calls.session.tolist() == [-1, 5]
    assert result.calls.reusable_tokens.tolist() == [32, 32]
    assert result.duration_s == 4.0
    assert (result.policy, result.workload, result.condition, result.seed) == ("p", "w", "c", 3)


def test_a_call_that_was_due_when_the_run_ended_is_unfinished() -> None:
    calls = run(CallRecord(0, 0.0)).calls
    assert calls.failure.tolist() == [Failure.UNFINISHED]
    assert np.isnan(calls.e2e_s[0])
    assert not calls.ok[0]


def test_failed_calls_have_no_end() -> None:
    calls = run(CallRecord(0, 0.0, reply=Reply(Failure.LOST, "gone", 1.0, 2.0))).calls
    assert np.isnan(calls.e2e_s[0])
    assert calls.prompt_tokens.tolist() == [40]


def test_pods_are_those_named_then_those_that_answered() -> None:
    records = [
        CallRecord(0, 0.0, reply=answered(1.0, 2.0), server="127.0.0.1:3"),
        CallRecord(1, 0.0, reply=answered(1.0, 2.0), server="127.0.0.1:1"),
        CallRecord(2, 0.0, reply=answered(1.0, 2.0)),
    ]
    result = run(*records, pods=("127.0.0.1:9", "127.0.0.1:1"))
    assert [pod.name for pod in result.pods] == ["127.0.0.1:9", "127.0.0.1:1", "127.0.0.1:3"]
    assert result.calls.pod.tolist() == [2, 1, -1]


def test_predictions_are_found_by_decision_else_by_request() -> None:
    predictions = {"d-1": Prediction(16.0, 0.5), "r-1": Prediction(8.0, 0.25)}
    records = [
        CallRecord(0, 0.0, "r-1", reply=answered(1.0, 2.0), decision_id="d-1"),
        CallRecord(1, 0.0, "r-1", reply=answered(1.0, 2.0), decision_id="unknown"),
        CallRecord(2, 0.0, "r-3", reply=answered(1.0, 2.0)),
    ]
    calls = run(*records, predictions=predictions).calls
    assert calls.predicted_cached_tokens[:2].tolist() == [16.0, 8.0]
    assert calls.predicted_ttft_s[:2].tolist() == [0.5, 0.25]
    assert np.isnan([calls.predicted_cached_tokens[2], calls.predicted_ttft_s[2]]).all()


def test_embeddings_generate_nothing() -> None:
    call = Call(0.0, (Segment(1, 4),), Segment(2, 0), api=Api.EMBEDDINGS)
    reply = Reply(Failure.NONE, "", 1.0, 1.0, (), 4, -1, -1)
    result = run_of(Workload("e", (call,)), [CallRecord(0, 0.0, reply=reply)], np.array([0]), LABELS)
    assert result.calls.output_tokens.tolist() == [0]


def test_inter_token_latency_is_over_all_gaps_of_answered_calls() -> None:
    result = run(
        CallRecord(0, 0.0, reply=answered(1.0, 2.0, 0.1, 0.3)),
        CallRecord(1, 0.0, reply=answered(1.0, 2.0, 0.2)),
        CallRecord(2, 0.0, reply=Reply(Failure.BROKEN, "", 1.0, 2.0, (50.0,))),
    )
    assert result.counters["itl_mean_s"] == pytest.approx(0.2)
    assert result.counters["itl_p99_s"] <= 0.3


def test_a_run_without_calls() -> None:
    result = run()
    assert (len(result.calls), result.duration_s, result.counters) == (0, 0.0, {})


def test_lateness_is_from_due_to_sent() -> None:
    records = [CallRecord(0, 1.0, sent_s=1.5, reply=answered(2.0, 3.0)), CallRecord(1, 2.0, sent_s=2.0)]
    effort = effort_of([*records, CallRecord(2, 3.0)], cpu_s=1.0, wall_s=4.0)
    assert (effort.late_mean_s, effort.late_max_s, effort.busy_share, effort.ttft_p50_s) == (0.25, 0.5, 0.25, 1.0)


def effort(late_p99_s: float = 0.0, busy_share: float = 0.0, ttft_p50_s: float = 0.1) -> ClientEffort:
    return ClientEffort(0.0, late_p99_s, late_p99_s, 1.0, busy_share, ttft_p50_s)


WARNINGS = {
    "on time": (effort(0.005, 0.3), ""),
    "late, beside servers that are much slower": (effort(0.05, 0.3, ttft_p50_s=2.0), ""),
    "late": (effort(0.05, 0.3), "50 ms late"),
    "late, and nothing was answered": (effort(0.05, 0.3, ttft_p50_s=math.nan), "50 ms late"),
    "no core left": (effort(0.005, 0.97), "97% of a core"),
}


@pytest.mark.parametrize(("effort", "says"), WARNINGS.values(), ids=WARNINGS)
def test_the_client_warns_when_it_is_the_bottleneck(effort: ClientEffort, says: str) -> None:
    assert says in effort.warning
    assert bool(effort.warning) == bool(says)
