"""`header-based-testing-filter`: endpoints that a request header names. For the conformance tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.endpoints import split_address
from epp.requests import InferenceRequest
from epp.scheduling.types import Mask
from epp.scheduling.view import View

__all__ = ["HEADER", "HeaderBasedTestingFilter"]

HEADER = "test-epp-endpoint-selection"


@dataclass(slots=True)
class HeaderBasedTestingFilter:
    """Keeps what the header lists: `ip` (all its ports), `ip:port`, `[v6]:port`, with commas. Source: `test/filter`.

    It can only choose among the candidates; a header that names none of them keeps none. What is no address means
    nothing. Differs from the Go picker: without the header all are kept, not none, so that one configuration serves
    tests and traffic.
    """

    def keep(self, request: InferenceRequest, view: View) -> Mask:
        """Boolean (n,)."""
        header = request.headers.get(HEADER)
        if header is None:
            return np.ones(len(view), np.bool_)
        wanted = _addresses(header)
        hosts = (view.pool.table.hosts[row] for row in view.rows)
        named = ((host, port) in wanted or (host, None) in wanted for host, port in hosts)
        return np.fromiter(named, np.bool_, len(view))


def _addresses(header: str) -> set[tuple[str, int | None]]:
    addresses: set[tuple[str, int | None]] = set()
    for text in header.split(","):
        try:
            addresses.add(split_address(text))
        except ValueError:
            continue
    return addresses
