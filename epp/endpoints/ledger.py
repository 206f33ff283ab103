"""The ledger: work that this picker has placed and not yet seen finish.

A placement is charged the moment it is decided, so that two decisions of one millisecond see each other. Its prefill
part is released at the first token, the rest (with its use of a LoRA adapter) at the end, each exactly once, whatever
ends the request. A charge whose end will not be seen is released by time (`release_later`). Every charge has a maximum
age.

Invariant: `columns.requests[row] == number of open charges on the row's present endpoint`, and likewise for tokens.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from itertools import count

from epp.endpoints.adapters import AdapterLedger
from epp.endpoints.table import EndpointTable, Row, RowRef

__all__ = ["Charge", "Ledger"]

_RECENT_S = 10.0
"""How far back `requests_at` can look: ten times the usual time-out of a scrape."""


@dataclass(slots=True, eq=False)
class Charge:
    """Work of one placement on one endpoint. What is released is set to zero."""

    ref: RowRef
    prefill_tokens: float
    """Uncached prompt tokens, until the first token."""
    context_tokens: float
    """Prompt and expected output."""
    adapter: str = ""
    """LoRA adapter that the request uses."""
    released: bool = False


class Ledger:
    """Charges of one pool, and the columns that sum them up."""

    def __init__(self, table: EndpointTable, adapters: AdapterLedger, max_age_s: float = 7200.0) -> None:
        self._table = table
        self._adapters = adapters
        self._max_age_s = max_age_s
        self._open: dict[Charge, float] = {}  # in the order of their start
        self._timers: list[tuple[float, int, Charge, bool]] = []
        self._order = count()
        self._recent: deque[tuple[float, int, int]] = deque()
        self.expired = 0
        """Charges that reached their maximum age: ends that were lost."""

    @property
    def open(self) -> int:
        """Charges that are not released yet."""
        return len(self._open)

    def charge(
        self, row: Row, prefill_tokens: float, context_tokens: float, now: float, *, adapter: str = ""
    ) -> Charge:
        """Puts work on an endpoint."""
        charge = Charge(self._table.ref(row), prefill_tokens, context_tokens, adapter)
        self._open[charge] = now
        self._put(charge, now)
        return charge

    def release_prefill(self, charge: Charge) -> None:
        """The first token came. Again, or after the end: nothing."""
        if charge.prefill_tokens and self._table.holds(charge.ref):
            columns, row = self._table.columns, charge.ref.row
            columns.prefill_tokens[row] = max(0.0, columns.prefill_tokens[row] - charge.prefill_tokens)
        charge.prefill_tokens = 0.0

    def release(self, charge: Charge, now: float) -> None:
        """The request is over. Again: nothing."""
        if charge.released:
            return
        self._take(charge, now)
        charge.released = True
        charge.prefill_tokens = charge.context_tokens = 0.0
        del self._open[charge]

    def move(self, charge: Charge, row: Row, prefill_tokens: float, now: float) -> None:
        """Another endpoint than the charged one serves the request."""
        if charge.released:
            return
        self._take(charge, now)
        charge.ref = self._table.ref(row)
        charge.prefill_tokens = prefill_tokens
        self._put(charge, now)

    def release_prefill_at(self, charge: Charge, when: float) -> None:
        """Nobody will tell when the first token comes: the prefill is taken to end then."""
        heapq.heappush(self._timers, (when, next(self._order), charge, True))

    def release_later(self, charge: Charge, first_token_at: float, end_at: float) -> None:
        """Nobody will tell when the request ends: it is taken to go as predicted."""
        self.release_prefill_at(charge, first_token_at)
        heapq.heappush(self._timers, (max(first_token_at, end_at), next(self._order), charge, False))

    def requests_at(self, row: int, when: float) -> float:
        """Requests that were under way on a row at a time of the last seconds."""
        requests = float(self._table.columns.requests[row])
        for at, changed, sign in reversed(self._recent):
            if at <= when:
                break
            if changed == row:
                requests -= sign
        return max(0.0, requests)

    def tick(self, now: float) -> None:
        """Releases what is due by prediction or by age."""
        while self._timers and self._timers[0][0] <= now:
            _, _, charge, prefill_only = heapq.heappop(self._timers)
            if prefill_only:
                self.release_prefill(charge)
            else:
                self.release(charge, now)
        while self._open:
            oldest, since = next(iter(self._open.items()))
            if now - since < self._max_age_s:
                break
            self.expired += 1
            self.release(oldest, now)

    def wake_at(self) -> float | None:
        """When the next release by prediction is due. Ages are seen to by any later tick."""
        return self._timers[0][0] if self._timers else None

    def __repr__(self) -> str:
        return f"<Ledger {self.open} open, {self.expired} expired, {len(self._timers)} timers>"

    def _put(self, charge: Charge, now: float) -> None:
        if not self._table.holds(charge.ref):
            return
        columns, row = self._table.columns, charge.ref.row
        columns.requests[row] += 1
        columns.prefill_tokens[row] += charge.prefill_tokens
        columns.context_tokens[row] += charge.context_tokens
        if charge.adapter:
            self._adapters.placed(row, charge.adapter)
        self._note(now, row, 1)

    def _take(self, charge: Charge, now: float) -> None:
        """The last request takes all with it, so that rounding leaves nothing on an idle endpoint."""
        if not self._table.holds(charge.ref):
            return
        columns, row = self._table.columns, charge.ref.row
        columns.requests[row] -= 1
        idle = columns.requests[row] == 0
        prefill = 0.0 if idle else columns.prefill_tokens[row] - charge.prefill_tokens
        context = 0.0 if idle else columns.context_tokens[row] - charge.context_tokens
        columns.prefill_tokens[row] = max(0.0, prefill)
        columns.context_tokens[row] = max(0.0, context)
        if charge.adapter:
            self._adapters.released(row, charge.adapter)
        self._note(now, row, -1)

    def _note(self, now: float, row: int, sign: int) -> None:
        self._recent.append((now, row, sign))
        while self._recent[0][0] < now - _RECENT_S:
            self._recent.popleft()
