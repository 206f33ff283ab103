"""Which beginnings texts share: cuts each text where any other one leaves it, so that shared prefixes become segments.

Texts are measured in units of four bytes, which stand for tokens; what is left at the end of a text is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epp.workloads.content import id_of
from epp.workloads.types import Role, Segment

__all__ = ["UNIT_BYTES", "cut_points", "pieces_of", "units_of"]

UNIT_BYTES = 4


def units_of(text: bytes) -> int:
    """Length of a text in whole units, at least 1."""
    return max(1, len(text) // UNIT_BYTES)


def cut_points(texts: Sequence[bytes]) -> list[list[int]]:
    """For each text the places, ascending and in units, where another text parts from it, or ends within it.

    The places are the branches above it in the tree of all texts: texts that share a beginning have the same cuts in
    it. Neither 0 nor the text's end is among them. Costs a sort, and one comparison per text.
    """
    order = sorted(range(len(texts)), key=texts.__getitem__)
    ranked = [texts[place] for place in order]
    common = np.fromiter(
        (_common_units(first, second) for first, second in pairwise(ranked)),
        np.int64,
        max(0, len(texts) - 1),
    )
    cuts: list[list[int]] = [[] for _ in texts]
    ranges = [(0, len(texts))] if len(texts) > 1 else []
    while ranges:
        begin, end = ranges.pop()
        depth, parts = _branch(common, begin, end)
        for place in order[begin:end] if depth else ():
            if not cuts[place] or cuts[place][-1] < depth:
                cuts[place].append(depth)
        ranges += parts
    return [[cut for cut in found if cut < units_of(texts[place])] for place, found in enumerate(cuts)]


def pieces_of(text: bytes, begin: int, ends: Iterable[int], role: Role = Role.USER) -> tuple[Segment, ...]:
    """A segment for each piece of the text, from unit `begin` to the first of `ends`, from there to the next, ..."""
    pieces = []
    for end in ends:
        content = text[begin * UNIT_BYTES : end * UNIT_BYTES]
        pieces.append(Segment(id_of(content), end - begin, role))
        begin = end
    return tuple(pieces)


def _branch(common: NDArray[np.int64], begin: int, end: int) -> tuple[int, list[tuple[int, int]]]:
    """Where the texts `begin` to `end` of the sorted ones part first, and the groups of more than one that go on."""
    inner = common[begin : end - 1]
    depth = int(inner.min())
    bounds = [begin, *(begin + 1 + np.flatnonzero(inner == depth)).tolist(), end]
    parts = [(low, high) for low, high in pairwise(bounds) if high - low > 1]
    return depth, parts


def _common_units(first: bytes, second: bytes) -> int:
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length // UNIT_BYTES
    differs = np.frombuffer(first, np.uint8, length) != np.frombuffer(second, np.uint8, length)
    return int(differs.argmax()) // UNIT_BYTES
