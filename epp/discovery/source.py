"""What a source of endpoints is, and the rules that all of them keep when they publish. No IO, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from epp.endpoints.types import EndpointSpec

__all__ = ["ChangesOnly", "Publish", "Source", "merge"]

Publish = Callable[[Sequence[EndpointSpec]], None]
"""Takes the complete current set of endpoints."""


class Source(Protocol):
    """Where endpoints come from."""

    async def run(self, publish: Publish) -> None:
        """Runs until cancelled.

        Publishes the complete current set as soon as it is known, and again whenever it changes; never an unchanged
        set twice, never an address twice in one set. Raises only what an operator has to mend before a start.
        """
        ...


def merge(sets: Iterable[Iterable[EndpointSpec]]) -> tuple[EndpointSpec, ...]:
    """One set out of several: an address is one endpoint, and what was said of it last counts."""
    by_address: dict[str, EndpointSpec] = {}
    for specs in sets:
        for spec in specs:
            by_address[spec.address] = spec
    return tuple(by_address.values())


class ChangesOnly:
    """Passes on only sets that differ from the one before; order is no difference, since DNS shuffles its answers."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._last: dict[str, EndpointSpec] | None = None

    def __call__(self, specs: Iterable[EndpointSpec]) -> None:
        """Takes a set; duplicates of an address are dropped."""
        current = {spec.address: spec for spec in specs}
        if current != self._last:
            self._last = current
            self._publish(tuple(current.values()))
