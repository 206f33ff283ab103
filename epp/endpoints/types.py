"""What is known of an endpoint from outside: where it is, and what its servers' pages say.

Discovery produces `EndpointSpec`s, telemetry produces `Scrape`s, `ModelCard`s and health; the table takes them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType

__all__ = ["EndpointSpec", "ModelCard", "Scrape", "canonical_address", "split_address"]

_NO_LABELS: Mapping[str, str] = MappingProxyType({})


def canonical_address(host: str, port: int) -> str:
    """`ip:port` as Envoy writes it: IPv6 compressed, lower-case and in brackets.

    Envoy's override_host policy compares strings; `::1:80` or an uncompressed address silently falls back there.
    Raises ValueError for what is not an IP address or not a port.
    """
    if not 0 < port < 65536:
        raise ValueError(f"port {port} is not between 1 and 65535")
    address = ip_address(host.strip("[]"))
    return f"[{address.compressed}]:{port}" if address.version == 6 else f"{address}:{port}"


def split_address(text: str) -> tuple[str, int | None]:
    """Host and port of `ip`, `ip:port`, `v6`, `[v6]` or `[v6]:port`; port None when none is given.

    The host comes back in canonical form, without brackets. Raises ValueError for anything else.
    """
    text = text.strip()
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise ValueError(f"{text!r} is not an address")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} has no numeric port")
    return ip_address(host).compressed, int(port) if port else None


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One endpoint, that is one address and port, as discovery knows it. `address` is its identity."""

    address: str
    """Canonical `ip:port` (see `canonical_address`)."""
    name: str = ""
    """For people and metrics; the address when empty."""
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS, hash=False)
    metrics_address: str = ""
    """`host:port` to scrape instead of `address`, when the server's pages are elsewhere."""

    @property
    def label(self) -> str:
        """Name if it has one, else address."""
        return self.name or self.address


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one metrics page says. None where the page does not say; several engines behind one port are summed."""

    running: float | None = None
    """Requests that the server works on."""
    waiting: float | None = None
    """Requests in the server's queue."""
    kv_usage: float | None = None
    """Share of the KV cache in use by requests, 0 to 1; the mean over engines."""
    block_size: int | None = None
    """Tokens per KV block."""
    capacity_tokens: int | None = None
    """Tokens that the KV cache holds, summed over engines."""
    max_loras: int | None = None
    """Adapters that can be resident at one time."""
    adapters: frozenset[str] | None = None
    """Adapters of requests that run now. Idle resident adapters are not listed by any server."""
    asleep: bool = False
    """The engine reports a sleep state: it accepts requests and does not answer them."""
    start_time: float | None = None
    """`process_start_time_seconds`: another value than before means a restart with an empty cache."""
    processed_tokens: float | None = None
    """Prompt and output tokens since the server's start: a fall means a restart, where there is no start time."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of `/v1/models`."""

    name: str
    parent: str | None = None
    """The base model, when this is a LoRA adapter."""
