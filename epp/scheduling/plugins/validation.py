"""Checks of parameters. Each raises ValueError with the key as it stands in the file, the value and what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import Field
from typing import Any, Protocol, runtime_checkable

__all__ = ["Remarking", "at_least", "given", "key_of", "more_than", "named", "one_of", "seconds_of", "within"]

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_MAX_DURATION_CHARS = 64
_MAX_DURATION_S = 2**63 / 1e9
"""What Go's time.Duration can hold."""


@runtime_checkable
class Remarking(Protocol):
    """A plugin that accepts parameters which have another effect here than in the Go picker, or none."""

    def remarks(self) -> tuple[str, ...]:
        """A sentence for each such parameter that was given, for the operator."""
        ...


def key_of(parameter: Field[Any]) -> str:
    """The parameter's key in a configuration file: its name in camelCase, but for the few that the Go picker spells
    otherwise (`maxTTFTPenaltyMs`).
    """
    if key := parameter.metadata.get("key"):
        return str(key)
    first, *rest = parameter.name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def named(key: str) -> dict[str, str]:
    """Metadata of a parameter whose key is not just its name in camelCase."""
    return {"key": key}


def at_least(key: str, value: float, least: float) -> None:
    """The value is a number from `least` on."""
    if not least <= value < math.inf:
        raise ValueError(f"{key} is {value}; it must be at least {least:g}")


def more_than(key: str, value: float, bound: float) -> None:
    """The value is a number above `bound`."""
    if not bound < value < math.inf:
        raise ValueError(f"{key} is {value}; it must be more than {bound:g}")


def within(key: str, value: float, least: float, most: float) -> None:
    """The value is a number from `least` to `most`."""
    if not least <= value <= most:
        raise ValueError(f"{key} is {value}; it must be from {least:g} to {most:g}")


def one_of(key: str, value: str, allowed: Sequence[str]) -> None:
    """The value is one of a few words."""
    if value not in allowed:
        raise ValueError(f"{key} is {value!r}; it must be {' or '.join(allowed)}")


def given(key: str, value: str | Sequence[object]) -> None:
    """The value is there and not empty."""
    if not value:
        raise ValueError(f"{key} is missing or empty; it is required")


def seconds_of(key: str, text: str) -> float:
    """Seconds of a duration as Go writes it: `500ms`, `1m30s`, `-1.5h`, `0`. Source: Go `time.ParseDuration`."""
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    seconds = 0.0 if digits == "0" else _sum_of_parts(digits)
    if seconds is None or seconds > _MAX_DURATION_S:
        raise ValueError(f"{key} is {text[:_MAX_DURATION_CHARS]!r}; it must be a duration such as 500ms, 10s or 1m30s")
    return -seconds if text.startswith("-") else seconds


def _sum_of_parts(text: str) -> float | None:
    """Seconds of `1m30s`; None when it is not a duration."""
    seconds, position = 0.0, 0
    while len(text) <= _MAX_DURATION_CHARS and (part := _PART.match(text, position)):
        seconds += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return seconds if text and position == len(text) else None
