"""From what was noted of each call to a `Run`: the arithmetic of latencies, and which pod served."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.http.replies import Reply
from epp.reports.runs import CallResults, Failure, PodInfo, Run
from epp.workloads.types import Api, Workload

__all__ = ["CallRecord", "Labels", "Prediction", "run_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a picker expected of a call."""

    cached_tokens: float = math.nan
    ttft_s: float = math.nan


@dataclass(slots=True)
class CallRecord:
    """One call that was due. Times are seconds from the run's begin."""

    index: int
    """In the workload."""
    due_s: float
    request_id: str = ""
    sent_s: float = math.nan
    reply: Reply = field(default_factory=lambda: Reply(Failure.UNFINISHED, "the run ended before it"))
    server: str = ""
    """`ip:port` that answered; empty: not known."""
    decision_id: str = ""
    """The picker's name for its decision; empty: not told."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a run is called in reports."""

    policy: str
    condition: str = ""
    seed: int = 0


def run_of(
    workload: Workload,
    records: Iterable[CallRecord],
    reusable_tokens: NDArray[np.int64],
    labels: Labels,
    *,
    pods: Sequence[str] = (),
    predictions: Mapping[str, Prediction] | None = None,
    counters: Mapping[str, float] | None = None,
) -> Run:
    """The run. Calls that never became due are left out; those that were due and did not end are unfinished.

    `reusable_tokens`: (calls of the workload,), see `CallResults`. `pods`: addresses; those that answered and are not
    among them are added. `predictions`: by request id or decision id.
    """
    known = sorted(records, key=lambda record: record.index)
    addresses = list(dict.fromkeys((*pods, *sorted({record.server for record in known if record.server}))))
    calls = _call_results(workload, known, addresses, predictions or {}, reusable_tokens)
    ends = [record.reply.end_s for record in known if math.isfinite(record.reply.end_s)]
    begin = min((record.due_s for record in known), default=0.0)
    return Run(
        policy=labels.policy,
        workload=workload.name,
        condition=labels.condition,
        seed=labels.seed,
        pods=tuple(PodInfo(address) for address in addresses),
        calls=calls,
        duration_s=max(ends, default=begin) - begin,
        counters={**_inter_token(known), **(counters or {})},
    )


def _call_results(
    workload: Workload,
    known: Sequence[CallRecord],
    addresses: Sequence[str],
    predictions: Mapping[str, Prediction],
    reusable_tokens: NDArray[np.int64],
) -> CallResults:
    pod_of = {address: place for place, address in enumerate(addresses)}
    due = _floats(record.due_s for record in known)
    expected = [_expected(record, predictions) for record in known]
    sessions = (workload.calls[record.index].session for record in known)
    failure = np.empty(len(known), dtype=object)
    failure[:] = [record.reply.failure for record in known]
    answered = np.array([record.reply.failure is Failure.NONE for record in known], bool)
    return CallResults(
        session=_integers(-1 if session is None else session for session in sessions),
        due_s=due,
        pod=_integers(pod_of.get(record.server, -1) for record in known),
        prompt_tokens=_integers(_prompt_tokens(workload, record) for record in known),
        output_tokens=_integers(_output_tokens(workload, record) for record in known),
        cached_tokens=_integers(record.reply.cached_tokens for record in known),
        reusable_tokens=reusable_tokens[[record.index for record in known]] if known else _integers(()),
        ttft_s=_floats(record.reply.first_s for record in known) - due,
        e2e_s=np.where(answered, _floats(record.reply.end_s for record in known) - due, np.nan),
        predicted_cached_tokens=_floats(one.cached_tokens for one in expected),
        predicted_ttft_s=_floats(one.ttft_s for one in expected),
        failure=failure,
    )


def _expected(record: CallRecord, predictions: Mapping[str, Prediction]) -> Prediction:
    return predictions.get(record.decision_id) or predictions.get(record.request_id) or Prediction()


def _prompt_tokens(workload: Workload, record: CallRecord) -> int:
    """As the server counted, with its chat template; what was meant where it did not tell."""
    told = record.reply.prompt_tokens
    return workload.calls[record.index].prompt_tokens if told < 0 else told


def _output_tokens(workload: Workload, record: CallRecord) -> int:
    embeds = workload.calls[record.index].api is Api.EMBEDDINGS
    return 0 if embeds and record.reply.failure is Failure.NONE else record.reply.output_tokens


def _inter_token(known: Sequence[CallRecord]) -> dict[str, float]:
    """Inter-token latency over all gaps of answered calls, in seconds; nothing when nothing streamed."""
    answered = (record.reply.gaps_s for record in known if record.reply.failure is Failure.NONE)
    gaps = _floats(gap for each in answered for gap in each)
    if not gaps.size:
        return {}
    return {"itl_mean_s": float(gaps.mean()), "itl_p99_s": float(np.quantile(gaps, 0.99))}


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, np.float64)


def _integers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)
