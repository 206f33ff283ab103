"""What can go wrong with starting, for the person who starts it."""

from __future__ import annotations

__all__ = ["StartError"]


class StartError(Exception):
    """The process cannot start; the message says why and what to do."""
