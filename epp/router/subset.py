"""Turns a gateway's subset hint into rows of the endpoint table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointTable, split_address

__all__ = ["rows_named"]


def rows_named(names: Iterable[str], table: EndpointTable) -> NDArray[np.bool_]:
    """Mask (table size,) of the endpoints that the names mean: `ip:port` one endpoint, a bare `ip` all its ports.

    Addresses are compared in canonical form, IP and port. Names that are no addresses mean nothing (protocol rule N4).
    """
    wanted: set[tuple[str, int | None]] = set()
    for name in names:
        try:
            wanted.add(split_address(name))
        except ValueError:
            continue
    mask = np.zeros(table.size, np.bool_)
    for row in table.live_rows:
        host, port = table.hosts[row]
        mask[row] = (host, port) in wanted or (host, None) in wanted
    return mask
