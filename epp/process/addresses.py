# ruff: noqa: TID251 - this file is an edge: it opens sockets
"""Says in words why an address cannot be listened on, before a server fails on it in its own words.

The address is bound and released again, so what counts is what the kernel says: that another process listens there,
that the machine has no such address, that the port needs privileges. Between the look and the server's own bind
somebody may still be faster; the server's error is then what is seen.
"""

from __future__ import annotations

import errno
import socket

from epp.process.errors import StartError

__all__ = ["check_address", "listen", "shown"]

_WHY = {
    errno.EADDRINUSE: "another process has the port; choose another",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another",
    errno.EACCES: "the port needs privileges; choose one above 1023",
}


def check_address(host: str, port: int, option: str, host_option: str = "") -> int:
    """The port; for port 0 one that is free. Raises StartError when nothing could listen there now.

    `host` is an IP address, or empty for all addresses of the machine. `option` is what to change, `--grpc-port`;
    `host_option` is where the host comes from, when that is another.
    """
    with listen(host, port, option, host_option) as listener:
        found: int = listener.getsockname()[1]
    return found


def listen(host: str, port: int, option: str, host_option: str = "") -> socket.socket:
    """A socket that listens; without a host on IPv4 and IPv6. Raises StartError, as `check_address` does."""
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = _WHY.get(error.errno or 0, error.strerror or str(error))
        to_change = host_option if host_option and error.errno == errno.EADDRNOTAVAIL else option
        raise StartError(f"cannot listen on {shown(host, port)} ({to_change}): {why}") from error


def shown(host: str, port: int) -> str:
    """The address as people write it."""
    if not host:
        return f"port {port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
