"""Makes spans of requests with OpenTelemetry. The only file that imports it; `traces` says when.

`gateway.request` lasts from the placement to the end of the reply and is a child of the caller's span (W3C
traceparent); `llm_d.epp.decision` within it is the decision. Refused requests have no span: nothing is placed that
could be followed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from epp.endpoints import Verdict
from epp.router import DecisionRecord, Phases, Reason
from epp.scheduling import Outcome
from epp.telemetry.clock import Clock
from epp.telemetry.traces import TracePlan

__all__ = ["RequestTraces", "Tracing"]

MAX_TEXT = 256

_CONTEXT = TraceContextTextMapPropagator()

Attributes = dict[str, str | int | float | bool]


class Tracing:
    """The export of spans, as long as the process runs."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    @classmethod
    def start(cls, plan: TracePlan) -> Tracing:
        """Begins to export in batches, from a thread of the SDK's."""
        resource = Resource.create({"service.name": plan.service_name} if plan.service_name else None)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(_exporter(plan.exporter)))
        return cls(provider)

    @property
    def tracer(self) -> Tracer:
        """Makes our spans."""
        return self._provider.get_tracer("epp")

    def stop(self) -> None:
        """Exports what is left. Blocks until that is done or timed out: not to be called on the event loop."""
        self._provider.shutdown()


class RequestTraces:
    """A `RouterObserver` that makes spans."""

    def __init__(self, pool: str, tracer: Tracer, clock: Clock) -> None:
        self._pool = pool
        self._tracer = tracer
        self._clock = clock
        self._open: dict[str, Span] = {}

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        """A request was placed."""
        began = self._clock.since_1970(record.at)
        span = self._tracer.start_span(
            "gateway.request",
            context=_context_of(record),
            kind=SpanKind.SERVER,
            start_time=_ns(began),
            attributes=_request_attributes(record, self._pool),
        )
        if not span.is_recording():
            return
        self._open[record.id] = span
        decision = self._tracer.start_span(
            "llm_d.epp.decision",
            context=set_span_in_context(span, Context()),
            start_time=_ns(began),
            attributes=_decision_attributes(record, phases),
        )
        took = phases.parse_s + phases.prepare_s + phases.schedule_s + phases.charge_s
        decision.end(end_time=_ns(began + took))

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:
        """Refused requests have no span."""

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over."""
        span = self._open.pop(record.id, None)
        if span is None:
            return
        span.set_attributes(_reply_attributes(record, outcome))
        if outcome.verdict is Verdict.FAILED or outcome.status >= 500:
            span.set_status(Status(StatusCode.ERROR, f"status {outcome.status}, {outcome.verdict.value}"))
        span.end(end_time=_ns(self._clock.since_1970(record.at + outcome.duration_s)))

    def plugin_failed(self, name: str, error: Exception) -> None:
        """Not of one request."""

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """Likewise."""


def _exporter(name: str) -> SpanExporter:
    return ConsoleSpanExporter(out=sys.stdout) if name == "console" else OTLPSpanExporter()


def _context_of(record: DecisionRecord) -> Context:
    """The caller's trace context; empty when it sent none that is valid."""
    if not record.traceparent:
        return Context()
    return _CONTEXT.extract({"traceparent": record.traceparent, "tracestate": record.tracestate}, Context())


def _request_attributes(record: DecisionRecord, pool: str) -> Attributes:
    return {
        "gen_ai.request.model": _text(record.model),
        "gen_ai.request.id": _text(record.request_id),
        "gen_ai.operation.name": record.operation.value,
        "llm_d.epp.pool": pool,
        "llm_d.epp.decision_id": record.id,
        "llm_d.epp.target_model": _text(record.target_model),
        "llm_d.epp.request_size_bytes": record.size_bytes,
    }


def _decision_attributes(record: DecisionRecord, phases: Phases) -> Attributes:
    placement, trace = record.decision.placements[0], record.decision.trace
    return {
        "gen_ai.request.model": _text(record.model),
        "llm_d.epp.profile": placement.profile,
        "llm_d.epp.endpoint": placement.address,
        "llm_d.epp.candidates": len(trace.rows),
        "llm_d.epp.prompt_tokens": trace.prompt_tokens,
        "llm_d.epp.matched_tokens": placement.matched_tokens,
        "llm_d.epp.note": trace.note,
        "llm_d.epp.parse_s": phases.parse_s,
        "llm_d.epp.prepare_s": phases.prepare_s,
        "llm_d.epp.schedule_s": phases.schedule_s,
        "llm_d.epp.charge_s": phases.charge_s,
    }


def _reply_attributes(record: DecisionRecord, outcome: Outcome) -> Attributes:
    known: Mapping[str, str | float | None] = {
        "http.response.status_code": outcome.status or None,
        "llm_d.epp.verdict": outcome.verdict.value,
        "llm_d.epp.served": record.served or None,
        "llm_d.epp.time_to_first_token_s": outcome.time_to_first_token_s,
        "gen_ai.usage.input_tokens": outcome.prompt_tokens,
        "gen_ai.usage.cached_tokens": outcome.cached_tokens,
        "gen_ai.usage.output_tokens": outcome.completion_tokens,
    }
    return {name: value for name, value in known.items() if value is not None}


def _text(text: str) -> str:
    """Bounded, and without halves of characters, on which exporters fail."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
