"""What the debug pages show, as plain values that become JSON. Nothing here knows HTTP.

Prompts are not shown: the router does not keep them. Numbers that JSON has not (infinity, NaN) become null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

import msgspec
import numpy as np

from epp.endpoints import EndpointPool, Row
from epp.endpoints.columns import Columns
from epp.exchange import RequestReady
from epp.requests import operation_of
from epp.router import Decided, DecisionRecord, Refused, Router, message_of
from epp.scheduling import Trace
from epp.telemetry.clock import Clock
from epp.telemetry.scraper import EndpointStatistics

__all__ = [
    "JsonObject",
    "decision_view",
    "decisions_view",
    "endpoints_view",
    "find_decision",
    "preview_view",
    "to_json",
]

JsonObject = dict[str, object]

MAX_MODELS = 200
"""Names of models that are shown for one endpoint."""


def to_json(value: object) -> bytes:
    """JSON text. Half characters, which hostile names may hold and UTF-8 has not, become question marks."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole_characters(value), enc_hook=_plain)


def endpoints_view(
    router: Router, clock: Clock, scraping: Mapping[str, EndpointStatistics], *, endpoint: str = ""
) -> JsonObject:
    """All endpoints of a pool, or the one with the given address or name. `scraping`: a scraper's statistics."""
    pool = router.pool
    rows = [Row(int(row)) for row in pool.table.live_rows if _is_meant(pool, Row(int(row)), endpoint)]
    return {
        "units": {one.name: f"{one.metadata['unit']} ({one.metadata['source']})" for one in fields(Columns)},
        "endpoints": [
            {
                **_endpoint(pool, row, clock),
                "models": _models(pool, row),
                "probes": _probes(scraping.get(pool.table.addresses[row]), clock),
            }
            for row in rows
        ],
    }


def decisions_view(router: Router, clock: Clock, *, last: int, endpoint: str = "", model: str = "") -> JsonObject:
    """The last decisions, newest first, without their explanations."""
    found: list[JsonObject] = []
    for record in reversed(router.decisions):
        if len(found) >= last:
            break
        if (not endpoint or endpoint in _served_by(record)) and (
            not model or model in (record.model, record.target_model)
        ):
            found.append(_summary(record, clock))
    return {"kept": len(router.decisions), "decisions": found}


def find_decision(decisions: Sequence[DecisionRecord], name: str) -> DecisionRecord | None:
    """The newest decision with that id or request id. An id of ours counts more than one that a client chose."""
    newest_first = tuple(reversed(decisions))
    by_id = (record for record in newest_first if record.id == name)
    by_request = (record for record in newest_first if name and record.request_id == name)
    return next(by_id, None) or next(by_request, None)


def decision_view(record: DecisionRecord, clock: Clock) -> JsonObject:
    """A decision with its explanation by endpoint."""
    return {**_summary(record, clock), "explanation": _explanation(record.decision.trace)}


def preview_view(ready: RequestReady, outcome: Decided | Refused) -> JsonObject:
    """Where a request would go now, and why."""
    request = outcome.request
    view: JsonObject = {
        "operation": (request.operation if request else operation_of(ready.headers)).value,
        "model": request.model if request else "",
        "target_model": request.target_model if request else "",
        "adapter": request.adapter if request else "",
        "size_bytes": len(ready.body),
    }
    if isinstance(outcome, Refused):
        view |= {"rejected": outcome.reason.value, "message": message_of(outcome.reason, outcome.message)}
        return view if outcome.trace is None else {**view, "explanation": _explanation(outcome.trace)}
    decision = outcome.decision
    return {**view, "picked": list(decision.alternatives), "explanation": _explanation(decision.trace)}


def _is_meant(pool: EndpointPool, row: Row, endpoint: str) -> bool:
    spec = pool.table.spec(row)
    return not endpoint or endpoint in (spec.address, spec.name)


def _endpoint(pool: EndpointPool, row: Row, clock: Clock) -> JsonObject:
    spec, columns = pool.table.spec(row), pool.table.columns
    values = {one.name: getattr(columns, one.name)[row] for one in fields(Columns)}
    age = clock.monotonic() - float(columns.scraped_at[row])
    return {
        "address": spec.address,
        "name": spec.label,
        "namespace": spec.namespace,
        "labels": dict(spec.labels),
        "metrics_address": spec.metrics_address,
        "state": pool.health.describe(row),
        "scrape_age_s": age if np.isfinite(age) else None,
        "columns": values,
        "adapters": list(pool.adapters.resident(row)),
    }


def _probes(statistics: EndpointStatistics | None, clock: Clock) -> JsonObject:
    """What the endpoint is asked, and how that goes; empty when nobody asks."""
    return {
        kind.value: {
            "last_ok": None if probe.last_ok_at is None else clock.at(probe.last_ok_at),
            "failures": probe.failures,
            "next": clock.at(probe.next_at),
            "last_error": probe.last_error or None,
        }
        for kind, probe in (statistics.probes.items() if statistics else ())
    }


def _models(pool: EndpointPool, row: Row) -> list[str] | None:
    """Names that an endpoint lists, in alphabetical order; None when its list was never read."""
    cards = pool.models.of(row)
    return None if cards is None else sorted(card.name for card in cards)[:MAX_MODELS]


def _served_by(record: DecisionRecord) -> tuple[str, ...]:
    return (record.served, *(placement.address for placement in record.decision.placements))


def _summary(record: DecisionRecord, clock: Clock) -> JsonObject:
    trace = record.decision.trace
    return {
        "id": record.id,
        "request_id": record.request_id,
        "at": clock.at(record.at),
        "request": {
            "operation": record.operation.value,
            "model": record.model,
            "target_model": record.target_model,
            "adapter": record.adapter,
            "stream": record.stream,
            "size_bytes": record.size_bytes,
            "prompt_tokens": trace.prompt_tokens,
            "expected_output_tokens": trace.output_tokens,
        },
        "placements": [
            {
                "profile": placement.profile,
                "endpoint": placement.address,
                "matched_tokens": placement.matched_tokens,
                "uncached_tokens": placement.uncached_tokens,
                "context_tokens": placement.context_tokens,
            }
            for placement in record.decision.placements
        ],
        "alternatives": list(record.decision.alternatives),
        "note": trace.note,
        "predicted": {
            "time_to_first_token_s": record.predicted_ttft_s,
            "cached_tokens": record.decision.placements[0].matched_tokens,
        },
        "reply": {
            "served": record.served or None,
            "status": record.status or None,
            "ended": record.ended or None,
            "duration_s": record.duration_s,
            "time_to_first_token_s": record.time_to_first_token_s,
            "prompt_tokens": record.prompt_tokens,
            "cached_tokens": record.cached_tokens,
            "completion_tokens": record.completion_tokens,
        },
    }


def _explanation(trace: Trace) -> JsonObject:
    return asdict(trace.explain())


def _plain(value: object) -> object:
    """A scalar of numpy as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON")


def _whole_characters(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_whole_characters(key): _whole_characters(one) for key, one in value.items()}
        case list() | tuple():
            return [_whole_characters(one) for one in value]
        case _:
            return value
