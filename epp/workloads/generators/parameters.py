"""What all generators are asked for, and which values can be."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Final

from numpy.random import Generator

from epp.workloads.errors import WorkloadError
from epp.workloads.types import Workload

__all__ = ["MOST", "Parameters"]

MOST: Final = 1_000_000
"""Of calls, tokens, documents, seconds: whatever is asked for. It keeps a slip of the finger from taking all memory."""

_SHARES = frozenset({"agents_share", "chat_share", "swing", "embeddings_share", "outlier_share", "subagent_share"})
_EXPONENTS = frozenset({"spread", "system_spread", "popularity"})
_MAY_BE_ZERO = frozenset({"think_s", "tool_s"}) | _SHARES | _EXPONENTS
_MOST_EXPONENT = 10.0
"""Far beyond what is of use, and far from overflow."""


@dataclass(frozen=True, slots=True)
class Parameters(ABC):
    """Of a generator. Raises WorkloadError for a value that cannot be. Lengths are means unless a name says else."""

    calls: int = 600
    """How many."""
    rate_per_s: float = 4.0
    """Mean arrivals per second, once sessions follow one another."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)):
                self._check(field.name, value)

    @abstractmethod
    def generate(self, rng: Generator) -> Workload:
        """A workload of this kind. Equal generators give equal workloads."""

    def _check(self, name: str, value: float) -> None:
        least = 0.0 if isinstance(value, bool) or name in _MAY_BE_ZERO else 1.0 if isinstance(value, int) else 1e-6
        most = 1.0 if name in _SHARES else _MOST_EXPONENT if name in _EXPONENTS else float(MOST)
        if not (math.isfinite(value) and least <= value <= most):
            raise WorkloadError(f"{name} is {value}; it must be between {least:g} and {most:g}")
