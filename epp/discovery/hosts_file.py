"""Reads the hosts file (hosts(5)), which comes before DNS and which a DNS library does not know. No IO."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

__all__ = ["MAX_HOSTS_BYTES", "parse_hosts"]

MAX_HOSTS_BYTES = 1024 * 1024


def parse_hosts(data: bytes) -> Mapping[str, tuple[str, ...]]:
    """Addresses by name, in canonical form and lower case. Lines that cannot be read are left out, as libc does it."""
    hosts: dict[str, list[str]] = {}
    for line in data[:MAX_HOSTS_BYTES].decode("utf-8", "replace").splitlines():
        fields = line.partition("#")[0].split()
        try:
            address = ip_address(fields[0]).compressed if fields else ""
        except ValueError:
            continue
        if "%" not in address:
            for name in fields[1:]:
                hosts.setdefault(name.lower(), []).append(address)
    return {name: tuple(addresses) for name, addresses in hosts.items()}
