"""Runs a source against the test API server, and waits for what it publishes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from epp.discovery import Source
from epp.endpoints import EndpointSpec

__all__ = ["PATIENCE_S", "Watched", "until", "watching"]

PATIENCE_S = 30.0
"""For what takes milliseconds, or a second or two of back-off, on a machine that may be busy."""


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - about what sets no event
            await asyncio.sleep(0.005)


class Watched:
    """What a source has published so far. Checks the rules of `Source` on the way."""

    def __init__(self) -> None:
        self.sets: list[tuple[EndpointSpec, ...]] = []

    def take(self, specs: Sequence[EndpointSpec]) -> None:
        current = {spec.address: spec for spec in specs}
        assert len(current) == len(specs), "an address twice"
        assert not self.sets or current != {spec.address: spec for spec in self.sets[-1]}, "an unchanged set"
        self.sets.append(tuple(specs))

    @property
    def addresses(self) -> list[str] | None:
        """Of the endpoints now; None while nothing was published."""
        return sorted(spec.address for spec in self.sets[-1]) if self.sets else None

    async def wait_for(self, *addresses: str) -> None:
        """Until exactly these are the endpoints."""
        try:
            await until(lambda: self.addresses == sorted(addresses))
        except TimeoutError:
            raise AssertionError(f"{self.addresses} instead of {sorted(addresses)}") from None


@contextlib.asynccontextmanager
async def watching(source: Source) -> AsyncIterator[Watched]:
    """Runs a source for the length of a `with`."""
    watched = Watched()
    before = asyncio.all_tasks()
    task = asyncio.create_task(source.run(watched.take))
    try:
        yield watched
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert asyncio.all_tasks() <= before | {task}, "tasks are left"
