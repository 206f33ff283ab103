"""What is said about resources: where each stands, how grave it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Level"]


class Level(Enum):
    """How grave; the value is the word that is printed."""

    ERROR = "error"
    """It cannot be read or is not valid: nothing can be made of it."""
    LOST = "not carried over"
    """What is made means less than what was written, or something is left for people to do."""
    NOTE = "note"
    """Worth knowing; nothing is lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one place."""

    level: Level
    source: str
    """The file's name."""
    line: int
    """From 1; 0 for the file as a whole."""
    subject: str
    """`InferencePool default/llama`; empty where no resource could be read."""
    key: str
    """`spec.targetPortNumber`; empty for the resource as a whole."""
    message: str

    def __str__(self) -> str:
        """In one line. Files are not ours: what would do something to a terminal is shown as an escape."""
        place = f"{self.source}:{self.line}" if self.line else self.source
        text = ": ".join(part for part in (place, self.subject, self.key, self.message) if part)
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
