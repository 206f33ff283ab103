"""Keeps label sets bounded, whatever clients send."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

__all__ = ["MAX_PAIRS", "MAX_UNLISTED_PAIRS", "OTHER", "ModelSeries", "bounded", "status_label"]

OTHER = "other"

MAX_PAIRS = 1000
"""Series by model, as in the Go picker. Each has eight histograms, 190 lines on the page."""

MAX_UNLISTED_PAIRS = 200
"""Of these, for names that no endpoint lists and no rule rewrites: clients can make them up."""

MAX_NAME = 256

_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
_SINGLE = frozenset({429, 500, 502, 503, 504})
"""Statuses that have different causes: the server's limit, its fault, a proxy in between, its being busy or slow."""

S = TypeVar("S")


def status_label(status: int) -> str:
    """`2xx` and the like, `503` for the few that are told apart; `none` for what is no HTTP status."""
    if status in _SINGLE:
        return str(status)
    return _CLASSES[status // 100] if 100 <= status < 600 else "none"


def bounded(names: Collection[str], name: str, limit: int) -> str:
    """The name, when it is one of them or there is room for one more; `other` otherwise."""
    return name if name in names or len(names) < limit else OTHER


class ModelSeries(Generic[S]):
    """What is kept for each pair of model and target model: the pair itself, or `other` for both.

    A name that endpoints list always finds room, unless there are more than `limit`.
    """

    def __init__(self, make: Callable[[str, str], S], *, limit: int = MAX_PAIRS, unlisted: int = MAX_UNLISTED_PAIRS):
        self._make = make
        self._limit = limit
        self._unlisted_left = unlisted
        self._series: dict[tuple[str, str], S] = {}
        self._other: S | None = None
        self.overflowed = 0
        """Times that `other` was given."""
        self.known: Callable[[str], bool] = lambda _: False
        """Whether a name is listed by an endpoint or stands in a rule. Asked for new pairs only."""

    def of(self, model: str, target: str) -> S:
        """Series of a pair. A dictionary look-up when the pair is known."""
        series = self._series.get((model, target))
        return series if series is not None else self._new(model, target)

    def label(self, model: str) -> str:
        """The name when it would be shown as it is without using up room for unknown names, `other` otherwise."""
        if (model, model) in self._series or not model or (_nameable(model) and self.known(model)):
            return model
        return OTHER

    def all(self) -> tuple[S, ...]:
        """All series."""
        return (*self._series.values(), self._other) if self._other is not None else tuple(self._series.values())

    def _new(self, model: str, target: str) -> S:
        if len(self._series) >= self._limit or not (_nameable(model) and _nameable(target)):
            return self._overflow()
        if not (self.known(target) and (model == target or self.known(model))):
            if not self._unlisted_left:
                return self._overflow()
            self._unlisted_left -= 1
        series = self._series[(model, target)] = self._make(model, target)
        return series

    def _overflow(self) -> S:
        self.overflowed += 1
        if self._other is None:
            self._other = self._make(OTHER, OTHER)
        return self._other


def _nameable(model: str) -> bool:
    """Short, without control characters or halves of characters, which no page could show, and not taken."""
    return len(model) <= MAX_NAME and model.isprintable() and model != OTHER
