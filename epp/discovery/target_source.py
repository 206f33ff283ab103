"""The source of a fixed list of targets: addresses, host names and DNS services."""

from __future__ import annotations

from collections.abc import Iterable

from epp.discovery.directory import DnsSettings
from epp.discovery.dns_lookup import DnsLookup, Lookup
from epp.discovery.resolving import Resolving
from epp.discovery.source import Publish
from epp.discovery.targets import Target, parse_target

__all__ = ["TargetSource"]


class TargetSource:
    """Endpoints that an operator named. The list stays; the addresses behind its names are kept up to date."""

    def __init__(
        self, targets: Iterable[Target], dns: DnsSettings | None = None, *, lookup: Lookup | None = None
    ) -> None:
        self._targets = tuple(targets)
        self._dns = dns or DnsSettings()
        self._lookup = lookup or DnsLookup(self._dns)

    @classmethod
    def of(cls, *texts: str, dns: DnsSettings | None = None) -> TargetSource:
        """From `10.0.0.1:8000`, `[fd00::1]:8000`, `gpu1:8000` or `_vllm._tcp.example`. Raises ValueError."""
        return cls([parse_target(text) for text in texts], dns)

    async def run(self, publish: Publish) -> None:
        """Publishes until cancelled, see `Source`."""
        resolving = Resolving(self._lookup, self._dns)
        resolving.set_targets(self._targets)
        await resolving.run(publish)

    def __repr__(self) -> str:
        return f"<TargetSource {len(self._targets)} targets>"
