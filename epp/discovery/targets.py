"""What can be listed as an endpoint: an address or a host name with a port, or the name of a DNS service.

A *target* is what an operator writes down. Host names become addresses in `directory`; here only the form is checked.
Written as text (`parse_target`): `10.0.0.1:8000`, `[fd00::1]:8000`, `gpu1.example:8000`, `_vllm._tcp.example` (SRV).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType

__all__ = ["HostTarget", "ServiceTarget", "Target", "is_address", "parse_host", "parse_port", "parse_target"]

_NO_LABELS: Mapping[str, str] = MappingProxyType({})
_DNS_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_MAX_NAME = 253
"""Characters in a host name without its final dot (RFC 1035, 255 octets on the wire)."""


@dataclass(frozen=True, slots=True)
class HostTarget:
    """One host and port. A name stands for all addresses that it resolves to."""

    host: str
    """As `parse_host` returns it."""
    port: int
    name: str = ""
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS, hash=False)
    metrics_port: int | None = None
    """Where the server's pages are, when not on `port`."""


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A DNS service: its SRV records say hosts and ports (RFC 2782)."""

    service: str
    """For example `_http._tcp.vllm.default.svc.cluster.local`."""
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS, hash=False)
    metrics_port: int | None = None


Target = HostTarget | ServiceTarget


def is_address(host: str) -> bool:
    """Whether a host, as `parse_host` returns it, is an IP address and not a name."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def parse_host(text: str) -> str:
    """An IP address in canonical form without brackets, or a host name in lower case. Raises ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        return _host_name(text)
    if "%" in bare:
        raise ValueError(f"{text!r} has a zone, which other hosts cannot use: give a global or unique local address")
    return address.compressed


def _host_name(text: str) -> str:
    name = text.lower()
    bare = name.removesuffix(".")
    labels = bare.split(".")
    if len(bare) > _MAX_NAME or not all(_DNS_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{text[:80]!r} is neither an IP address nor a host name")
    if labels[-1].isdigit():  # no top-level domain is a number: this was meant to be an address
        raise ValueError(f"{text!r} is not an IPv4 address")
    return name


def parse_port(text: str) -> int:
    """A TCP port in decimal digits. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"port {text[:80]!r} is not a number between 1 and 65535")
    return int(text)


def parse_target(text: str) -> Target:
    """A target from text, see the head of this file. Raises ValueError that says what is wrong."""
    text = text.strip()
    if text.startswith("_"):
        return ServiceTarget(_host_name(text))
    scheme, mark, _ = text.partition("://")
    if mark:
        raise ValueError(f"{text[:80]!r}: leave {scheme[:20] + mark!r} out, write host:port")
    if "," in text:
        raise ValueError(f"{text[:80]!r}: give each endpoint by itself; a flag may be given many times")
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise ValueError(f"{text[:80]!r} has no port: write host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{text[:80]!r}: write an IPv6 address in brackets, [address]:port")
    return HostTarget(parse_host(host), parse_port(port))
