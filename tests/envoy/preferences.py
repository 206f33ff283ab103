"""A plugin of the tests, named by its import path in configurations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epp.requests import InferenceRequest
from epp.scheduling import View

__all__ = ["HEADER", "PreferenceScorer"]

HEADER = "x-prefer"


class PreferenceScorer:
    """The order of the addresses in the header `x-prefer`; those that are not in it come last."""

    def score(self, request: InferenceRequest, view: View) -> NDArray[np.float64]:
        wanted = (request.headers.get(HEADER) or "").split(",")
        addresses = [view.pool.table.addresses[row] for row in view.rows]
        places = [wanted.index(address) + 1 if address in wanted else np.inf for address in addresses]
        return 1.0 / np.array(places)
