"""Settings of scraping and health probing. All that can be wrong with them is found when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from epp.telemetry.engines import DEFAULT_ENGINE, ENGINE_LABELS, ENGINES, MetricNames

__all__ = ["ScrapeSettings", "TlsSettings"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How servers are met over https."""

    verify: bool = True
    """Check the server's certificate and name. The Go picker does not, by default."""
    ca_file: Path | None = None
    """Certificates of authorities (PEM); None: those of the system."""
    cert_file: Path | None = None
    """Our own certificate (PEM), for servers that ask for one."""
    key_file: Path | None = None
    """Its key, when it is not in `cert_file`."""
    server_name: str | None = None
    """Name to ask for and to expect in the server's certificate; None: the address, which few certificates hold."""


@dataclass(frozen=True, slots=True)
class ScrapeSettings:
    """What is asked of model servers, how often, and how."""

    interval_s: float = 1.0
    """Between metrics pages of one endpoint. A page costs vLLM 5 to 18 ms; the Go picker asks every 50 ms."""
    health_interval_s: float = 2.0
    """Between health probes of one endpoint, also of one that fails."""
    models_interval_s: float = 30.0
    """Between lists of models of one endpoint. New and restarted endpoints are asked at once."""
    timeout_s: float = 1.0
    """For one request, from connecting to the last byte."""
    max_backoff_s: float = 10.0
    """Longest wait between metrics pages of an endpoint that fails again and again."""
    scheme: str = "http"
    metrics_path: str = ""
    """Of all metrics pages. Empty: where each kind of server has it."""
    metrics_port: int | None = None
    """Port of all metrics pages, where discovery gives no other; None: the endpoint's own."""
    health_path: str = "/health"
    """Asked with GET (vLLM answers HEAD with 405). Empty: no probes. For Triton `/v2/health/ready`."""
    models_path: str = "/v1/models"
    """Empty: no lists of models."""
    max_page_bytes: int = 8 * _MIB
    """Of a metrics page; a larger one is an error. vLLM's has 78 KB, and grows with each set of adapters seen."""
    max_models_bytes: int = 4 * _MIB
    engine: str = DEFAULT_ENGINE
    """Engine type of endpoints that have no label for it."""
    engine_labels: tuple[str, ...] = ENGINE_LABELS
    """Labels of an endpoint that name its engine type; the first that is there counts."""
    engines: Mapping[str, MetricNames] = field(default_factory=lambda: ENGINES, hash=False)
    """Metric names by engine type."""
    token_file: Path | None = None
    """Holds a bearer token for each request, vLLM's `--api-key`; read again when it changes."""
    tls: TlsSettings = TlsSettings()
    max_requests: int = 512
    """Requests under way at a time. Each endpoint keeps a connection or two open besides."""

    def __post_init__(self) -> None:
        for name in ("interval_s", "health_interval_s", "models_interval_s", "timeout_s", "max_backoff_s"):
            _within(name, getattr(self, name), 0.01, 86_400)
        for name in ("max_page_bytes", "max_models_bytes", "max_requests"):
            _within(name, getattr(self, name), 1, 2**30)
        if self.metrics_port is not None:
            _within("metrics_port", self.metrics_port, 1, 65_535)
        for name in ("metrics_path", "health_path", "models_path"):
            _path(name, getattr(self, name) or "/")
        if self.scheme not in ("http", "https"):
            raise ValueError(f"scheme is {self.scheme!r}: it must be http or https")
        if self.engine not in self.engines:
            raise ValueError(f"engine is {self.engine!r}: known are {', '.join(self.engines)}")


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}: it must be between {least} and {most}")


def _path(name: str, path: str) -> None:
    if not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        raise ValueError(f"{name} is {path!r}: it must begin with / and hold printable ASCII without spaces")
