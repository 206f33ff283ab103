# ruff: noqa: TID251 - an edge: runs several tasks
"""Several sources as one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence

from epp.discovery.source import ChangesOnly, Publish, Source, merge
from epp.endpoints.types import EndpointSpec

__all__ = ["CombinedSource", "run_together"]

_LOG = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long a source of which nothing is known holds up the others: as long as a lookup takes at most by default."""

RETRY_S = 10.0
"""Until a source that failed is started again."""


class CombinedSource:
    """The union of several sources. Where two have the same address, what the later source says of it counts.

    Published first when all are known, or some are and `PATIENCE_S` is over: a set that lacks a source would drop its
    endpoints, which may be in use. Until then a source that raises ends all, with its exception. Later it does not:
    what it said last stays, and it is started again.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise ValueError("no sources to combine")
        self._sources = tuple(sources)

    async def run(self, publish: Publish) -> None:
        """Publishes until cancelled, see `Source`."""
        union = _Union(len(self._sources), publish)
        jobs = (_keep(source, union, index) for index, source in enumerate(self._sources))
        await run_together(*jobs, union.wait_no_longer())

    def __repr__(self) -> str:
        return f"<CombinedSource {', '.join(map(repr, self._sources))}>"


class _Union:
    """What the sources have said so far."""

    def __init__(self, sources: int, publish: Publish) -> None:
        self._sets: list[Sequence[EndpointSpec] | None] = [None] * sources
        self._publish = ChangesOnly(publish)
        self._patient = True
        self.published = False

    def publisher(self, index: int) -> Publish:
        """For one of the sources."""

        def took(specs: Sequence[EndpointSpec]) -> None:
            self._sets[index] = specs
            self._tell()

        return took

    async def wait_no_longer(self) -> None:
        """After a while what is known is enough."""
        await asyncio.sleep(PATIENCE_S)
        self._patient = False
        self._tell()

    def _tell(self) -> None:
        known = [specs for specs in self._sets if specs is not None]
        if len(known) == len(self._sets) or (known and not self._patient):
            self.published = True
            self._publish(merge(known))


async def _keep(source: Source, union: _Union, index: int) -> None:
    """Runs a source, again and again once endpoints are published."""
    while True:
        try:
            await source.run(union.publisher(index))
        except Exception as error:
            if not union.published:
                raise
            _LOG.error("%r failed, what it said last stays: %s", source, error)
        else:
            return
        await asyncio.sleep(RETRY_S)


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
