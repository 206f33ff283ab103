"""Who wants to hear what model servers say."""

from __future__ import annotations

from typing import Protocol

from epp.endpoints.types import ModelCard, Scrape

__all__ = ["EndpointSink"]


class EndpointSink(Protocol):
    """Takes news about endpoints, by address. Times are seconds of the clock that the scraper was given."""

    def scraped(self, address: str, scrape: Scrape, asked_at: float, now: float) -> None:
        """A metrics page. `asked_at` is when the request left: what was placed since may not be on the page."""
        ...

    def scrape_failed(self, address: str, *, unreadable: bool = False, now: float) -> None:
        """A metrics page could not be had. `unreadable`: there is one, and it says nothing that is known."""
        ...

    def health_seen(self, address: str, *, healthy: bool, now: float) -> None:
        """A health probe was answered, or not."""
        ...

    def models_seen(self, address: str, cards: tuple[ModelCard, ...] | None, now: float) -> None:
        """The server's list of models; None when it has none to give."""
        ...
