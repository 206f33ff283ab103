"""`header-based-testing-filter`: endpoints that a request header names. For the conformance tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        return view.pool.table.rows_named(header.split(","))[view.rows]
