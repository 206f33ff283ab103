"""What can be chosen about the Envoy in front of the picker. A value of `EnvoySettings` cannot hold a bad combination.

Refused, each with a sentence that says what to do instead:

    fail_open with original-destination      there is no default host that a request could go to
    max_destinations > 1 with it             Envoy takes exactly one address there, a list is answered 503
    endpoints with it                        Envoy would not know them; the picker alone does
    override-host without endpoints          Envoy sends to no address that it was not told
    an admin address that is not loopback    whoever reaches that port can stop Envoy
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address

from epp.endpoints.types import canonical_address, split_address

__all__ = ["EnvoySettings", "Observation", "PickerTls", "Routing", "endpoint_of", "is_ip_address"]

MAX_ENDPOINTS = 10_000
"""More than the 2,000 endpoints that the picker is built for; a bound on what one file holds."""

MAX_DESTINATIONS = 16
"""Each further destination is one more attempt, with a connect time-out of its own."""

MAX_DURATION_S = 365 * 24 * 3600.0

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,62}))*\.?")


class Routing(Enum):
    """How Envoy comes from the picker's answer to a connection."""

    ORIGINAL_DESTINATION = "original-destination"
    """Dial the one address in the picker's header: Envoy need not know endpoints. No second choice, no fail-open."""
    OVERRIDE_HOST = "override-host"
    """Choose among the endpoints that Envoy was told, in the order of the picker's list; the rest is a fallback."""


class Observation(Enum):
    """How much of each reply passes the picker."""

    FULL = "full"
    """Every chunk: first token and usage are seen, and every chunk costs a message in both directions."""
    LEAN = "lean"
    """Headers, and the end as the end of the gRPC stream. No chunk reaches the picker."""
    NONE = "none"
    """The exchange ends with the request."""


@dataclass(frozen=True, slots=True)
class PickerTls:
    """TLS on the way to the picker. Without a CA file the certificate is not verified, as the picker signs its own."""

    ca_file: str = ""
    """PEM file that the picker's certificate must lead to; a path on the machine that runs Envoy."""
    server_name: str = ""
    """Name or IP address that the certificate must carry, when verified. Empty: the picker's address."""

    def __post_init__(self) -> None:
        if self.server_name and not self.ca_file:
            raise ValueError(f"server name {self.server_name!r} is checked against a certificate: give a CA file too")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings:
    """One Envoy with one listener, one picker and one pool. Raises ValueError for what cannot work."""

    routing: Routing = Routing.ORIGINAL_DESTINATION
    observation: Observation = Observation.FULL
    listener_address: str = "127.0.0.1"
    listener_port: int = 8080
    """0: the system chooses, and Envoy's admin page `/listeners` tells."""
    admin_address: str = "127.0.0.1"
    admin_port: int = 9901
    """0: the system chooses."""
    picker_address: str = "127.0.0.1"
    """IP address, or a host name that is resolved again and again."""
    picker_port: int = 9002
    picker_health_port: int = 9003
    """Where the picker serves gRPC health, without TLS; `fail_open` needs it. 0: not known, so that a connection has
    to do as a check, which a picker that hangs passes."""
    picker_tls: PickerTls | None = field(default=PickerTls())
    """None: HTTP/2 without TLS (h2c)."""
    endpoints: tuple[str, ...] = ()
    """`ip:port`, `[v6]:port`: what override-host may choose from."""
    max_destinations: int = 1
    """Longest list of destinations that the picker sends: Envoy goes down it when one cannot be reached."""
    fail_open: bool = False
    """Serve without a pick when the picker is gone or hangs, by round robin over `endpoints`."""
    subset_hint: tuple[str, ...] | None = None
    """Tell the picker with each request that only these are allowed. For tests of pickers."""
    connect_timeout_s: float = 2.0
    access_log: str = ""
    """File to which a JSON line per request goes, `/dev/stdout` included. Empty: no access log."""

    def __post_init__(self) -> None:
        self._check_listeners()
        self._check_picker()
        self._check_routing()
        self._check_endpoints()
        self._check_limits()

    def _check_listeners(self) -> None:
        for name, address, port in (
            ("listener", self.listener_address, self.listener_port),
            ("admin", self.admin_address, self.admin_port),
        ):
            if not is_ip_address(address):
                raise ValueError(f"{name} address {address!r} is not an IP address")
            _within(f"{name} port", port, 0, 65535)
        if not ip_address(self.admin_address).is_loopback:
            raise ValueError(
                f"admin address {self.admin_address} is not loopback: whoever reaches Envoy's admin port can stop it "
                "and read its configuration; use 127.0.0.1 or ::1"
            )

    def _check_picker(self) -> None:
        if not (is_ip_address(self.picker_address) or _HOST_NAME.fullmatch(self.picker_address)):
            raise ValueError(f"picker address {self.picker_address!r} is neither an IP address nor a host name")
        _within("picker port", self.picker_port, 1, 65535)
        _within("picker health port", self.picker_health_port, 0, 65535)

    def _check_routing(self) -> None:
        if self.routing is Routing.OVERRIDE_HOST:
            if not self.endpoints:
                raise ValueError("override-host needs endpoints: Envoy sends to no address that it was not told")
            return
        if self.fail_open:
            raise ValueError(
                "fail_open needs override-host: with original-destination the picker's answer is the only address, so "
                "there is nowhere to send a request without it"
            )
        if self.max_destinations > 1:
            raise ValueError(
                f"max_destinations {self.max_destinations} needs override-host: with original-destination Envoy takes "
                "exactly one address and answers 503 to a list"
            )
        if self.endpoints:
            raise ValueError("endpoints need override-host: with original-destination only the picker knows them")

    def _check_endpoints(self) -> None:
        _within("number of endpoints", len(self.endpoints), 0, MAX_ENDPOINTS)
        seen: set[str] = set()
        for text in self.endpoints:
            address = canonical_address(*endpoint_of(text))
            if address in seen:
                raise ValueError(f"endpoint {address} is named twice")
            seen.add(address)
        _within("size of the subset hint", len(self.subset_hint or ()), 0, MAX_ENDPOINTS)

    def _check_limits(self) -> None:
        _within("max_destinations", self.max_destinations, 1, MAX_DESTINATIONS)
        _within("connect_timeout_s", self.connect_timeout_s, 0.001, MAX_DURATION_S)
        if not self.access_log.isprintable():
            raise ValueError(f"access log {self.access_log!r} is not a path")


def endpoint_of(text: str) -> tuple[str, int]:
    """IP address and port of `ip:port` or `[v6]:port`. Raises ValueError for anything else, names included."""
    try:
        host, port = split_address(text)
    except ValueError as error:
        raise ValueError(f"endpoint {text!r} is not `ip:port`: {error}") from None
    if port is None or not 0 < port < 65536:
        raise ValueError(f"endpoint {text!r} needs a port between 1 and 65535")
    return host, port


def is_ip_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address, without brackets."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # so written, NaN is refused too
        raise ValueError(f"{name} is {value}, but must be between {low:g} and {high:g}")
