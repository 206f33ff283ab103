"""Who may see debug pages: clients on this machine, and those with the token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

__all__ = ["AccessSettings", "Visitor", "may_see"]

_OPEN = frozenset({"/healthz"})
_METRICS = "/metrics"


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """What protects the pages."""

    token: str = ""
    """Bearer token. Empty: nobody has one."""
    protect_metrics: bool = False
    """/metrics too is for this machine and for the token only."""

    def __repr__(self) -> str:
        token = "set" if self.token else "none"
        return f"<AccessSettings token {token}, metrics {'protected' if self.protect_metrics else 'open'}>"


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a request tells about who sent it."""

    address: str
    """IP address of the peer; empty when there is none."""
    host: str
    """`Host` header."""
    authorization: str = ""
    forwarded: bool = False
    """A proxy sent it on (`X-Forwarded-For`, `Forwarded`, `Via`), so that the peer's address says nothing."""
    cross_origin: bool = False
    """A web page of another origin made a browser send it (`Origin`, `Sec-Fetch-Site`)."""


def may_see(path: str, visitor: Visitor, settings: AccessSettings) -> bool:
    """Whether the visitor may see the page."""
    if path in _OPEN or (path == _METRICS and not settings.protect_metrics):
        return True
    return _has_token(visitor.authorization, settings.token) or _is_local(visitor)


def _has_token(authorization: str, token: str) -> bool:
    """Compares in constant time, so that how long it takes does not tell how much of a guess was right."""
    scheme, _, given = authorization.partition(" ")
    if not token or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())


def _is_local(visitor: Visitor) -> bool:
    """The peer is this machine, and so is the name it asked for: a web page whose name was bound to 127.0.0.1 in order
    to read us through a visitor's browser (DNS rebinding) has its own name there.
    """
    if visitor.forwarded or visitor.cross_origin:
        return False
    return _is_loopback(visitor.address) and (visitor.host == "" or _names_loopback(visitor.host))


def _names_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.lower() == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback
