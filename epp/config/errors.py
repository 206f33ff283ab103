"""What is wrong with a configuration, where, and what to do about it.

Findings of one reading are collected, never raised one by one: an operator mends a file once. Four kinds:

    errors    the configuration cannot be used
    warnings  it can, and something in it has no effect or another one than it seems
    absent    likewise, because a plugin or section of the Go picker is not here: `epp check` exits with 2
    notes     worth knowing, nothing to mend
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

__all__ = ["ConfigError", "Findings", "Place", "Problem", "listed", "meant"]

MAX_SHOWN = 50
"""Problems in the text of a `ConfigError`. A file with more of them is of another kind altogether."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written: a file with line and column, a flag, the environment."""

    source: str
    line: int = 0
    """From 1; 0 for what has no lines."""
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding."""

    place: Place
    key: str
    """`plugins[2].parameters.lruSize`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.key, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` are all of them, by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place))
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if (more := len(self.problems) - MAX_SHOWN) > 0:
            lines.append(f"and {more} more problems")
        return "\n".join(lines)


@dataclass(slots=True)
class Findings:
    """Collects what is found while a configuration is read."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    absent: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def raise_errors(self) -> None:
        """Raises ConfigError when there are errors."""
        if self.errors:
            raise ConfigError(self.errors)

    def all_warnings(self) -> tuple[Problem, ...]:
        """What a start logs: warnings and what is absent, by place."""
        return tuple(sorted((*self.warnings, *self.absent), key=lambda problem: problem.place))


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when one of the known words is near, else a list of them, else nothing."""
    known = sorted(known)
    near = get_close_matches(word[:200], known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {listed(known)}" if known else ""


def listed(words: Iterable[str], most: int = 24) -> str:
    """Words for a sentence; a long list is cut."""
    words = list(words)
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown
