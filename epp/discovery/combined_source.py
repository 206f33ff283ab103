# ruff: noqa: TID251 - an edge: runs several tasks
"""Several sources as one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

from epp.discovery.source import ChangesOnly, Publish, Source, merge
from epp.endpoints.types import EndpointSpec

__all__ = ["CombinedSource", "run_together"]


class CombinedSource:
    """The union of several sources, published from the first that is known on. Where two have the same address, what
    the later source says of it counts. One that raises ends all, with its exception.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise ValueError("no sources to combine")
        self._sources = tuple(sources)

    async def run(self, publish: Publish) -> None:
        """Publishes until cancelled, see `Source`."""
        publish_changes = ChangesOnly(publish)
        sets: list[Sequence[EndpointSpec]] = [()] * len(self._sources)

        def publisher(index: int) -> Publish:
            def took(specs: Sequence[EndpointSpec]) -> None:
                sets[index] = specs
                publish_changes(merge(sets))

            return took

        await run_together(*(source.run(publisher(index)) for index, source in enumerate(self._sources)))

    def __repr__(self) -> str:
        return f"<CombinedSource {', '.join(map(repr, self._sources))}>"


async def run_together(*jobs: Coroutine[object, object, None]) -> None:
    """Runs all until one raises, or until cancelled; then ends the others and waits for them.

    Unlike a task group it raises the exception itself, which callers tell apart by its type.
    """
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
