"""Remembers how a decision was made, cheaply: references to arrays that were computed anyway.

The explanation that people read is built from it only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CandidateExplanation", "Explanation", "Kind", "Shortlist", "Trace"]


class Kind(Enum):
    """What a step of a decision gave for each candidate."""

    FILTER = "filter"
    SCORE = "score"
    """Unweighted, in [0, 1]; higher is better."""
    TERM = "term"
    """One summand of a cost, in tokens; lower is better."""
    TOTAL = "total"
    """What the picker saw, higher is better: the weighted sum of scores, or the negated cost."""


class _Step(NamedTuple):
    """A tuple, because several are made for each decision."""

    profile: str
    kind: Kind
    name: str
    weight: float
    rows: NDArray[np.int64]
    values: NDArray[np.float64] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CandidateExplanation:
    """One endpoint's way through a decision."""

    address: str
    chosen: int | None
    """1 for the pick, 2 for the next in the list, ...; None when not picked."""
    rejected_by: str | None
    """Filter that took it out."""
    matched_tokens: float
    scores: dict[str, float]
    terms: dict[str, float]
    total: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision for people: what it knew of the request, and each endpoint's way."""

    prompt_tokens: float
    output_tokens: float
    weights: dict[str, float]
    candidates: tuple[CandidateExplanation, ...]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The picked candidates and the next best ones, as columns: one value per candidate in each."""

    addresses: tuple[str, ...] = ()
    of: int = 0
    """Endpoints that there were, with those that filters took out."""
    matched_tokens: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    """What the picker saw, higher is better."""
    terms: dict[str, list[float]] = field(default_factory=dict)
    """By name; NaN for a candidate to which the term was not applied. Likewise below."""
    scores: dict[str, list[float]] = field(default_factory=dict)
    out: dict[str, int] = field(default_factory=dict)
    """How many candidates each filter took out; those that took out none are left out."""


_NONE = np.zeros(0, np.int64)
_NONE.flags.writeable = False


@dataclass(slots=True)
class Trace:
    """Steps of one decision. Rows are the table's; `addresses` is the table's list at that time."""

    addresses: tuple[str, ...]
    rows: NDArray[np.int64]
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0
    blocks_by_row: NDArray[np.int64] | None = None
    """Leading prefix blocks that the index knew, by table row."""
    tokens_per_block: float = 0.0
    picked: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    """Table rows, best first."""
    note: str = ""
    """Why the decision was not made in the ordinary way."""
    profile: str = ""
    saturated: bool = False
    """The filter that left nothing judges load."""
    _steps: list[_Step] = field(default_factory=list)

    def step(
        self,
        kind: Kind,
        name: str,
        rows: NDArray[np.int64],
        values: NDArray[np.float64] | NDArray[np.bool_],
        weight: float = 1.0,
    ) -> None:
        """Notes what a plugin gave for candidates, by ascending row. Arrays are kept, and must not be changed."""
        self._steps.append(_Step(self.profile, kind, name, weight, rows, values))

    def forget(self) -> None:
        """Lets go of the arrays: nobody will ask any more."""
        self._steps.clear()
        self.rows = self.picked
        self.blocks_by_row = None

    def explain(self) -> Explanation:
        """The explanation, by endpoint: picked ones first, then by total."""
        candidates = sorted(
            (self._explain_row(int(row)) for row in self.rows),
            key=lambda one: (one.chosen or 1 << 30, one.total is None, -(one.total or 0.0), one.address),
        )
        weights = {step.name: step.weight for step in self._steps if step.kind is Kind.SCORE}
        return Explanation(self.prompt_tokens, self.output_tokens, weights, tuple(candidates))

    def shortlist(self, limit: int) -> Shortlist:
        """The picked candidates and the next best by total, `limit` at most.

        Cheap enough for every request, and hardly dearer in a wide pool: `explain` takes as long for one candidate.
        """
        total = next((step for step in reversed(self._steps) if step.kind is Kind.TOTAL), None)
        if total is None:
            return Shortlist()
        places = _best(total, self.picked, limit)
        rows = total.rows[places]
        columns: dict[Kind, dict[str, list[float]]] = {Kind.TERM: {}, Kind.SCORE: {}, Kind.TOTAL: {}}
        out: dict[str, int] = {}
        for step in self._steps:
            if step.kind is Kind.FILTER:
                if taken := len(step.values) - int(np.count_nonzero(step.values)):
                    out[step.name] = out.get(step.name, 0) + taken
            else:
                same = step.rows is total.rows  # as usual
                columns[step.kind][step.name] = step.values.take(places).tolist() if same else _values_at(step, rows)
        return Shortlist(
            addresses=tuple(map(self.addresses.__getitem__, rows.tolist())),
            of=len(self.rows),
            matched_tokens=self._matched_at(rows),
            totals=columns[Kind.TOTAL][total.name],
            terms=columns[Kind.TERM],
            scores=columns[Kind.SCORE],
            out=out,
        )

    def _matched_at(self, rows: NDArray[np.int64]) -> list[float]:
        if self.blocks_by_row is None:
            return [0.0] * len(rows)
        return [min(self.prompt_tokens, n * self.tokens_per_block) for n in self.blocks_by_row.take(rows).tolist()]

    def _explain_row(self, row: int) -> CandidateExplanation:
        found = {kind: dict(self._values_of(row, kind)) for kind in Kind}
        rejected = next((name for name, kept in found[Kind.FILTER].items() if not kept), None)
        position = np.flatnonzero(self.picked == row)
        total = next(iter(found[Kind.TOTAL].values()), None)
        return CandidateExplanation(
            address=self.addresses[row],
            chosen=int(position[0]) + 1 if position.size else None,
            rejected_by=rejected,
            matched_tokens=self._matched_tokens(row),
            scores=found[Kind.SCORE],
            terms=found[Kind.TERM],
            total=total,
        )

    def _matched_tokens(self, row: int) -> float:
        if self.blocks_by_row is None:
            return 0.0
        return min(self.prompt_tokens, float(self.blocks_by_row[row]) * self.tokens_per_block)

    def _values_of(self, row: int, kind: Kind) -> Iterator[tuple[str, float]]:
        for step in self._steps:
            if step.kind is kind:
                position = int(np.searchsorted(step.rows, row))
                if position < len(step.rows) and step.rows[position] == row:
                    yield step.name, float(step.values[position])


def _best(total: _Step, picked: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Places among the candidates: of the picked ones in their order, then by total."""
    size = len(total.values)
    top = total.values.argsort() if size <= limit else total.values.argpartition(size - limit)[-limit:]
    by_total = top[total.values[top].argsort()[::-1]]
    places = dict.fromkeys((*total.rows.searchsorted(picked).tolist(), *by_total.tolist()))
    return np.array(list(places)[:limit], np.int64)


def _values_at(step: _Step, rows: NDArray[np.int64]) -> list[float]:
    """A step's values for some rows; NaN where it has none."""
    places = np.minimum(step.rows.searchsorted(rows), len(step.rows) - 1)
    return list(np.where(step.rows[places] == rows, step.values[places], nan).tolist())
