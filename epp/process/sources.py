# ruff: noqa: TID251 - this file is an edge: it runs sources, and waits for them
"""The sources of endpoints that settings describe, and whether they can be used."""

from __future__ import annotations

import asyncio

from epp.config import DiscoverySettings
from epp.discovery import CombinedSource, EndpointFileError, FileSource, Source, TargetSource
from epp.discovery.kubernetes import AccessError, KubernetesSource
from epp.process.errors import StartError

__all__ = ["OPERATORS_ERRORS", "source_of", "try_out"]

OPERATORS_ERRORS = (EndpointFileError, AccessError)
"""What sources raise for the operator to mend."""

TRIAL_S = 2.0
"""How long news of a source is waited for. A file is read within milliseconds; names in it may take longer to look up,
and are believed."""


def source_of(settings: DiscoverySettings) -> Source:
    """The source that settings describe."""
    sources: list[Source] = []
    if settings.targets:
        sources.append(TargetSource(settings.targets, settings.dns))
    if settings.file:
        sources.append(FileSource(settings.file.path, settings.dns, watch=settings.file.watch))
    if settings.kubernetes:
        sources.append(KubernetesSource(settings.kubernetes))
    return sources[0] if len(sources) == 1 else CombinedSource(sources)


async def try_out(settings: DiscoverySettings) -> None:
    """Raises StartError when these sources fail at once, as a file does that cannot be read."""
    known = asyncio.Event()
    running = asyncio.create_task(source_of(settings).run(lambda _: known.set()))
    knowing = asyncio.create_task(known.wait())
    try:
        await asyncio.wait((running, knowing), timeout=TRIAL_S, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    except OPERATORS_ERRORS as error:
        raise StartError(str(error)) from error
    finally:
        running.cancel()
        knowing.cancel()
        await asyncio.gather(running, knowing, return_exceptions=True)
