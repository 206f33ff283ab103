"""Traces as lines: numbered, bounded in size and number, with the place in every complaint.

All readers of traces take their lines from here, so that no file can take more memory than the limits say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from epp.workloads.errors import WorkloadError

__all__ = ["LIMITS", "Limits", "Line", "TraceLines"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trace may have at most."""

    line_bytes: int = 64 * 1024**2
    """Of one line: more than the 32 MiB that model servers accept by default as a body."""
    trace_bytes: int = 2 * 1024**3
    """Of all lines together, after unpacking."""
    files: int = 100_000
    """In an archive."""
    calls: int = 1_000_000
    """A call takes about 1 KB."""
    tokens: int = 10_000_000
    """Of one prompt or answer: ten times the longest context that is served today."""


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and where it stands."""

    text: bytes
    """Without white space at its ends; never empty."""
    file: str
    number: int
    """From 1."""

    def fault(self, message: str) -> WorkloadError:
        """The error for something that is wrong with it."""
        return WorkloadError(f"{self.file}:{self.number}: {message}")

    def decoded(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Its value. Raises WorkloadError."""
        try:
            return decoder.decode(self.text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self.fault(f"{error}: mend the line or take it out") from error
        except RecursionError as error:
            raise self.fault("nested too deeply: take the line out") from error

    def tokens(self, value: int, what: str, least: int = 0, limits: Limits = LIMITS) -> int:
        """The value, when it can be a number of tokens. Raises WorkloadError."""
        if not least <= value <= limits.tokens:
            raise self.fault(f"{what} is {value}; it must be between {least} and {limits.tokens}")
        return value


@dataclass(frozen=True, slots=True)
class TraceLines:
    """A file of lines, read once."""

    file: str
    """Its name, for messages."""
    raw: Iterable[bytes]
    """Its lines, with or without their ends."""
    most: int | None = None
    """Only so many lines are read; None: all."""
    limits: Limits = LIMITS

    def __iter__(self) -> Iterator[Line]:
        """The lines that are not empty. Raises WorkloadError at the first that breaks a limit."""
        total = found = 0
        for number, raw in enumerate(self.raw, 1):
            total += len(raw)
            text = raw.strip()
            if not text:
                continue
            if found == self.most:
                return
            line = Line(text, self.file, number)
            if len(raw) > self.limits.line_bytes:
                raise line.fault(f"the line has more than {self.limits.line_bytes} bytes; cut it")
            if total > self.limits.trace_bytes:
                raise line.fault(
                    f"more than {self.limits.trace_bytes} bytes up to here; read fewer lines or split the file"
                )
            found += 1
            if found > self.limits.calls:
                raise line.fault(f"more than {self.limits.calls} lines; read fewer or split the file")
            yield line
