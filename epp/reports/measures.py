"""What a figure is: its name, its heading, its unit, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

__all__ = ["Better", "Measure", "Unit", "higher", "lower", "plain"]


class Better(Enum):
    """Which of two values is the better one."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"
    """It describes; nothing is won by more or less of it."""


class Unit(Enum):
    """The value is what tables write beside a heading."""

    SECONDS = "s"
    SHARE = "%"
    """0 to 1; shown as a percentage."""
    RATIO = ""
    TOKENS = "tokens"
    PER_SECOND = "1/s"
    DOLLARS = "$"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a run."""

    name: str
    """Of the field of `Figures`."""
    heading: str
    unit: Unit
    better: Better

    @property
    def lower_is_better(self) -> bool:
        """False where more is better, or where neither is."""
        return self.better is Better.LOWER


Metadata = Mapping[str, tuple[str, Unit, Better]]
"""What a field of `Figures` carries as metadata."""


def lower(heading: str, unit: Unit) -> Metadata:
    """A figure of which less is better."""
    return {"measure": (heading, unit, Better.LOWER)}


def higher(heading: str, unit: Unit) -> Metadata:
    """A figure of which more is better."""
    return {"measure": (heading, unit, Better.HIGHER)}


def plain(heading: str, unit: Unit) -> Metadata:
    """A figure that describes."""
    return {"measure": (heading, unit, Better.NEITHER)}
