"""Which models and adapters each endpoint lists in `/v1/models`, and so which endpoints can answer for a name.

An endpoint whose list was never read may have anything. An endpoint whose list lacks the name would answer 404.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from epp.endpoints.table import EndpointTable, Row
from epp.endpoints.types import ModelCard

__all__ = ["ModelCatalog"]


class ModelCatalog:
    """Model lists of the endpoints of a table."""

    def __init__(self, table: EndpointTable) -> None:
        self._table = table
        self._cards: dict[Row, dict[str, ModelCard]] = {}
        self._rows: dict[str, set[Row]] = {}
        self._adapters: Counter[str] = Counter()  # by how many endpoints list the name as one
        self._masks: dict[str, NDArray[np.bool_] | None] = {}
        self._masks_version = -1

    def seen(self, row: Row, cards: Iterable[ModelCard] | None) -> None:
        """Takes an endpoint's list; None when the server has none to give."""
        if cards is None and row not in self._cards:
            return
        self.forget(row)
        if cards is None:
            return
        self._cards[row] = {card.name: card for card in cards}
        for card in self._cards[row].values():
            self._rows.setdefault(card.name, set()).add(row)
            if card.parent:
                self._adapters[card.name] += 1

    def forget(self, row: Row) -> None:
        """The endpoint is gone."""
        self._masks.clear()
        for card in self._cards.pop(row, {}).values():
            self._rows[card.name].discard(row)
            if not self._rows[card.name]:
                del self._rows[card.name]
            if card.parent:
                self._adapters[card.name] -= 1
                if not self._adapters[card.name]:
                    del self._adapters[card.name]

    def of(self, row: Row) -> tuple[ModelCard, ...] | None:
        """What an endpoint lists; None when its list was never read."""
        cards = self._cards.get(row)
        return None if cards is None else tuple(cards.values())

    @property
    def names(self) -> tuple[str, ...]:
        """All names that any endpoint lists."""
        return tuple(sorted(self._rows))

    def is_adapter(self, name: str) -> bool:
        """Some endpoint lists the name as a LoRA adapter."""
        return name in self._adapters

    def lists(self, name: str) -> bool:
        """Some endpoint lists the name."""
        return name in self._rows

    def complete(self) -> bool:
        """Every endpoint's list is known, so that a name in none of them is served by nobody."""
        return len(self._cards) == len(self._table) > 0

    def mask(self, name: str) -> NDArray[np.bool_] | None:
        """Rows that can answer for the name, as far as is known; None when that is all, or when nobody lists it."""
        if name not in self._rows:
            return None
        if self._masks_version != self._table.version:
            self._masks.clear()
            self._masks_version = self._table.version
        if name not in self._masks:
            mask = np.ones(self._table.size, np.bool_)
            mask[list(self._cards)] = False
            mask[list(self._rows[name])] = True
            self._masks[name] = None if mask.all() else mask
        return self._masks[name]
