"""Pickers: which of the valued candidates are taken, and how equal ones are told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epp.mixing import mixed
from epp.prefix import PrefixChain
from epp.prefix.hashing import HASH_BYTES
from epp.scheduling.view import View

__all__ = ["MaxScorePicker", "RandomPicker", "RendezvousPicker", "WeightedRandomPicker"]

Values = NDArray[np.float64]
Order = NDArray[np.int64]


@dataclass(slots=True)
class MaxScorePicker:
    """Highest value first; equal ones in random order. Source: llm-d-router `max-score-picker`."""

    max_num_of_endpoints: int = 1
    """Length of the ordered list that the proxy gets."""

    def __post_init__(self) -> None:
        _check_number(self.max_num_of_endpoints)

    def pick(self, values: Values, view: View) -> Order:
        """Indices of the best candidates."""
        if self.max_num_of_endpoints == 1:
            best = np.flatnonzero(values == values.max())
            return best[[view.rng.integers(len(best))]] if len(best) > 1 else best
        order = view.rng.permutation(len(values))
        return order[np.argsort(-values[order], kind="stable")][: self.max_num_of_endpoints]


@dataclass(slots=True)
class RandomPicker:
    """Any candidates, whatever their values. Source: llm-d-router `random-picker`."""

    max_num_of_endpoints: int = 1
    """Length of the ordered list that the proxy gets."""

    def __post_init__(self) -> None:
        _check_number(self.max_num_of_endpoints)

    def pick(self, values: Values, view: View) -> Order:
        """Indices in random order."""
        if self.max_num_of_endpoints == 1:
            return np.array([view.rng.integers(len(values))])
        return view.rng.permutation(len(values))[: self.max_num_of_endpoints]


@dataclass(slots=True)
class WeightedRandomPicker:
    """Random, in proportion to the values; uniformly when all are zero.

    Source: llm-d-router `weighted-random-picker`, A-Res (Efraimidis and Spirakis, 2006): key = U ** (1 / value).
    """

    max_num_of_endpoints: int = 1
    """Length of the ordered list that the proxy gets."""

    def __post_init__(self) -> None:
        _check_number(self.max_num_of_endpoints)

    def pick(self, values: Values, view: View) -> Order:
        """Indices by descending key. Values below zero count as zero."""
        weights = np.maximum(values, 0.0)
        if not weights.any():
            return RandomPicker(self.max_num_of_endpoints).pick(values, view)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            keys = np.log(view.rng.random(len(weights))) / weights  # the logarithm keeps the order and the precision
        keys[weights == 0] = -np.inf
        return np.argsort(-keys, kind="stable")[: self.max_num_of_endpoints]


@dataclass(slots=True)
class RendezvousPicker:
    """Highest value first; what is nearly as good as the best counts as equal and is told apart by rendezvous hashing.

    The key is the first block that no candidate holds, hashed with each candidate's address. Replicas of the picker
    that never talk thus place a new conversation alike, and a system prompt that all share does not draw every
    conversation to one endpoint. Requests without a prompt are spread at random.
    """

    tolerance: float = 0.01
    """Share of the best value's size within which values count as equal."""
    slack: float = 1.0
    """Difference within which they always do; in tokens when the values are costs."""
    max_num_of_endpoints: int = 1
    """Length of the ordered list that the proxy gets."""

    def __post_init__(self) -> None:
        _check_number(self.max_num_of_endpoints)
        if self.tolerance < 0 or self.slack < 0:
            raise ValueError(f"tolerance is {self.tolerance} and slack {self.slack}; both must be at least 0")

    def pick(self, values: Values, view: View) -> Order:
        """Indices, best first; beyond the first by value alone."""
        best = float(values[values.argmax()])
        equal = (values >= best - self.tolerance * abs(best) - self.slack).nonzero()[0]
        if len(equal) == 1:
            first = equal
        elif not view.features.chain:
            first = equal[[view.rng.integers(len(equal))]]
        else:
            place = mixed(view.address_hashes[equal] ^ np.uint64(self._key(view))).argmax()
            first = equal[place : place + 1]
        if self.max_num_of_endpoints == 1:
            return first
        order = np.argsort(-values, kind="stable")
        return np.concatenate((first, order[order != first[0]]))[: self.max_num_of_endpoints]

    @staticmethod
    def _key(view: View) -> int:
        """Hash of the first block that no candidate holds; of the last one when somebody holds them all."""
        chain: PrefixChain = view.features.chain
        held = int(view.matched_blocks.max()) if view.any_matched else 0
        start = min(held * HASH_BYTES, len(chain) - HASH_BYTES)
        return int.from_bytes(chain[start : start + HASH_BYTES], "little")


def _check_number(max_num_of_endpoints: int) -> None:
    if max_num_of_endpoints < 1:
        raise ValueError(f"maxNumOfEndpoints is {max_num_of_endpoints}; it must be at least 1")
