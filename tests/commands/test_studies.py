"""From what was asked for to jobs, and from jobs to results."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from epp.commands.pool_files import default_pool
from epp.commands.studies import Source, Study
from epp.workloads import WorkloadError

MOONCAKE = Path("tests/data/workloads/mooncake.jsonl")
POOL = default_pool().with_pods(2)
MADE, TRACE = Source(None, "chat", first=20), Source(MOONCAKE, "")


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_generator_makes_other_requests_for_each_seed_and_a_trace_is_the_same_for_all() -> None:
    made, trace = (Study(source, ["default"], 3, 1).jobs(POOL) for source in (MADE, TRACE))
    assert [job.workload_seed for job in made] == [1, 2, 3]
    assert [job.workload_seed for job in trace] == [0, 0, 0]
    assert [job.seed for job in trace] == [1, 2, 3]
    assert MADE.make("", 1) != MADE.make("", 2)


def test_what_is_said_of_a_workload_is_of_the_first_seeds() -> None:
    assert Study(MADE, ["default"], 3, 1).sample() is MADE.make("", 1), "and it is not made again"
    assert Study(TRACE, ["default"], 3, 1).sample() == TRACE.make("", 0)


def test_runs_come_by_policy_and_seed_whatever_the_order_in_which_they_were_made() -> None:
    runs = Study(MADE, ["random", "default"], 2, 1).run(POOL, 20, quiet())
    assert [(run.policy, run.seed) for run in runs] == [("random", 1), ("random", 2), ("default", 1), ("default", 2)]


def test_files_of_one_name_are_two_policies(tmp_path: Path) -> None:
    files = [tmp_path / kind / "x.yaml" for kind in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n")
    runs = Study(MADE, list(map(str, files)), 1, 1).run(POOL, 20, quiet())
    assert [run.policy for run in runs] == list(map(str, files))


def test_rate_and_number_of_requests_are_as_asked() -> None:
    plain, fast = MADE.make("", 1), replace(MADE, rate=4.0).make("", 1)
    assert len(plain.calls) == len(fast.calls) == 20
    assert fast.duration_s == pytest.approx(plain.duration_s / 4)


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"\n\n")
    for source in (Source(empty, ""), Source(tmp_path / "missing.jsonl", ""), Source(None, "chat:nonsense=1")):
        with pytest.raises(WorkloadError):
            source.make("", 1)
