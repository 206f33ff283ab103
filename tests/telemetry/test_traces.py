import sys
from collections.abc import Iterator, Mapping
from itertools import count

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from epp.exchange import EndCause
from epp.telemetry.clock import Clock
from epp.telemetry.otel import RequestTraces, Tracing
from epp.telemetry.traces import TracePlan, TracingError, plan_tracing, start_tracing, unused_ratio
from tests.router.desk import Desk, chat

OWN = "endpoint-picker"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

PLANS: dict[str, tuple[Mapping[str, str], TracePlan | None]] = {
    "nothing said": ({}, None),
    "switched off": ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
    "the whole SDK off": ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"}, None),
    "an exporter": ({"OTEL_TRACES_EXPORTER": " OTLP "}, TracePlan("otlp", OWN)),
    "an endpoint": ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, TracePlan("otlp", OWN)),
    "an endpoint of traces": ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318"}, TracePlan("otlp", OWN)),
    "a name": ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SERVICE_NAME": "mine"}, TracePlan("console", None)),
    "a resource": (
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=mine"},
        TracePlan("console", None),
    ),
    "a protocol that is spoken": (
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        TracePlan("otlp", OWN),
    ),
    "a protocol does not matter to the console": (
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        TracePlan("console", OWN),
    ),
}


@pytest.mark.parametrize(("env", "plan"), PLANS.values(), ids=PLANS)
def test_the_environment_says_whether_requests_are_traced(env: Mapping[str, str], plan: TracePlan | None) -> None:
    assert plan_tracing(env) == plan


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin'; here it can be one of otlp, console, none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc'; here it can be http/proto"),
    ],
)
def test_what_cannot_be_done_is_told(env: Mapping[str, str], message: str) -> None:
    with pytest.raises(TracingError, match=message):
        plan_tracing(env)


SAMPLERS: dict[str, tuple[Mapping[str, str], str]] = {
    "nothing said": ({}, ""),
    "a ratio": ({"OTEL_TRACES_SAMPLER": "TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}, ""),
    "no ratio, which the SDK tells": (
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"},
        "",
    ),
    "a ratio that no sampler takes": (
        {"OTEL_TRACES_SAMPLER_ARG": "0.1"},
        "OTEL_TRACES_SAMPLER_ARG '0.1' has no effect: the sampler is parentbased_always_on; set OTEL_TRACES_SAMPLER to "
        "traceidratio or parentbased_traceidratio",
    ),
}


@pytest.mark.parametrize(("env", "message"), SAMPLERS.values(), ids=SAMPLERS)
def test_a_ratio_that_is_not_used_is_told(env: Mapping[str, str], message: str) -> None:
    assert unused_ratio(env) == message


def test_the_sdk_tells_what_is_no_ratio(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in SAMPLERS["no ratio, which the SDK tells"][0].items():
        monkeypatch.setenv(name, value)
    start_tracing(TracePlan("console", OWN)).stop()
    assert "Using default rate 1.0" in caplog.text


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "epp.telemetry.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("epp.telemetry.otel", raising=False)
    with pytest.raises(TracingError, match=r"install endpoint-picker\[otel\]"):
        start_tracing(TracePlan("otlp", OWN))


def test_spans_are_exported_to_the_console_and_the_export_ends(capsys: pytest.CaptureFixture[str]) -> None:
    tracing = start_tracing(TracePlan("console", OWN))
    tracing.tracer.start_span("a span").end()
    tracing.stop()
    written = capsys.readouterr().out
    assert '"name": "a span"' in written
    assert OWN in written


class Traced:
    """A desk whose spans are kept."""

    def __init__(self, provider: TracerProvider) -> None:
        self.exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        clock = Clock(lambda: self.desk.now, lambda: self.desk.now + 1_700_000_000)
        traces = RequestTraces("pool-a", Tracing(provider).tracer, clock)
        ticks = count()
        self.desk = Desk(
            3,
            observer=traces,
            stopwatch=lambda: next(ticks) * 0.001,
        )

    def spans(self) -> Mapping[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture
def traced(provider: TracerProvider) -> Traced:
    return Traced(provider)


def test_a_request_is_a_span_with_its_decision_within(traced: Traced) -> None:
    exchange, endpoint = traced.desk.place(headers={"x-request-id": "abc"})
    traced.desk.wait(0.5)
    traced.desk.serve(exchange, prompt=900, cached=64, output=10)
    spans = traced.spans()
    request, decision = spans["gateway.request"], spans["llm_d.epp.decision"]
    assert request.parent is None
    assert request.kind is SpanKind.SERVER
    assert decision.parent is not None
    assert request.context is not None
    assert decision.parent.span_id == request.context.span_id
    attributes = {**(request.attributes or {}), **(decision.attributes or {})}
    expected = {
        "gen_ai.request.model": "base",
        "gen_ai.request.id": "abc",
        "gen_ai.usage.input_tokens": 900,
        "gen_ai.usage.cached_tokens": 64,
        "gen_ai.usage.output_tokens": 10,
        "http.response.status_code": 200,
        "llm_d.epp.candidates": 3,
        "llm_d.epp.endpoint": endpoint,
        "llm_d.epp.matched_tokens": 0.0,
        "llm_d.epp.verdict": "good",
        "llm_d.epp.pool": "pool-a",
    }
    assert {name: attributes[name] for name in expected} == expected
    assert request.start_time == 1_700_001_000 * 10**9
    assert request.end_time == pytest.approx(1_700_001_000.7 * 1e9, rel=1e-15)
    assert decision.end_time == pytest.approx(1_700_001_000.004 * 1e9, rel=1e-15)
    assert "quick brown fox" not in str(attributes)


def test_a_span_is_the_child_of_the_callers(traced: Traced) -> None:
    exchange, _ = traced.desk.place(headers={"traceparent": PARENT, "tracestate": "a=b"})
    traced.desk.serve(exchange)
    span = traced.spans()["gateway.request"]
    assert span.context is not None
    assert span.parent is not None
    assert format_trace_id(span.context.trace_id) == PARENT.split("-")[1]
    assert format_span_id(span.parent.span_id) == PARENT.split("-")[2]
    assert span.context.trace_state.get("a") == "b"


@pytest.mark.parametrize("parent", ["", "x", "00-0-0-01", PARENT.replace("4bf9", "zzzz"), PARENT + "0" * 600, "\udcff"])
def test_a_bad_parent_is_none(traced: Traced, parent: str) -> None:
    exchange, _ = traced.desk.place(headers={"traceparent": parent, "tracestate": "a=b"})
    traced.desk.serve(exchange)
    assert traced.spans()["gateway.request"].parent is None


def test_a_parent_is_of_one_request_alone(traced: Traced) -> None:
    traced.desk.place(headers={"traceparent": PARENT})
    exchange, _ = traced.desk.place()
    traced.desk.serve(exchange)
    assert traced.spans()["gateway.request"].parent is None


def test_a_caller_that_does_not_sample_is_followed(traced: Traced) -> None:
    exchange, _ = traced.desk.place(headers={"traceparent": PARENT[:-2] + "00"})
    traced.desk.serve(exchange)
    assert traced.spans() == {}


def test_a_failed_reply_is_an_error_and_an_abort_is_none(traced: Traced) -> None:
    exchange, _ = traced.desk.place()
    traced.desk.headers(exchange, 503, "text/plain")
    traced.desk.end(exchange, b"no")
    assert traced.spans()["gateway.request"].status.status_code is StatusCode.ERROR
    traced.exporter.clear()
    exchange, _ = traced.desk.place()
    traced.desk.stop(exchange, EndCause.ABORTED)
    assert traced.spans()["gateway.request"].status.status_code is StatusCode.UNSET


def test_a_refused_request_has_no_span(traced: Traced) -> None:
    traced.desk.ask(b"{")
    assert traced.spans() == {}


def test_hostile_names_can_be_exported(traced: Traced) -> None:
    headers = {"x-request-id": "\udcff", "x-llm-d-model-name-rewrite": "m\udcff"}
    exchange, _ = traced.desk.place(headers=headers)
    traced.desk.serve(exchange)
    attributes = traced.spans()["gateway.request"].attributes or {}
    assert (attributes["llm_d.epp.target_model"], attributes["gen_ai.request.id"]) == ("m?", "?")


def test_nothing_is_kept_of_what_is_not_sampled() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    traced = Traced(provider)
    exchange, _ = traced.desk.place(chat("hello"))
    traced.desk.serve(exchange)
    assert traced.spans() == {}
    provider.shutdown()
