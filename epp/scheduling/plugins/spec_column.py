"""One value per endpoint that depends only on its spec (labels, name), kept as an array by table row.

Reading labels takes a loop over endpoints; the result is kept until the table changes (`EndpointTable.version`), so
that a decision takes one array operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from epp.endpoints import EndpointSpec, EndpointTable
from epp.scheduling.view import View

__all__ = ["SpecColumn"]

V = TypeVar("V")
"""What is read of one endpoint."""
S = TypeVar("S", bound=np.generic)


class SpecColumn(Generic[V, S]):
    """Values read from specs by `read`; a tuple gives an array with a second axis."""

    __slots__ = ("_dtype", "_fill", "_read", "_table", "_values", "_version")

    def __init__(self, read: Callable[[EndpointSpec], V], fill: V, dtype: DTypeLike) -> None:
        self._read = read
        self._fill = fill
        self._dtype = dtype
        self._table: EndpointTable | None = None
        self._version = -1
        self._values: NDArray[S] = np.empty(0, dtype)

    def of(self, view: View) -> NDArray[S]:
        """Value of each candidate, as a copy."""
        table = view.pool.table
        if self._table is not table or self._version != table.version:
            read = [self._fill if spec is None else self._read(spec) for spec in table.specs]
            self._values = np.array(read, self._dtype)
            self._table, self._version = table, table.version
        return self._values[view.rows]

    def put(self, address: str, value: V) -> None:
        """Replaces the value of one endpoint, until the specs are read again. One that is not there is left alone."""
        if self._table is not None and self._version == self._table.version:
            row = self._table.row_of(address)
            if row is not None:
                self._values[row] = np.array(value, self._dtype)

    def __repr__(self) -> str:
        return f"<SpecColumn of {len(self._values)} rows, version {self._version}>"
