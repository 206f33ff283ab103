"""Which proxy the environment asks for, by the rules of Go's `httpproxy`, which all Kubernetes tools follow. No IO."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

__all__ = ["proxy_of"]


def proxy_of(server: str, env: Mapping[str, str]) -> str:
    """The proxy's URL for a server's URL; empty for none.

    HTTPS_PROXY or HTTP_PROXY by the server's scheme, upper case first, unless NO_PROXY names the server: `*`, a host, a
    domain (`.cluster.local`, and `cluster.local` with all under it), an address or a network, each with a port or not.
    Loopback is never asked for through a proxy.
    """
    parts = urlsplit(server)
    name = f"{parts.scheme}_proxy"
    proxy = env.get(name.upper()) or env.get(name) or ""
    host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
    if not proxy or _is_excepted(host, port, env.get("NO_PROXY") or env.get("no_proxy") or ""):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    return any(_matches(host, port, part.strip().lower()) for part in exceptions.split(",") if part.strip())


def _matches(host: str, port: int, pattern: str) -> bool:
    if pattern == "*":
        return True
    bare, colon, number = pattern.rpartition(":")
    if colon and number.isdigit() and (":" not in bare or bare.endswith("]")):
        if int(number) != port:
            return False
        pattern = bare
    pattern = pattern.strip("[]")
    address = _address(host)
    if address is None:
        return host == pattern or host.endswith("." + pattern.removeprefix("*").removeprefix("."))
    try:
        return address in ip_network(pattern, strict=False)
    except ValueError:
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
