"""The page at /metrics: our own families, then what `prometheus_client` collectors of this process add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as render_text
from prometheus_client.openmetrics.exposition import generate_latest as render_openmetrics

from epp.telemetry.families import Page, Source

__all__ = ["Exposition", "process_registry"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def process_registry() -> CollectorRegistry:
    """A registry with CPU, memory, file descriptors and garbage collection of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


@dataclass(slots=True)
class Exposition:
    """Writes pages. Sources may be added and taken away at any time, as pools come and go."""

    sources: list[Source] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=process_registry)
    """For collectors of `prometheus_client`; never its global one, which others of the process may fill."""

    def page(self, accept: str = "") -> tuple[str, Iterator[bytes]]:
        """Content type and pieces of the page: OpenMetrics for who accepts it, else text.

        State is read at once, the pieces are written as they are asked for.
        """
        openmetrics = "application/openmetrics-text" in accept
        page = Page()
        for source in self.sources:
            source.collect(page)
        theirs = (render_openmetrics if openmetrics else render_text)(self.registry)
        return OPENMETRICS if openmetrics else TEXT, chain(page.chunks(openmetrics=openmetrics), (theirs,))
