"""Which LoRA adapters each endpoint holds: a model of the server's own slots, fed by placements and by scrapes.

Servers list only the adapters of running requests; an idle adapter that still sits in a slot shows up nowhere
(vllm:lora_requests_info). So the slots are replayed here as vLLM fills them: `max_loras` slots, the least recently used
idle adapter gives way, and a request whose adapter finds every slot in use waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from epp.endpoints.table import EndpointTable, Row

__all__ = ["AdapterLedger", "AdapterState"]

DEFAULT_SLOTS = 4
"""Slots of a server that does not tell `max_lora`. vLLM's own default is 1, but who serves adapters raises it."""


class AdapterState(IntEnum):
    """How a request for an adapter would fare on an endpoint, from worst to best."""

    BUSY = 0
    """Every slot is in use by others."""
    QUEUED = 1
    """As BUSY, but requests for this adapter wait there already, so that the load is paid once."""
    LOADABLE = 2
    """A slot is free or idle: the adapter has to be loaded."""
    RESIDENT = 3


class _Slots:
    """Adapters of one endpoint with the number of our requests that use each."""

    __slots__ = ("queued", "resident", "running")

    def __init__(self) -> None:
        self.resident: OrderedDict[str, int] = OrderedDict()  # least recently used first
        self.queued: OrderedDict[str, int] = OrderedDict()
        self.running: frozenset[str] = frozenset()  # by the server's last word; others may use them

    def in_use(self) -> int:
        return sum(1 for adapter in self.resident if self._used(adapter))

    def _used(self, adapter: str) -> bool:
        return self.resident[adapter] > 0 or adapter in self.running

    def names(self) -> Iterator[str]:
        yield from self.resident
        yield from self.queued

    def clear(self) -> None:
        self.resident.clear()
        self.queued.clear()
        self.running = frozenset()

    def place(self, adapter: str, limit: int) -> None:
        if adapter in self.resident:
            self.resident[adapter] += 1
            self.resident.move_to_end(adapter)
        elif self._make_room(limit):
            self.resident[adapter] = self.queued.pop(adapter, 0) + 1
        else:
            self.queued[adapter] = self.queued.get(adapter, 0) + 1

    def release(self, adapter: str, limit: int) -> None:
        users = self.resident if adapter in self.resident else self.queued
        if adapter not in users:
            return
        users[adapter] = max(0, users[adapter] - 1)
        if users is self.queued and not users[adapter]:
            del users[adapter]
        if self.queued and self._make_room(limit):
            waiting, count = self.queued.popitem(last=False)
            self.resident[waiting] = count

    def seen_running(self, adapters: Iterable[str], limit: int) -> None:
        """The server says that these run: it knows best, whatever we thought of its slots."""
        self.running = frozenset(adapters)
        for adapter in self.running:
            users = self.queued.pop(adapter, 0)
            if adapter in self.resident:
                self.resident.move_to_end(adapter)
            else:
                if len(self.resident) >= limit:
                    self._drop_for_the_servers_word()
                self.resident[adapter] = users

    def _drop_for_the_servers_word(self) -> None:
        """Someone is not resident after all: the least recently used of those that the server does not list."""
        unlisted = (adapter for adapter in self.resident if adapter not in self.running)
        gone = next(unlisted, None) or next(iter(self.resident))
        users = self.resident.pop(gone)
        if users:
            self.queued[gone] = users

    def _make_room(self, limit: int) -> bool:
        """Whether a slot is free, if need be by dropping the least recently used idle adapter."""
        if len(self.resident) < limit:
            return True
        idle = next((adapter for adapter in self.resident if not self._used(adapter)), None)
        if idle is None:
            return False
        del self.resident[idle]
        return True


class AdapterLedger:
    """Adapter slots of all endpoints of a table. What a look-up needs is kept up to date on change."""

    def __init__(self, table: EndpointTable) -> None:
        self._table = table
        self._slots: dict[Row, _Slots] = {}
        self._places: dict[str, dict[Row, AdapterState]] = {}

    def placed(self, row: Row, adapter: str) -> None:
        """A request for the adapter goes to the endpoint."""
        slots = self._slots.setdefault(row, _Slots())
        with self._changing(row, slots):
            slots.place(adapter, self._limit(row))

    def released(self, row: Row, adapter: str) -> None:
        """That request is over."""
        if slots := self._slots.get(row):
            with self._changing(row, slots):
                slots.release(adapter, self._limit(row))

    def scraped(self, row: Row, running: Iterable[str]) -> None:
        """The server lists adapters of running requests."""
        slots = self._slots.setdefault(row, _Slots())
        with self._changing(row, slots):
            slots.seen_running(running, self._limit(row))

    def forget(self, row: Row) -> None:
        """The endpoint is gone or restarted."""
        if slots := self._slots.pop(row, None):
            with self._changing(row, slots):
                slots.clear()

    def resident(self, row: Row) -> tuple[str, ...]:
        """Adapters believed to be in a slot, least recently used first."""
        slots = self._slots.get(row)
        return tuple(slots.resident) if slots else ()

    def states(self, adapter: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """`AdapterState` of the adapter on each of the rows."""
        columns = self._table.columns
        limits = columns.max_loras[: self._table.size]
        free = columns.adapters_in_use[: self._table.size] < np.where(limits > 0, limits, DEFAULT_SLOTS)
        states = np.where(free, int(AdapterState.LOADABLE), int(AdapterState.BUSY))
        for row, state in self._places.get(adapter, {}).items():
            if state is AdapterState.RESIDENT or not free[row]:
                states[row] = state
        return states[rows]

    @contextmanager
    def _changing(self, row: Row, slots: _Slots) -> Iterator[None]:
        """Brings places and the column up to date with what is done to an endpoint's slots."""
        for adapter in slots.names():
            places = self._places[adapter]
            del places[row]
            if not places:
                del self._places[adapter]
        yield
        for adapter in slots.names():
            state = AdapterState.RESIDENT if adapter in slots.resident else AdapterState.QUEUED
            self._places.setdefault(adapter, {})[row] = state
        self._table.columns.adapters_in_use[row] = slots.in_use()

    def _limit(self, row: int) -> int:
        return int(self._table.columns.max_loras[row]) or DEFAULT_SLOTS
