"""What is written: bodies ahead of time, lines of calls, workloads for another client."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.http.aiperf import aiperf_lines
from bench.http.bodies import Bodies
from bench.http.replies import Reply
from bench.http.results import CallRecord, Labels, run_of
from bench.http.showing import call_lines, write_runs
from epp.reports.document import read_json
from epp.reports.runs import Failure
from epp.reports.slo import Slo
from epp.workloads.text import body_of
from epp.workloads.types import Api, Call, Segment, Workload

CALLS = tuple(Call(number / 2, (Segment(number, 8),), Segment(50 + number, 4)) for number in range(4))
WORKLOAD = Workload("w", CALLS)


def expected(index: int) -> bytes:
    return body_of(CALLS[index], "m", WORKLOAD.bytes_per_token)


def test_bodies_are_the_same_in_any_order() -> None:
    bodies = Bodies(WORKLOAD, "m")
    assert bodies.take(2) == expected(2)
    assert bodies.prepare()
    assert bodies.take(0) == expected(0)
    bodies.prepare_all()
    assert not bodies.prepare()
    assert [bodies.take(index) for index in (3, 1)] == [expected(3), expected(1)]


def test_bodies_keep_to_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.http.bodies.MAX_READY_BYTES", len(expected(0)) + 1)
    bodies = Bodies(WORKLOAD, "m")
    assert [bodies.prepare() for _ in range(4)] == [True, True, False, False]
    bodies.take(0)
    assert bodies.prepare()
    assert [bodies.take(index) for index in (1, 2, 3)] == [expected(1), expected(2), expected(3)]


def test_a_line_of_json_per_call() -> None:
    reply = Reply(Failure.NONE, "", 2.5, 4.0, (0.5, 0.25), 9, 3, 0)
    lines = call_lines([CallRecord(1, 2.0, "r-1", 2.25, reply, "127.0.0.1:1", "d-1"), CallRecord(0, 3.0)])
    first, second = (json.loads(line) for line in lines.splitlines())
    assert first == {
        "call": 1,
        "request_id": "r-1",
        "due_s": 2.0,
        "sent_s": 2.25,
        "ttft_s": 0.5,
        "e2e_s": 2.0,
        "itl_mean_s": 0.375,
        "itl_p99_s": 0.25,
        "prompt_tokens": 9,
        "output_tokens": 3,
        "cached_tokens": 0,
        "server": "127.0.0.1:1",
        "decision_id": "d-1",
        "failure": "",
        "detail": "",
    }
    assert (second["failure"], second["ttft_s"], second["sent_s"]) == ("unfinished", None, None)


def test_a_report_of_the_wire_is_read_as_any_other(tmp_path: Path) -> None:
    reply = Reply(Failure.NONE, "", 2.5, 4.0, (0.5, 0.25), 9, 3, 0)
    run = run_of(WORKLOAD, [CallRecord(1, 2.0, reply=reply)], np.zeros(4, np.int64), Labels("p"))
    file = tmp_path / "report.json"
    write_runs([run], Slo(), {"target": "somewhere"}, json_file=file, html_file=None)
    document = read_json(file)
    assert document.runs[0].calls.ttft_s.tolist() == [0.5]
    assert document.records[0].figures.answered == 1


def test_aiperf_gets_the_very_same_bodies_with_sessions_and_pauses() -> None:
    calls = (*CALLS[:3], replace(CALLS[3], at_s=0.25, after=1))
    lines = [json.loads(line) for line in aiperf_lines(Workload("w", calls), "m")]
    assert [(line["session_id"], line.get("timestamp"), line.get("delay")) for line in lines] == [
        ("0", 0.0, None),
        ("1", 500.0, None),
        ("2", 1000.0, None),
        ("1", None, 250.0),
    ]
    assert [line["payload"] for line in lines] == [json.loads(expected(index)) for index in range(4)]


def test_what_aiperf_cannot_say_is_refused() -> None:
    branching = (CALLS[0], replace(CALLS[1], after=0), replace(CALLS[2], after=0))
    with pytest.raises(ValueError, match="do not branch"):
        list(aiperf_lines(Workload("w", branching), "m"))
    with pytest.raises(ValueError, match="one API"):
        list(aiperf_lines(Workload("w", (CALLS[0], replace(CALLS[1], api=Api.COMPLETIONS))), "m"))
