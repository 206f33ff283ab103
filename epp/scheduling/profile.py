"""A scheduling profile: filters, then weighted scorers or one cost, then a picker.

A plugin that raises, or returns what cannot be used, is neutral in that decision: a filter keeps all, a scorer adds
nothing, a cost or a picker gives way to the least loaded. The fault is reported, the request is placed. A plugin that
is slow again and again is switched off, because it holds up every other request too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from epp.requests import InferenceRequest
from epp.scheduling.trace import Kind
from epp.scheduling.types import Cost, Filter, FinishedHook, Picker, PlacedHook, RepliedHook, Scorer
from epp.scheduling.view import View

__all__ = ["FaultListener", "Profile", "Slot", "UnusableValuesError", "Weighted", "least_loaded"]

T = TypeVar("T")


class FaultListener(Protocol):
    """Is told what goes wrong in plugins."""

    def plugin_failed(self, name: str, error: Exception) -> None:
        """A plugin raised or returned nonsense."""
        ...

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """A plugin took longer than it may."""
        ...


@dataclass(slots=True, eq=False)
class Slot:
    """A plugin's place in a profile, with its name in the configuration."""

    name: str
    plugin: object
    slow_calls: int = 0
    off: bool = False
    timed: bool = field(init=False)
    """Users' plugins may block. Ours do not: one that takes long was kept from running by something else."""

    def __post_init__(self) -> None:
        self.timed = not type(self.plugin).__module__.startswith("epp.")


@dataclass(slots=True, eq=False)
class Weighted(Slot):
    """A scorer's place."""

    weight: float = 1.0


class UnusableValuesError(Exception):
    """A plugin returned what cannot be values of the candidates."""


@dataclass(slots=True)
class Profile:
    """One profile, and how it guards itself against its plugins."""

    name: str
    filters: Sequence[Slot] = ()
    scorers: Sequence[Weighted] = ()
    cost: Slot | None = None
    picker: Slot | None = None
    listeners: Sequence[Slot] = ()
    """Plugins that have hooks only."""
    faults: FaultListener | None = None
    stopwatch: Callable[[], float] | None = None
    """Seconds of any monotonic clock; None: nothing is timed."""
    slow_s: float = 0.02
    slow_calls_allowed: int = 5
    placed_hooks: tuple[tuple[Slot, PlacedHook], ...] = field(init=False)
    replied_hooks: tuple[tuple[Slot, RepliedHook], ...] = field(init=False)
    finished_hooks: tuple[tuple[Slot, FinishedHook], ...] = field(init=False)

    def __post_init__(self) -> None:
        assert not (self.scorers and self.cost), "a profile has scorers or a cost, never both"
        once = {id(slot.plugin): slot for slot in self.slots()}.values()
        self.placed_hooks = tuple((slot, slot.plugin) for slot in once if isinstance(slot.plugin, PlacedHook))
        self.replied_hooks = tuple((slot, slot.plugin) for slot in once if isinstance(slot.plugin, RepliedHook))
        self.finished_hooks = tuple((slot, slot.plugin) for slot in once if isinstance(slot.plugin, FinishedHook))

    def run(self, request: InferenceRequest, view: View) -> NDArray[np.int64]:
        """Table rows of the chosen endpoints, best first; empty when filters left none."""
        view = self.filtered(request, view)
        if not len(view):
            return view.rows
        values = self._values(request, view)
        view.trace.step(Kind.TOTAL, self.name, view.rows, values)
        return view.rows[self._pick(values, view)]

    def filtered(self, request: InferenceRequest, view: View) -> View:
        """The candidates that the filters leave."""
        view.trace.profile = self.name
        for slot in self.filters:
            keep = self._keep(slot, request, view)
            if keep is None:
                continue
            view.trace.step(Kind.FILTER, slot.name, view.rows, keep)
            if not keep.all():
                view = view.narrowed(keep)
            if not len(view):
                view.trace.saturated = getattr(slot.plugin, "judges_load", False)
                break
        return view

    def slots(self) -> Iterable[Slot]:
        """All plugins in the order in which they run; one that has two places comes twice."""
        yield from self.filters
        yield from self.scorers
        if self.cost:
            yield self.cost
        if self.picker:
            yield self.picker
        yield from self.listeners

    def _keep(self, slot: Slot, request: InferenceRequest, view: View) -> NDArray[np.bool_] | None:
        plugin: Filter = slot.plugin  # type: ignore[assignment]
        return self.guarded(slot, lambda: _checked_mask(plugin.keep(request, view), len(view)))

    def _values(self, request: InferenceRequest, view: View) -> NDArray[np.float64]:
        if self.cost:
            plugin: Cost = self.cost.plugin  # type: ignore[assignment]
            cost = self.guarded(self.cost, lambda: _checked_values(plugin.cost(request, view), len(view)))
            return least_loaded(view) if cost is None else -cost
        total = np.zeros(len(view))
        for slot in self.scorers:
            score = self._score(slot, request, view)
            if score is not None:
                view.trace.step(Kind.SCORE, slot.name, view.rows, score, slot.weight)
                total += slot.weight * score
        return total

    def _score(self, slot: Weighted, request: InferenceRequest, view: View) -> NDArray[np.float64] | None:
        plugin: Scorer = slot.plugin  # type: ignore[assignment]
        score = self.guarded(slot, lambda: _checked_values(plugin.score(request, view), len(view)))
        return None if score is None else np.clip(score, 0.0, 1.0)

    def _pick(self, values: NDArray[np.float64], view: View) -> NDArray[np.int64]:
        if self.picker:
            plugin: Picker = self.picker.plugin  # type: ignore[assignment]
            order = self.guarded(self.picker, lambda: _checked_order(plugin.pick(values, view), len(view)))
            if order is not None:
                return order
        return np.array([int(np.argmax(values))])

    def guarded(self, slot: Slot, call: Callable[[], T]) -> T | None:
        """Calls a plugin. What the plugin returns; None when it failed, took too long, or is switched off."""
        if slot.off:
            return None
        stopwatch = self.stopwatch if slot.timed else None
        started = stopwatch() if stopwatch else 0.0
        try:
            result = call()
        except Exception as error:
            if self.faults:
                self.faults.plugin_failed(slot.name, error)
            return None
        if stopwatch is None:
            return result
        if (took := stopwatch() - started) > self.slow_s:
            self._too_slow(slot, took)
            return None
        slot.slow_calls = 0
        return result

    def _too_slow(self, slot: Slot, took_s: float) -> None:
        slot.slow_calls += 1
        slot.off = slot.slow_calls >= self.slow_calls_allowed
        if self.faults:
            self.faults.plugin_slow(slot.name, took_s, switched_off=slot.off)


def _checked_mask(keep: object, size: int) -> NDArray[np.bool_]:
    array = np.asarray(keep)
    if array.shape != (size,) or array.dtype != np.bool_:
        raise UnusableValuesError(f"returned {array.dtype} of shape {array.shape}, not one bool for {size} candidates")
    return array


def _checked_values(values: object, size: int) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != (size,) or isnan(array[array.argmin()]):  # the smallest of numbers with NaN among them is NaN
        raise UnusableValuesError(
            f"returned an array of shape {array.shape} or NaN, not a number for {size} candidates"
        )
    return array


def _checked_order(order: object, size: int) -> NDArray[np.int64]:
    array = np.asarray(order)
    if array.shape == (1,) and array.dtype.kind == "i" and 0 <= array[0] < size:
        return array  # the usual pick of one
    if array.ndim != 1 or array.dtype.kind != "i" or not 0 < len(set(array.tolist())) == len(array):
        raise UnusableValuesError(f"picked {array!r}, not distinct indices")
    if array.min() < 0 or array.max() >= size:
        raise UnusableValuesError(f"picked {array!r} out of {size} candidates")
    return array


def least_loaded(view: View) -> NDArray[np.float64]:
    """Values for a pick by load alone: fewest requests under way first."""
    return -view.outstanding
