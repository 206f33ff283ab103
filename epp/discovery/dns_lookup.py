"""Answers the questions of a `Directory`: from the hosts file, else from DNS. An edge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.rdtypes.IN.SRV
import dns.resolver
import dns.ttl

from epp.discovery.directory import Answer, DnsSettings, Failure, Question, RecordType, ServiceRecord
from epp.discovery.hosts_file import MAX_HOSTS_BYTES, parse_hosts
from epp.discovery.targets import parse_host

__all__ = ["DnsLookup", "Lookup", "LookupFailedError"]

DEFAULT_TTL_S = 5.0
"""Where nothing says how long an answer holds (hosts file, empty answer without SOA): as CoreDNS for cluster names."""

_FAILURES: Mapping[type[Exception], Failure] = {
    dns.resolver.NXDOMAIN: Failure.NO_SUCH_NAME,
    dns.resolver.LifetimeTimeout: Failure.TIMEOUT,
    dns.resolver.NoNameservers: Failure.SERVER,
    dns.resolver.NoResolverConfiguration: Failure.NO_SERVERS,
}


class LookupFailedError(Exception):
    """A question got no answer; `failure` is the kind, the text is for people."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


class Lookup(Protocol):
    """Asks one question. Raises LookupFailedError."""

    async def __call__(self, question: Question) -> Answer:
        """The answer."""
        ...


class DnsLookup:
    """The lookup that asks hosts file and DNS servers as the system is configured, or given servers only.

    The system's configuration is read again, since pods outlive changes of it.
    """

    def __init__(self, settings: DnsSettings, hosts_file: Path | None = Path("/etc/hosts")) -> None:
        self._settings = settings
        self._hosts_file = None if settings.nameservers else hosts_file
        self._hosts: Mapping[str, tuple[str, ...]] = {}
        self._hosts_seen: tuple[int, ...] = ()

    async def __call__(self, question: Question) -> Answer:
        """The answer. Raises LookupFailedError."""
        if self._hosts_file and question.type is not RecordType.SRV:
            addresses = self._listed(self._hosts_file).get(question.name.removesuffix("."))
            if addresses is not None:
                wants_v6 = question.type is RecordType.AAAA
                return Answer(DEFAULT_TTL_S, tuple(address for address in addresses if (":" in address) == wants_v6))
        try:
            return await self._ask(question)
        except dns.exception.DNSException as error:
            kind = next((kind for type_, kind in _FAILURES.items() if isinstance(error, type_)), Failure.OTHER)
            raise LookupFailedError(kind, str(error)) from None
        except (OSError, EOFError, ValueError) as error:
            raise LookupFailedError(Failure.OTHER, str(error)) from None

    def _listed(self, path: Path) -> Mapping[str, tuple[str, ...]]:
        """The hosts file, read again when it has changed."""
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen != self._hosts_seen:
                with path.open("rb") as file:
                    self._hosts = parse_hosts(file.read(MAX_HOSTS_BYTES))
                self._hosts_seen = seen
        except OSError:
            self._hosts, self._hosts_seen = {}, ()
        return self._hosts

    async def _ask(self, question: Question) -> Answer:
        found = await self._resolver().resolve(
            question.name,
            dns.rdatatype.from_text(question.type.value),
            raise_on_no_answer=False,
            lifetime=self._settings.timeout_s,
            search=True,
        )
        ttl_s = float(found.chaining_result.minimum_ttl)
        if ttl_s >= dns.ttl.MAX_TTL:
            ttl_s = DEFAULT_TTL_S
        records = list(found.rrset or ())
        if question.type is RecordType.SRV:
            return Answer(ttl_s, services=_services(records))
        return Answer(ttl_s, addresses=tuple(parse_host(record.address) for record in records))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self._settings.nameservers)
        if self._settings.nameservers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in self._settings.nameservers]
        return resolver


def _services(records: list[dns.rdtypes.IN.SRV.SRV]) -> tuple[ServiceRecord, ...]:
    """Records that name a host. A target of `.` says that the service is not offered here (RFC 2782)."""
    services = []
    for record in records:
        try:
            host = parse_host(record.target.to_text(omit_final_dot=False))
        except ValueError:
            continue
        if record.port:
            services.append(ServiceRecord(host, record.port, record.priority))
    return tuple(services)
