"""Reports as JSON: figures of all runs, what they were made with, and, where wanted, every call and pod.

Version 1 of the format. What is not finite is `null`. Columns of calls are lists in the order of `CallResults`' fields;
failures are lists of call numbers by kind. A file that holds anything else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from epp.reports.figures import MEASURES, Figures
from epp.reports.runs import CallResults, Failure, PodInfo, PodTimeline, Run
from epp.reports.slo import Slo
from epp.reports.summaries import Case, Record

__all__ = ["MOST_BYTES", "VERSION", "Document", "DocumentError", "decode", "encode", "read_json", "write_json"]

VERSION = 1

MOST_BYTES = 512 * 2**20
"""Of a file that is read: everything in it is linear in its size. A call takes about 120 bytes."""


class DocumentError(ValueError):
    """A file is no report, or not one that this version reads."""


@dataclass(frozen=True, slots=True)
class Document:
    """A report as it is kept."""

    records: Sequence[Record]
    slo: Slo = field(default_factory=Slo)
    """The one that the records' figures were made with."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the runs were made with, by name: trace, pool, versions."""
    runs: Sequence[Run] = ()
    """Whole runs, where they are kept."""


_Number = float | None
_Integer = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses keys that it does not know."""


class _Kind(msgspec.Struct, frozen=True):
    """What says how to read the rest."""

    format: Literal["epp-report"]
    version: int


class _Figures(_Strict, frozen=True):
    calls: _Count
    answered: _Count
    failures: dict[str, _Count]
    counters: dict[str, _Number]
    measures: dict[str, _Number]


class _Record(_Strict, frozen=True):
    policy: str
    workload: str
    condition: str
    seed: _Seed
    figures: _Figures


class _Pod(_Strict, frozen=True):
    name: str
    hardware: str
    price_per_hour: float
    speed: float


class _Timeline(_Strict, frozen=True):
    at_s: list[_Number]
    running: list[list[_Number]]
    waiting: list[list[_Number]]
    kv_usage: list[list[_Number]]


class _Calls(_Strict, frozen=True):
    session: list[_Integer]
    due_s: list[_Number]
    pod: list[_Integer]
    prompt_tokens: list[_Integer]
    output_tokens: list[_Integer]
    cached_tokens: list[_Integer]
    reusable_tokens: list[_Integer]
    ttft_s: list[_Number]
    e2e_s: list[_Number]
    predicted_cached_tokens: list[_Number]
    predicted_ttft_s: list[_Number]
    failures: dict[Failure, list[_Count]]


class _Run(_Strict, frozen=True):
    policy: str
    workload: str
    condition: str
    seed: _Seed
    pods: list[_Pod]
    duration_s: float
    busy_s: list[float]
    timeline: _Timeline | None
    counters: dict[str, _Number]
    calls: _Calls


class _Document(_Strict, frozen=True):
    format: Literal["epp-report"]
    version: Literal[1]
    slo: dict[Literal["ttft_s", "tpot_s"], _Number]
    settings: dict[str, str]
    records: list[_Record]
    runs: list[_Run]


def write_json(path: Path, document: Document) -> None:
    """Writes the report. Raises OSError."""
    path.write_bytes(encode(document))


def read_json(path: Path) -> Document:
    """A report that was written before. Raises OSError, or DocumentError that names the file."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DocumentError(f"{path}: {size} bytes; at most {MOST_BYTES} are read: write it without calls")
    try:
        return decode(path.read_bytes())
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from error


def encode(document: Document) -> bytes:
    """The report as JSON, the same bytes for the same report."""
    limits: dict[Literal["ttft_s", "tpot_s"], _Number] = {"ttft_s": document.slo.ttft_s, "tpot_s": document.slo.tpot_s}
    settings = dict(document.settings)
    records, runs = list(map(_record, document.records)), list(map(_run, document.runs))
    whole = _Document("epp-report", 1, limits, settings, records, runs)
    return msgspec.json.encode(whole, enc_hook=_plain) + b"\n"


def decode(data: bytes) -> Document:
    """The report in `data`. Raises DocumentError with the place of what is wrong."""
    try:
        version = msgspec.json.decode(data, type=_Kind).version
        if version != VERSION:
            raise DocumentError(f"version {version} of the format; this program reads version {VERSION}")
        read = msgspec.json.decode(data, type=_Document)
        slo = Slo(**{name: math.inf if limit is None else limit for name, limit in read.slo.items()})
        records = tuple(_read_record(one) for one in read.records)
        return Document(records, slo, read.settings, tuple(_read_run(one) for one in read.runs))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"no report of this format: {error}") from error
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(str(error)) from error


def _record(record: Record) -> _Record:
    figures = record.figures
    measures: dict[str, _Number] = {name: figures.value(name) for name in MEASURES}
    counters: dict[str, _Number] = dict(figures.counters)
    kept = _Figures(figures.calls, figures.answered, dict(figures.failures), counters, measures)
    return _Record(record.policy, record.case.workload, record.case.condition, record.seed, kept)


def _read_record(read: _Record) -> Record:
    figures = read.figures
    if missing := MEASURES.keys() ^ figures.measures.keys():
        raise DocumentError(f"figures of {read.policy!r}: missing or not known: {', '.join(sorted(missing))[:200]}")
    measures = {name: _float(value) for name, value in figures.measures.items()}
    counters = {name: _float(value) for name, value in figures.counters.items()}
    return Record(
        read.policy,
        Case(read.workload, read.condition),
        read.seed,
        Figures(figures.calls, figures.answered, figures.failures, counters, **measures),
    )


def _run(run: Run) -> _Run:
    pods = [_Pod(pod.name, pod.hardware, pod.price_per_hour, pod.speed) for pod in run.pods]
    identity = (run.policy, run.workload, run.condition, run.seed)
    times = None if run.timeline is None else _Timeline(**_columns(run.timeline))
    calls, counters = _calls(run.calls), dict[str, _Number](run.counters)
    return _Run(*identity, pods, run.duration_s, list(run.busy_s), times, counters, calls)


def _calls(calls: CallResults) -> _Calls:
    failures: dict[Failure, list[_Count]] = {}
    for number, failure in enumerate(calls.failure):
        if failure is not Failure.NONE:
            failures.setdefault(failure, []).append(number)
    return _Calls(**_columns(calls), failures=failures)


def _columns(arrays: CallResults | PodTimeline) -> dict[str, list[Any]]:
    return {one.name: getattr(arrays, one.name).tolist() for one in fields(arrays) if one.name != "failure"}


def _read_run(read: _Run) -> Run:
    what = f"run of {read.policy!r} with seed {read.seed}"
    pods = [PodInfo(pod.name, pod.hardware, pod.price_per_hour, pod.speed) for pod in read.pods]
    calls = _read_calls(read.calls, what)
    if len(calls) and calls.pod.max() >= len(pods):
        raise DocumentError(f"{what}: a call was served by pod {calls.pod.max()}, of {len(pods)}")
    if len(read.busy_s) not in (0, len(pods)):
        raise DocumentError(f"{what}: busy_s has {len(read.busy_s)} values for {len(pods)} pods")
    return Run(
        policy=read.policy,
        workload=read.workload,
        condition=read.condition,
        seed=read.seed,
        pods=pods,
        calls=calls,
        duration_s=read.duration_s,
        busy_s=read.busy_s,
        timeline=None if read.timeline is None else _read_timeline(read.timeline, len(pods), what),
        counters={name: _float(value) for name, value in read.counters.items()},
    )


def _read_calls(read: _Calls, what: str) -> CallResults:
    columns = {name: getattr(read, name) for name in _Calls.__struct_fields__ if name != "failures"}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise DocumentError(f"{what}: columns of calls have different lengths: {sorted(lengths)}")
    failure = np.full(lengths.pop(), Failure.NONE, np.object_)
    for kind, numbers in read.failures.items():
        if numbers and max(numbers) >= len(failure):
            raise DocumentError(f"{what}: call {max(numbers)} failed, of {len(failure)}")
        failure[numbers] = kind
    arrays: dict[str, Any] = {
        name: np.array(column, np.float64 if name.endswith("_s") or name.startswith("predicted") else np.int64)
        for name, column in columns.items()
    }
    return CallResults(**arrays, failure=failure)


def _read_timeline(read: _Timeline, pods: int, what: str) -> PodTimeline:
    at_s = np.array(read.at_s, np.float64)
    planes: dict[str, NDArray[np.float64]] = {}
    for name, rows in (("running", read.running), ("waiting", read.waiting), ("kv_usage", read.kv_usage)):
        if len(rows) != len(at_s) or any(len(row) != pods for row in rows):
            raise DocumentError(f"{what}: timeline {name} is not of {len(at_s)} times and {pods} pods")
        planes[name] = np.array(rows, np.float64).reshape(len(at_s), pods)
    return PodTimeline(at_s=at_s, **planes)


def _plain(value: object) -> object:
    """Numbers of numpy, wherever a run has one, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} in a report")


def _float(value: float | None) -> float:
    return math.nan if value is None else value
