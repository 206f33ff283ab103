"""Reports as JSON: what is written comes back, and nothing else is read."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.reports import (
    MEASURES,
    Document,
    DocumentError,
    Failure,
    PodInfo,
    PodTimeline,
    Run,
    Slo,
    read_json,
    record_of,
    write_json,
)
from epp.reports import document as module
from epp.reports.document import decode, encode
from tests.reports.made import calls_of, plausible_run, run_of

TIMES = st.floats(0, 1e6) | st.just(math.nan)
TOKENS = st.integers(-1, 10**9)
NAMES = st.text(max_size=8)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    n, pods, times = draw(st.integers(0, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 3))

    def column(values: st.SearchStrategy[Any], size: int = n) -> list[Any]:
        return draw(st.lists(values, min_size=size, max_size=size))

    def plane() -> Any:
        return np.array([column(TIMES, pods) for _ in range(times)], np.float64).reshape(times, pods)

    calls = calls_of(
        n,
        session=column(TOKENS),
        due_s=column(TIMES),
        pod=column(st.integers(-1, pods - 1)),
        prompt_tokens=column(TOKENS),
        output_tokens=column(TOKENS),
        cached_tokens=column(TOKENS),
        reusable_tokens=column(TOKENS),
        ttft_s=column(TIMES),
        e2e_s=column(TIMES),
        predicted_cached_tokens=column(TIMES),
        predicted_ttft_s=column(TIMES),
        failure=column(st.sampled_from(Failure)),
    )
    return Run(
        policy=draw(NAMES),
        workload=draw(NAMES),
        condition=draw(NAMES),
        seed=draw(st.integers(-(2**63), 2**63 - 1)),
        pods=[PodInfo(draw(NAMES), draw(NAMES), draw(st.floats(0, 100))) for _ in range(pods)],
        calls=calls,
        duration_s=draw(st.just(0.0) | st.floats(0.001, 1e6)),
        busy_s=draw(st.sampled_from(([], [1.5] * pods))),
        timeline=PodTimeline(np.arange(times) / 7, plane(), plane(), plane()) if draw(st.booleans()) else None,
        counters=draw(st.dictionaries(NAMES, TIMES, max_size=2)),
    )


def same(first: object, second: object) -> bool:
    """Equality under which NaN equals itself, and lists equal tuples."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        equal_nan = first.dtype == np.float64
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=equal_nan)
    if dataclasses.is_dataclass(first) and type(first) is type(second):
        return all(same(getattr(first, one.name), getattr(second, one.name)) for one in dataclasses.fields(first))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


@settings(deadline=None, max_examples=60)
@given(runs(), st.floats(0.001, 100) | st.just(math.inf), st.dictionaries(NAMES, NAMES, max_size=3))
def test_what_is_written_comes_back(run: Run, limit: float, made_with: dict[str, str]) -> None:
    slo = Slo(limit, 1.0)
    written = Document([record_of(run, slo)], slo, made_with, [run])
    read = decode(encode(written))
    assert same(read, written)
    assert encode(read) == encode(written)


def test_numbers_of_numpy_are_numbers() -> None:
    run = run_of(
        calls_of(1), seed=np.int64(3), busy_s=(np.float64(1.5), np.float64(2.5)), counters={"x": np.float64(1)}
    )
    read = decode(encode(Document([record_of(run, Slo())], runs=[run])))
    assert read.runs[0].busy_s == [1.5, 2.5]


def test_files(tmp_path: Path) -> None:
    run = plausible_run("ours", 1, calls=50)
    path = tmp_path / "report.json"
    write_json(path, Document([record_of(run, Slo(2.0))], Slo(2.0), {"trace": "t"}))
    read = read_json(path)
    assert read.settings == {"trace": "t"}
    assert read.records[0].figures.value("ttft_mean_s") == record_of(run, Slo()).figures.value("ttft_mean_s")


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{}")
    with pytest.raises(DocumentError, match=r"report\.json: no report"):
        read_json(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    path = tmp_path / "report.json"
    path.write_text("{" + " " * 20 + "}")
    with pytest.raises(DocumentError, match="22 bytes; at most 10 are read"):
        read_json(path)


def changed(**changes: Any) -> dict[str, Any]:
    run = run_of(
        calls_of(2, failure=[Failure.NONE, Failure.BUSY]),
        busy_s=(1.0, 2.0),
        timeline=PodTimeline(np.zeros(1), *(np.zeros((1, 2)) for _ in range(3))),
    )
    whole: dict[str, Any] = json.loads(encode(Document([record_of(run, Slo())], runs=[run])))
    for path, value in changes.items():
        *steps, last = path.split("__")
        node: Any = whole
        for step in steps:
            node = node[int(step) if step.isdigit() else step]
        node[last] = value
    return whole


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another format": (changed(format="csv"), "format"),
    "a later version": (changed(version=2), "version 2 of the format; this program reads version 1"),
    "a key too many": (changed(more=1), "unknown field `more`"),
    "a key too many in a call": (changed(runs__0__calls__more=[]), "unknown field `more`"),
    "text for a number": (changed(runs__0__duration_s="1"), r"duration_s"),
    "a fraction of a token": (changed(runs__0__calls__prompt_tokens=[1.5, 2]), "prompt_tokens"),
    "less than -1": (changed(runs__0__calls__pod=[-2, 0]), "pod"),
    "more than any count": (changed(runs__0__calls__prompt_tokens=[2**60, 0]), "prompt_tokens"),
    "columns of two lengths": (changed(runs__0__calls__pod=[0]), r"different lengths: \[1, 2\]"),
    "a pod that is not there": (changed(runs__0__calls__pod=[0, 2]), "served by pod 2, of 2"),
    "a failure of nobody": (changed(runs__0__calls__failures={"busy": [7]}), "call 7 failed, of 2"),
    "a failure of no kind": (changed(runs__0__calls__failures={"tired": [0]}), "tired"),
    "busy times of other pods": (changed(runs__0__busy_s=[1.0]), "1 values for 2 pods"),
    "a timeline of other pods": (changed(runs__0__timeline__running=[[1.0]]), "running is not of 1 times and 2 pods"),
    "a timeline of other times": (changed(runs__0__timeline__waiting=[]), "waiting is not of 1 times"),
    "a figure that is missing": (changed(records__0__figures__measures={}), "missing or not known: cost_per_1000"),
    "an objective of nothing": (changed(slo={"ttft_s": 0.0, "tpot_s": 1.0}), "above 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    document, message = REFUSED[case]
    with pytest.raises(DocumentError, match=message):
        decode(json.dumps(document).encode())


@given(st.binary(max_size=40) | st.just(b"[" * 100_000))
def test_nonsense_is_refused_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(DocumentError):
        decode(data)


def test_the_table_of_refusals_starts_from_what_is_read() -> None:
    assert decode(json.dumps(changed()).encode()).records[0].figures.failures == {"busy": 1}
    assert set(changed()["records"][0]["figures"]["measures"]) == set(MEASURES)
