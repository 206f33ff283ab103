"""A service level objective: what each call must keep to count as good."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Slo"]

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_TERM = re.compile(r"\s*(\w+)\s*=\s*(\d+(?:\.\d+)?)(us|ms|s|m)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slo:
    """Limits in seconds; infinity: none. A call without an answer misses any of them."""

    ttft_s: float = math.inf
    """Time to the first token, at most."""
    tpot_s: float = math.inf
    """Time per output token after the first, at most. Answers of one token keep it."""

    def __post_init__(self) -> None:
        if not (self.ttft_s > 0 and self.tpot_s > 0):
            raise ValueError(f"ttft {self.ttft_s:g} s and tpot {self.tpot_s:g} s: both must be above 0")

    @classmethod
    def parse(cls, text: str) -> Slo:
        """Reads `ttft=2s,tpot=50ms`; either may be left out, units are us, ms, s and m.

        Raises ValueError when it is something else; the message is for who wrote it.
        """
        limits: dict[str, float] = {}
        for term in text.split(","):
            found = _TERM.fullmatch(term)
            if found is None or found[1] not in ("ttft", "tpot"):
                raise ValueError(f"{term.strip()[:80]!r} in {text[:80]!r}: write it like ttft=2s,tpot=50ms")
            if f"{found[1]}_s" in limits:
                raise ValueError(f"{found[1]} stands twice in {text[:80]!r}: write it once")
            limits[f"{found[1]}_s"] = float(found[2]) * _UNITS[found[3]]
        return cls(**limits)

    def limits(self) -> list[Slo]:
        """Its limits, each an objective of its own."""
        each = (Slo(ttft_s=self.ttft_s), Slo(tpot_s=self.tpot_s))
        return [one for one in each if one != Slo()]

    def __str__(self) -> str:
        limits = {"ttft": self.ttft_s, "tpot": self.tpot_s}
        return ",".join(f"{name}={_duration(limit)}" for name, limit in limits.items() if limit < math.inf) or "none"


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1e3:g}ms"
