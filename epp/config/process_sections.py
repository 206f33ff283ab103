"""Sections of `epp:` about the process: ports, exchanges, plugins, logs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from epp.config.fields import Bind, Model, Part, Port, Section
from epp.config.units import Between, Duration, Size

MIB, GIB = 1 << 20, 1 << 30

__all__ = [
    "DebugSection",
    "DecisionLogSection",
    "DecisionsSection",
    "ExchangeSection",
    "HttpTlsSection",
    "LoggingSection",
    "MetricsSection",
    "OverloadSection",
    "PluginsSection",
    "ServerTlsSection",
    "ServingSection",
    "TracingSection",
]


class ServerTlsSection(Model):
    """TLS of the external processing port."""

    enabled: bool = True
    """Off: HTTP/2 without TLS."""
    cert_dir: str = ""
    """Directory with `tls.crt` and `tls.key`. Empty: a certificate signed by itself is made at each start."""
    reload: bool = False
    """Take a changed certificate of `certDir` without a restart."""
    client_ca_file: str = ""
    """PEM file; when given, a proxy must show a certificate that leads to it."""

    @model_validator(mode="after")
    def _consistent(self) -> ServerTlsSection:
        if self.client_ca_file and not self.enabled:
            raise ValueError("clientCaFile needs enabled: true")
        return self


class ServingSection(Section):
    """The ports that proxies and probes use."""

    example = """\
serving:
  port: 9002
  drainTimeout: 1m
  tls: {certDir: /etc/epp/tls, reload: true, clientCaFile: /etc/epp/ca.crt}
"""

    bind: Bind = ""
    """IP address to listen on. Empty: all addresses of the machine."""
    port: Port = 9002
    """External processing (gRPC). 0 here and below: the system chooses."""
    health_port: Port = 9003
    """gRPC health service for liveness and readiness."""
    drain_timeout: Annotated[Duration, Between(0.0, 3600.0)] = 30.0
    """After SIGTERM readiness fails at once, and streams are served for this long."""
    tls: ServerTlsSection = ServerTlsSection()


class HttpTlsSection(Model):
    """TLS of the metrics and debug port."""

    cert_dir: str = ""
    """Directory with `tls.crt` and `tls.key`. Empty: plain HTTP."""
    client_ca_file: str = ""
    """PEM file; when given, a client must show a certificate that leads to it."""

    @model_validator(mode="after")
    def _consistent(self) -> HttpTlsSection:
        if self.client_ca_file and not self.cert_dir:
            raise ValueError("clientCaFile needs certDir: without TLS there are no client certificates")
        return self


class MetricsSection(Section):
    """The HTTP port with metrics and debug pages."""

    example = "metrics: {bind: 127.0.0.1, port: 9090}"

    bind: Bind = ""
    """IP address to listen on. Empty: all addresses of the machine."""
    port: Port = 9090
    """`/metrics` and the debug pages."""
    need_token: bool = False
    """Ask for the token of `debug.tokenFile` on `/metrics`, too."""
    tls: HttpTlsSection = HttpTlsSection()


class DebugSection(Section):
    """Debug pages: configuration, endpoints, decisions and their explanations."""

    example = "debug: {tokenFile: /etc/epp/debug-token}"

    token_file: str = ""
    """File with the bearer token that opens the pages to other machines. Empty: they answer to loopback only."""


class ExchangeSection(Section):
    """One HTTP request's exchange with the proxy."""

    takes_effect = Part.EXCHANGE
    example = "exchange: {maxBodyBytes: 128MiB, bodiesInFlightBytes: 2GiB}"

    max_body_bytes: Annotated[Size, Between(1024, GIB)] = 64 * MIB
    """Largest request body; beyond it the answer is 413. vLLM itself takes 32 MiB."""
    bodies_in_flight_bytes: Annotated[Size, Between(MIB, 1 << 40)] = GIB
    """Request bodies held at one time, all together; beyond it the answer is 503."""
    close_after_pick: bool = False
    """End every exchange with the request: replies cost nothing, and nothing is learned from them."""
    reply_phase: bool = True
    """The gateway shows replies. False for gateways that have no response phase (NGINX Gateway Fabric)."""
    clear_route_cache: bool = False
    """Have Envoy choose the route again after the pick; only where routes match on headers that the picker sets."""


class DecisionLogSection(Model):
    """A file with a line of JSON per request: sizes, times, choice and explanation, never text of a prompt."""

    path: str = ""
    """The file; /dev/stdout works. Empty: none."""
    max_file_bytes: Annotated[Size, Between(64 * 1024, 1 << 40)] = 100 * MIB
    """A file that would become larger is set aside first, as `path.1`, that one as `path.2`, and so on."""
    keep: Annotated[int, Field(ge=0, le=1000)] = 5
    """Files set aside; the oldest beyond are deleted."""
    block_stride: Annotated[int, Field(ge=1, le=65_536)] = 8
    """Of so many blocks of 256 bytes of a prompt, one hash is written. 1: all, which makes long lines."""


class DecisionsSection(Section):
    """Explanations of past decisions."""

    example = "decisions: {kept: 1000, headers: true, log: {path: /var/log/epp/decisions.jsonl, keep: 10}}"

    kept: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Last decisions that can be explained."""
    headers: bool = False
    """Tell clients the decision's id and endpoint in reply headers."""
    log: DecisionLogSection = DecisionLogSection()


class PluginsSection(Section):
    """Guards against slow plugins."""

    takes_effect = Part.PROFILE
    example = "plugins: {slowAfter: 5ms, slowCalls: 10}"

    slow_after: Annotated[Duration, Between(0.001, 10.0)] = 0.02
    """A call that takes longer is neutral in its decision, and logged."""
    slow_calls: Annotated[int, Field(ge=1, le=10_000)] = 5
    """After so many slow calls in a row a plugin is switched off until the next reload or start."""


class OverloadSection(Section):
    """What happens when the picker itself has too much to do."""

    takes_effect = Part.OVERLOAD
    example = "overload: {maxLag: 100ms, maxBusy: 0.95}"

    max_lag: Annotated[Duration, Between(0.01, 10.0)] = 0.25
    """Lag of the event loop beyond which new requests are placed by load alone and their replies go by unseen."""
    max_busy: Annotated[float, Field(ge=0.1, le=1.0)] = 0.92
    """Share of the time for which the event loop has something to do, beyond which it is so, too. 1: no limit."""


class LoggingSection(Section):
    """Logs, on standard error."""

    takes_effect = Part.LOGGING
    example = "logging: {verbosity: 4, format: json}"

    verbosity: Annotated[int, Field(ge=0, le=100)] = 2
    """As `-v`: 0 and 1 warnings, 2 information, 3 more of it, 4 debug, 5 and above trace."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, else one JSON object per line."""


class TracingSection(Section):
    """OpenTelemetry traces. Exporter, sampler and resource come from the OTEL_* variables."""

    example = "tracing: {enabled: false}"

    enabled: bool = True
    """Traces are made when OTEL_TRACES_EXPORTER or an OTLP endpoint says where to; off: not even then."""
