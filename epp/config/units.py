"""Durations and sizes as people write them, and as types of configuration fields.

    duration  Go's form, `500ms`, `1m30s`, `-1.5h`, or in a file a number of seconds
    size      a number of bytes, or with a suffix: `256MiB`, `1Gi` (powers of 1024), `10MB`, `10M` (powers of 1000)
    share     a number from 0 to 1

Bad: `1d`, `5 minutes`, `1.5 GiB`, and `10` as a duration in quotes or as a flag: whoever writes text says the unit, as
in Go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from epp.scheduling.plugins.validation import seconds_of

__all__ = [
    "Between",
    "Duration",
    "Share",
    "Size",
    "format_duration",
    "format_size",
    "parse_bool",
    "parse_duration",
    "parse_size",
]

_NO_DURATION = "must be a duration such as 500ms, 2s or 1m30s"
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)(?:([KMGT])(i)?)?B?", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_EXPONENTS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_bool(text: str) -> bool | None:
    """A switch as Go's strconv.ParseBool reads it; None for anything else."""
    return True if text in _TRUE else False if text in _FALSE else None


def parse_duration(value: object) -> float:
    """Seconds. Takes a number of seconds, or text in the form of Go's time.ParseDuration. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"{_NO_DURATION}, or a number of seconds")
    try:
        return round(seconds_of("duration", value.strip()), 9)
    except ValueError:
        raise ValueError(_NO_DURATION) from None


def format_duration(seconds: float) -> str:
    """The shortest form of Go that reads back as the same number of nanoseconds."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 10**9:
        unit, scale = next((unit, scale) for unit, scale in (("ms", 10**6), ("us", 10**3), ("ns", 1)) if rest >= scale)
        return f"{sign}{_decimal(rest, scale)}{unit}"
    minutes, rest = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    return sign + text + (f"{_decimal(rest, 10**9)}s" if rest or not text else "")


def _decimal(value: int, scale: int) -> str:
    whole, part = divmod(value, scale)
    return f"{whole}.{part:0{len(str(scale)) - 1}d}".rstrip("0") if part else str(whole)


def parse_size(value: object) -> int:
    """Bytes. Takes a whole number, or text with a suffix as Kubernetes and Go have them. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    whole = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if whole is None:
        raise ValueError("must be a size such as 256MiB, 1Gi or 10MB, or a number of bytes")
    base = 1024 if whole[3] else 1000
    return int(float(whole[1]) * base ** _EXPONENTS[(whole[2] or "").upper()]) if whole[2] else int(float(whole[1]))


def format_size(count: int) -> str:
    """With a binary suffix where that is exact, else a plain number."""
    for suffix, exponent in (("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if count and count % 1024**exponent == 0:
            return f"{count // 1024**exponent}{suffix}"
    return str(count)


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a field, as a part of its type: `Annotated[Duration, Between(0.05, 60.0)]`, in seconds or bytes."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        described["x-range"] = self._text()
        return described

    def _check(self, value: float) -> float:
        if not self.low <= value <= self.high:  # so written, NaN is refused too
            raise ValueError(f"must be in the range {self._text()}")
        return value

    def _text(self) -> str:
        text = format_duration if isinstance(self.low, float) else format_size
        return f"{text(self.low)} to {text(self.high)}"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": ["string", "number"], "x-unit": "duration"}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size),
    WithJsonSchema({"type": ["string", "integer"], "x-unit": "size"}),
]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
