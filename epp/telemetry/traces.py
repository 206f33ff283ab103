"""Whether requests are traced, and starting it. OpenTelemetry is imported only when they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epp.telemetry.otel import Tracing

__all__ = ["TracePlan", "TracingError", "plan_tracing", "start_tracing", "unused_ratio"]

EXPORTERS = ("otlp", "console", "none")
PROTOCOL = "http/protobuf"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")


class TracingError(Exception):
    """Tracing was asked for and cannot be done; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TracePlan:
    """Where spans go."""

    exporter: str
    """`otlp` or `console`."""
    service_name: str | None
    """Our own name; None when the environment gives one."""


def plan_tracing(env: Mapping[str, str]) -> TracePlan | None:
    """The plan by OpenTelemetry's standard variables; None when requests are not traced. Raises TracingError.

    They are traced when an exporter or an OTLP endpoint is named. Sampler, endpoint, headers, time-outs and resource
    are read by the SDK itself. (OpenTelemetry specification, SDK environment variables.)
    """
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not exporter and any(env.get(name) for name in _ENDPOINTS):
        exporter = "otlp"
    if exporter in ("", "none") or env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter not in EXPORTERS:
        raise TracingError(f"OTEL_TRACES_EXPORTER is {exporter[:80]!r}; here it can be one of {', '.join(EXPORTERS)}")
    protocol = next((env[name] for name in _PROTOCOLS if env.get(name)), PROTOCOL)
    if exporter == "otlp" and protocol != PROTOCOL:
        raise TracingError(f"the OTLP protocol is {protocol[:80]!r}; here it can be {PROTOCOL} only (port 4318)")
    named = bool(env.get("OTEL_SERVICE_NAME")) or "service.name=" in env.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return TracePlan(exporter, None if named else "endpoint-picker")


def unused_ratio(env: Mapping[str, str]) -> str:
    """What to tell about a ratio that nothing uses; empty when there is none. The SDK tells what is no ratio."""
    ratio, sampler = env.get("OTEL_TRACES_SAMPLER_ARG"), env.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    if not ratio or sampler.lower() in _RATIO_SAMPLERS:
        return ""
    return (
        f"OTEL_TRACES_SAMPLER_ARG {ratio[:80]!r} has no effect: the sampler is {sampler[:80]}; "
        f"set OTEL_TRACES_SAMPLER to {' or '.join(_RATIO_SAMPLERS)}"
    )


def start_tracing(plan: TracePlan) -> Tracing:
    """Starts exporting. Raises TracingError when OpenTelemetry is not installed."""
    try:
        from epp.telemetry import otel  # noqa: PLC0415 - it is an extra, and costs 0.1 s
    except ImportError as error:
        raise TracingError(
            f"traces are to be exported ({plan.exporter}), but OpenTelemetry is not installed: "
            "install endpoint-picker[otel], or set OTEL_TRACES_EXPORTER=none"
        ) from error
    return otel.Tracing.start(plan)
