"""Sections of `epp:` about what model servers are asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from epp.config.errors import meant
from epp.config.fields import Metric, Model, Part, Port, Section, UrlPath
from epp.config.units import Between, Duration
from epp.telemetry.engines import ENGINES

__all__ = ["ClientTlsSection", "EngineSection", "ModelListSection", "ProbeSection", "ScrapingSection"]


class ClientTlsSection(Model):
    """TLS towards model servers, with `scheme: https`."""

    verify: bool = True
    """Check the server's certificate. The Go picker's default is not to."""
    ca_file: str = ""
    """PEM file to which certificates must lead. Empty: the system's authorities."""
    cert_file: str = ""
    """PEM file with the client certificate."""
    key_file: str = ""
    """PEM file with its key, when that is not in `certFile`."""
    server_name: str = ""
    """Name to ask for, and to expect in the server's certificate. Empty: the address, which few certificates hold."""

    @model_validator(mode="after")
    def _consistent(self) -> ClientTlsSection:
        if self.key_file and not self.cert_file:
            raise ValueError("keyFile needs certFile")
        return self


class ProbeSection(Model):
    """Health probes, beside metrics: a vLLM whose engine has died goes on to show its last metrics."""

    path: UrlPath = "/health"
    """Asked with GET; a status from 200 to 299 is healthy. 404, 405 and 501 say that there is no such probe, which
    counts as healthy, too. Empty: no probes. For Triton `/v2/health/ready`."""
    interval: Annotated[Duration, Between(0.1, 3600.0)] = 2.0
    """Between probes of one endpoint."""


class ModelListSection(Model):
    """Model lists: which models and adapters an endpoint has."""

    path: UrlPath = "/v1/models"
    """Path of the list. Empty: it is not read."""
    interval: Annotated[Duration, Between(1.0, 86400.0)] = 30.0
    """Between reads of one endpoint; new and restarted endpoints are read at once."""


class EngineSection(Model):
    """Metric names of one kind of model server, as `name` or `name{label=value}`. What is not given stays as in the
    preset of that name; an empty text says that the server has no such metric.
    """

    running: Metric | None = None
    """Requests that the server works on."""
    waiting: Metric | None = None
    """Requests in its queue."""
    kv_usage: Metric | None = None
    """Share of the KV cache in use, 0 to 1."""
    lora_info: Metric | None = None
    """Info metric with labels as vLLM's `lora_requests_info`."""
    cache_info: Metric | None = None
    """Info metric whose labels give block size and number of blocks."""
    block_size_label: str | None = None
    """Its label with the tokens per block."""
    blocks_label: str | None = None
    """Its label with the number of blocks."""
    block_size: Metric | None = None
    """Gauge with the tokens per block, where there is no info metric."""
    blocks: Metric | None = None
    """Gauge with the number of blocks, likewise."""


class ScrapingSection(Section):
    """What model servers are asked, and how often."""

    takes_effect = Part.SCRAPING
    example = """\
scraping:
  interval: 2s
  scheme: https
  bearerTokenFile: /etc/epp/token
  tls: {caFile: /etc/epp/servers-ca.crt}
  engine: sglang
  engines:
    vllm: {waiting: "my_queue{kind=waiting}"}
"""

    interval: Annotated[Duration, Between(0.05, 3600.0)] = 1.0
    """Between scrapes of one endpoint's metrics. A page costs vLLM 5 to 18 ms of its own time."""
    timeout: Annotated[Duration, Between(0.05, 60.0)] = 1.0
    """For one answer."""
    scheme: Literal["http", "https"] = "http"
    """Of metrics, probes and model lists."""
    max_backoff: Annotated[Duration, Between(0.05, 3600.0)] = 10.0
    """Longest wait between scrapes of an endpoint that fails again and again."""
    path: UrlPath = ""
    """Path of the metrics page. Empty: where the kind of server has it, `/prometheus/metrics` with `trtllm-serve`, else
    `/metrics`."""
    port: Port = 0
    """Port of metrics pages where discovery gives no other. 0: the endpoint's own."""
    bearer_token_file: str = ""
    """File with a bearer token to send; read again when it changes."""
    tls: ClientTlsSection = ClientTlsSection()
    health: ProbeSection = ProbeSection()
    models: ModelListSection = ModelListSection()
    engine: str = "vllm"
    """Kind of model server where an endpoint's label says nothing: `vllm`, `sglang`, `trtllm-serve`,
    `triton-tensorrt-llm`, `triton`, or one of `engines`."""
    engine_label: str = ""
    """Label that names an endpoint's kind of model server. Empty: `llm-d.ai/engine-type`, or its old name
    `inference.networking.k8s.io/engine-type`."""
    engines: Annotated[dict[str, EngineSection], Field(max_length=32)] = Field(default={})
    """Metric names by kind of model server; more kinds, or other names than the presets have."""

    @model_validator(mode="after")
    def _known_engine(self) -> ScrapingSection:
        known = {*ENGINES, *self.engines}
        if self.engine not in known:
            raise ValueError(f"engine {self.engine!r} has no metric names{meant(self.engine, known)}")
        return self
