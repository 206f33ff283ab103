"""What a decision is made of, and the interfaces of plugins.

A *profile* filters the candidates, gives each a value by weighted scorers or by one cost, and a picker takes the best.
Plugins see a request and a `View` (epp.scheduling.view): dense arrays over the candidates, never free rows, never an
object per endpoint. They are plain classes; the parameters of their configuration are their constructor's arguments.
Any of them may also define the hooks below; a class has those that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import Row, RowRef, Verdict
from epp.requests import InferenceRequest

if TYPE_CHECKING:
    from epp.scheduling.trace import Trace
    from epp.scheduling.view import View

__all__ = [
    "Cost",
    "Decision",
    "Filter",
    "FinishedHook",
    "Outcome",
    "Picker",
    "PlacedHook",
    "Placement",
    "Refusal",
    "RefusalCause",
    "RepliedHook",
    "Scorer",
]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Filter(Protocol):
    """Says which candidates may be used.

    When filters leave nothing, they are asked again about endpoints that health keeps apart for now. A filter with an
    attribute `judges_load = True` wants none of that: what it left nothing of has too much to do.
    """

    def keep(self, request: InferenceRequest, view: View) -> Mask:
        """Boolean (n,). All False means that none may: the request is refused unless the filter is meant otherwise."""
        ...


class Scorer(Protocol):
    """Says how good each candidate is."""

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,) in [0, 1], higher is better; what lies outside is clipped."""
        ...


class Cost(Protocol):
    """Says what placing the request on each candidate costs."""

    def cost(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,), lower is better, in tokens of prefill work."""
        ...


class Picker(Protocol):
    """Orders the candidates by their values."""

    def pick(self, values: Values, view: View) -> NDArray[np.int64]:
        """Indices into the candidates, best first, at least one of n > 0. Higher values are better: costs come in
        negated. `view.rng` is the only source of randomness.
        """
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """One endpoint chosen for one profile's part of the work."""

    profile: str
    ref: RowRef
    address: str
    matched_tokens: float
    """Prompt tokens that the endpoint is believed to hold."""
    uncached_tokens: float
    """Prompt tokens that it has to compute."""
    context_tokens: float
    """Prompt and expected output."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a placed request."""

    verdict: Verdict
    status: int
    duration_s: float
    time_to_first_token_s: float | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reply_bytes: int | None
    """Length of the reply's body, when all of it was seen."""


@runtime_checkable
class PlacedHook(Protocol):
    """Is told of every placement, right after the decision."""

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> Mapping[str, str] | None:
        """Returns headers to set on the reply, or None."""
        ...


@runtime_checkable
class RepliedHook(Protocol):
    """Is told when the reply's headers come."""

    def replied(self, placement: Placement, served: str | None) -> Mapping[str, str] | None:
        """Returns headers to set on the reply, or None. `served`: what the proxy reports, None when it does not."""
        ...


@runtime_checkable
class FinishedHook(Protocol):
    """Is told of the end of every placed request."""

    def finished(self, placement: Placement, outcome: Outcome, now: float) -> None:
        """Called once per placement, whatever ended it."""
        ...


class RefusalCause(Enum):
    """Why no endpoint was chosen."""

    NO_ENDPOINTS = "no endpoints"
    """The pool is empty, or the subset hint matches nothing."""
    FILTERED = "filtered"
    """Filters left none."""
    SATURATED = "saturated"
    """A filter that judges load left none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """That no endpoint was chosen, and why."""

    cause: RefusalCause
    trace: Trace
    """Of the last attempt."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a request goes, and why."""

    placements: tuple[Placement, ...]
    alternatives: tuple[str, ...]
    """Addresses in order, the first placement's first; more than one when the picker gives a list."""
    trace: Trace

    @property
    def row(self) -> Row:
        """Row of the first placement."""
        return self.placements[0].ref.row
