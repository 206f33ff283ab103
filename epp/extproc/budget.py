"""Bounds the bytes of request bodies that are held at one time, over all exchanges of the process."""

from __future__ import annotations

__all__ = ["BodyBudget"]


class BodyBudget:
    """Counts body bytes in flight against a limit. Shared by all exchanges; what is taken must be given back."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.refused = 0

    def take(self, count_bytes: int) -> bool:
        """Reserves bytes. False, and nothing reserved, when that would pass the limit."""
        if self.held_bytes + count_bytes > self.limit_bytes:
            self.refused += 1
            return False
        self.held_bytes += count_bytes
        return True

    def give(self, count_bytes: int) -> None:
        """Returns bytes that were taken."""
        self.held_bytes -= count_bytes
        assert self.held_bytes >= 0, "more body bytes given back than taken"

    def __repr__(self) -> str:
        return f"<BodyBudget {self.held_bytes}/{self.limit_bytes} B, {self.refused} refused>"
