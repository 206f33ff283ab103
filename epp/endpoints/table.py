"""The endpoint table: which endpoints there are, and a row of columns for each.

Rows are reused through a free list. A row's generation goes up whenever its endpoint leaves, so that what belongs to
an endpoint of the past cannot touch the row's new owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

import numpy as np
import xxhash
from numpy.typing import NDArray

from epp.endpoints.columns import Columns
from epp.endpoints.types import EndpointSpec, split_address

__all__ = ["Change", "EndpointTable", "Generation", "Row", "RowRef"]

Row = NewType("Row", int)
Generation = NewType("Generation", int)


@dataclass(frozen=True, slots=True)
class RowRef:
    """A row as it was at one time."""

    row: Row
    generation: Generation


@dataclass(frozen=True, slots=True)
class Change:
    """What a new set of endpoints did to the table."""

    added: tuple[Row, ...]
    removed: tuple[Row, ...]


class EndpointTable:
    """Endpoints of one pool, by address and by row."""

    def __init__(self) -> None:
        self.columns = Columns()
        self.specs: list[EndpointSpec | None] = []
        self.generations: list[Generation] = []
        self.addresses: tuple[str, ...] = ()
        """Address by row, empty for free rows. Replaced, never changed: a decision may keep it."""
        self.version = 0
        """Goes up with every change of the set or of labels; what is derived from them is cached by it."""
        self.address_hashes: NDArray[np.uint64] = np.zeros(0, np.uint64)
        """A number for each address by row, the same in every process; replaced likewise."""
        self.hosts: tuple[tuple[str, int | None], ...] = ()
        """Canonical IP and port by row; replaced likewise."""
        self._rows: dict[str, Row] = {}
        self._rows_by_host: dict[str, list[Row]] = {}
        self._free: list[Row] = []
        self._live_rows: NDArray[np.int64] = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> int:
        """Number of rows, free ones included."""
        return len(self.specs)

    @property
    def live_rows(self) -> NDArray[np.int64]:
        """Rows in use, ascending."""
        return self._live_rows

    def row_of(self, address: str) -> Row | None:
        """Row of an endpoint by its canonical address."""
        return self._rows.get(address)

    def rows_named(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Mask (size,) of the endpoints that names mean: `ip:port` one endpoint, a bare `ip` all its ports.

        Addresses are compared in canonical form. Names that are no addresses mean nothing (protocol rule N4).
        """
        mask = np.zeros(self.size, np.bool_)
        for name in names:
            try:
                host, port = split_address(name)
            except ValueError:
                continue
            for row in self._rows_by_host.get(host, ()):
                if port is None or self.hosts[row][1] == port:
                    mask[row] = True
        return mask

    def ref(self, row: Row) -> RowRef:
        """The row as it is now."""
        return RowRef(row, self.generations[row])

    def holds(self, ref: RowRef) -> bool:
        """The row still belongs to the endpoint that it belonged to when the reference was made."""
        return self.generations[ref.row] == ref.generation

    def spec(self, row: int) -> EndpointSpec:
        """Endpoint in a row that is in use."""
        spec = self.specs[row]
        assert spec is not None, f"row {row} is free"
        return spec

    def replace(self, specs: Iterable[EndpointSpec], now: float) -> Change:
        """Takes the complete current set. Endpoints that stay keep their rows and all that is known of them."""
        wanted = {spec.address: spec for spec in specs}
        removed = tuple(row for address, row in self._rows.items() if address not in wanted)
        for row in removed:
            self._remove(row)
        added = tuple(self._add(spec, now) for address, spec in wanted.items() if address not in self._rows)
        for address, spec in wanted.items():
            self.specs[self._rows[address]] = spec
        self.version += 1
        self.addresses = tuple(spec.address if spec else "" for spec in self.specs)
        self.address_hashes = np.array([xxhash.xxh3_64_intdigest(one.encode()) for one in self.addresses], np.uint64)
        self.hosts = tuple(split_address(one) if one else ("", None) for one in self.addresses)
        self._live_rows = np.flatnonzero(self.columns.live)
        self._rows_by_host = {}
        for row in self._rows.values():
            self._rows_by_host.setdefault(self.hosts[row][0], []).append(row)
        return Change(added, removed)

    def _add(self, spec: EndpointSpec, now: float) -> Row:
        if self._free:
            row = self._free.pop()
        else:
            row = Row(len(self.specs))
            self.specs.append(None)
            self.generations.append(Generation(0))
            if row >= len(self.columns.live):
                self.columns.grow(max(8, 2 * row))
        self.columns.clear(row)
        self.columns.live[row] = True
        self.columns.added_at[row] = now
        self._rows[spec.address] = row
        return row

    def _remove(self, row: Row) -> None:
        del self._rows[self.spec(row).address]
        self.specs[row] = None
        self.generations[row] = Generation(self.generations[row] + 1)
        self.columns.clear(row)
        self._free.append(row)

    def __repr__(self) -> str:
        return f"<EndpointTable {len(self)} endpoints in {self.size} rows, version {self.version}>"
