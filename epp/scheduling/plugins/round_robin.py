"""`round-robin-picker`: one endpoint after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least
from epp.scheduling.types import Placement, Values
from epp.scheduling.view import View

__all__ = ["RoundRobinPicker"]


@dataclass(slots=True)
class RoundRobinPicker:
    """The candidate after the one that got the last request, in the table's order, whatever the values.

    Only placements take turns: asking what would be picked does not. Each replica of the picker takes its own.
    """

    max_num_of_endpoints: int = 1
    """Length of the ordered list that the proxy gets."""
    _last: int = field(init=False, repr=False)
    """Table row that got the last request. A place in the order and not an endpoint: who holds it now does not matter.
    """

    def __post_init__(self) -> None:
        at_least("maxNumOfEndpoints", self.max_num_of_endpoints, 1)
        self._last = -1

    def pick(self, values: Values, view: View) -> NDArray[np.int64]:
        """Indices, from the one whose turn it is."""
        first = int(view.rows.searchsorted(self._last, side="right"))
        wanted = min(self.max_num_of_endpoints, len(values))
        return (np.arange(first, first + wanted, dtype=np.int64)) % len(values)

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> None:  # noqa: ARG002
        """It is the next one's turn."""
        self._last = placement.ref.row
